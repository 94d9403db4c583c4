/** First pictures: avatars whose bytes come in any order, slowly, damaged, or not to their end. */
import { createHash } from "node:crypto";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Avatar, readAvatar } from "../src/avatar/avatar.ts";
import { loadAvatar } from "../src/avatar/load.ts";
import { ViewerError } from "../src/errors.ts";
import { Pose } from "../src/posing/pose.ts";
import { PosedAvatar } from "../src/posing/posed_avatar.ts";
import { goldenBytes, withJson } from "./files.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

const MESHOPT = "EXT_meshopt_compression";
/** With harmonics and dynamics; of grade small; with own tables; with neither. */
const NAMES = ["linear-posed", "../small/faces-dynamics", "own-skin", "edge-height"];

// biome-ignore lint/suspicious/noExplicitAny: glTF's JSON
type Json = any;

/** Return the GLB with the bytes of its views in another order, and with a last view of bytes that nobody needs. */
function laid(glb: ArrayBuffer, order: (json: Json, views: number[]) => number[], more = 1 << 16): ArrayBuffer {
  const view = new DataView(glb);
  const start = 28 + view.getUint32(12, true);
  const parts: Uint8Array[] = [];
  let at = 0;
  const out = withJson(glb, (json) => {
    const add = (bytes: Uint8Array) => {
      const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
      padded.set(bytes);
      parts.push(padded);
      at += padded.length;
      return at - padded.length;
    };
    const views = json.bufferViews.map((_: Json, i: number) => i);
    for (const i of order(json, views)) {
      const place = json.bufferViews[i].extensions?.[MESHOPT] ?? json.bufferViews[i];
      place.byteOffset = add(new Uint8Array(glb, start + (place.byteOffset ?? 0), place.byteLength));
    }
    json.bufferViews.push({ buffer: 0, byteOffset: add(new Uint8Array(more)), byteLength: more });
    json.buffers[0].byteLength = at;
  });
  const head = 20 + new DataView(out).getUint32(12, true);
  const file = new Uint8Array(head + 8 + at);
  file.set(new Uint8Array(out, 0, head));
  const numbers = new DataView(file.buffer);
  numbers.setUint32(8, file.length, true);
  numbers.setUint32(head, at, true);
  numbers.setUint32(head + 4, 0x004e4942, true);
  let to = head + 8;
  for (const part of parts) {
    file.set(part, to);
    to += part.length;
  }
  return file.buffer;
}

/** What has to come late: harmonics, dynamics, textures and clips. */
function lateViews(json: Json): Set<number> {
  const late = new Set<number>();
  const accessor = (i: Json) => {
    if (i !== undefined && json.accessors[i].bufferView !== undefined) late.add(json.accessors[i].bufferView);
  };
  const root = json.extensions.FLAMEPORT_avatar;
  for (const { mesh } of root.layers) {
    const { attributes, extensions } = json.meshes[mesh].primitives[0];
    for (const name of Object.keys(attributes)) if (/SH_DEGREE_[123]|COLOR_0/.test(name)) accessor(attributes[name]);
    const { dynamics } = extensions.KHR_gaussian_splatting.extensions.FLAMEPORT_avatar;
    for (const table of Object.values(dynamics?.tables ?? {})) accessor(table);
  }
  for (const { sampler } of json.animations?.flatMap((each: Json) => each.channels) ?? []) {
    for (const each of json.animations) {
      accessor(each.samplers[sampler]?.input);
      accessor(each.samplers[sampler]?.output);
    }
  }
  return late;
}

const ORDERS: Record<string, (json: Json, views: number[]) => number[]> = {
  "as it was": (_, views) => views,
  "what is late at the end": (json, views) => {
    const late = lateViews(json);
    return [...views.filter((i) => !late.has(i)), ...views.filter((i) => late.has(i))];
  },
  "what is late at the front": (json, views) => {
    const late = lateViews(json);
    return [...views.filter((i) => late.has(i)), ...views.filter((i) => !late.has(i))];
  },
  backwards: (_, views) => views.toReversed(),
  shuffled: (_, views) => views.toSorted((a, b) => Math.sin(a * 78.233) - Math.sin(b * 78.233)),
};

/** Answer with bytes up to `at`; the rest comes after `gate`, and with "fail" the connection breaks instead. */
function serve(bytes: ArrayBuffer, piece: number, at = bytes.byteLength, gate?: Promise<void> | "fail"): void {
  let sent = 0;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    if (sent === at && gate === "fail") return controller.error(new TypeError("network error"));
    if (sent >= at) await gate;
    const end = sent < at ? at : gate ? bytes.byteLength : at;
    if (sent >= end) return controller.close();
    controller.enqueue(new Uint8Array(bytes.slice(sent, Math.min(sent + piece, end))));
    sent = Math.min(sent + piece, end);
  };
  vi.stubGlobal("fetch", async () => new Response(new ReadableStream({ pull }) as BodyInit));
}

/** Everything an avatar holds, as one word. */
function digest(value: unknown): string {
  const hash = createHash("sha1");
  const walk = (each: unknown): void => {
    if (ArrayBuffer.isView(each)) hash.update(new Uint8Array(each.buffer, each.byteOffset, each.byteLength));
    else if (each instanceof Map) walk([...each]);
    else if (each !== null && typeof each === "object") {
      for (const [key, inner] of Object.entries(each)) {
        hash.update(key);
        walk(inner);
      }
    } else hash.update(String(each));
  };
  walk(value);
  return hash.digest("hex");
}

/** Centres at rest, without what dynamics add. */
function centers(avatar: Avatar): number[][] {
  const bare = { ...avatar, layers: avatar.layers.map((layer) => ({ ...layer, dynamics: null })) };
  const posed = new PosedAvatar(bare);
  posed.pose(new Pose(avatar.head));
  return posed.centers.map((each) => [...each]);
}

describe.each(NAMES)("%s", (name) => {
  const wanted = readAvatar(goldenBytes(`${name}.glb`));

  it.each(Object.keys(ORDERS))("comes %s", async (order) => {
    const bytes = laid(goldenBytes(`${name}.glb`), ORDERS[order]);
    const stages: string[] = [];
    let early: number[][] | null = null;
    serve(bytes, 3001);
    const avatar = await loadAvatar("a.glb", {
      progress: (_, __, stage) => stages.push(stage),
      first: (avatar) => {
        expect(avatar.partial).toBe(true);
        expect(avatar.layers.every(({ degree, dynamics }) => degree === 0 && dynamics === null)).toBe(true);
        expect(stages.at(-1)).toBe("first");
        early = centers(avatar);
      },
    });
    expect(digest(avatar)).toBe(digest(wanted));
    expect(avatar.partial).toBeUndefined();
    // Sixty-four kilobytes that nobody needs come last: what is worth showing early is shown early in every order.
    expect(early).toEqual(centers(wanted));
    expect(stages.at(-1)).toBe("rest");
    expect(stages).toEqual([...stages].sort());
  });

  it("is there before what comes late, and is the same one afterwards", async () => {
    const bytes = laid(goldenBytes(`${name}.glb`), ORDERS["what is late at the end"], 1 << 18);
    let open = () => {};
    const gate = new Promise<void>((done) => {
      open = done;
    });
    serve(bytes, 4096, bytes.byteLength - (1 << 18), gate);
    const first = await new Promise<Avatar>((resolve, reject) => {
      loadAvatar("a.glb", { first: resolve }).then(() => reject(new Error("nothing came first")), reject);
    });
    expect(first.partial).toBe(true);
    open();
    await vi.waitFor(() => expect(first.partial).toBeUndefined());
    expect(digest(first)).toBe(digest(wanted));
  });

  it("says that the rest did not come", async () => {
    const bytes = laid(goldenBytes(`${name}.glb`), ORDERS["what is late at the end"], 1 << 18);
    let shown = 0;
    const first = () => shown++;
    const stop = bytes.byteLength - (1 << 17);
    serve(bytes, 4096, stop, "fail");
    await expect(loadAvatar("a.glb", { first })).rejects.toThrow(`a.glb stopped arriving after ${stop} bytes`);
    serve(bytes, 4096, stop);
    await expect(loadAvatar("a.glb", { first })).rejects.toThrow("The file was cut off");
    expect(shown).toBe(2);
  });

  it("survives damage", { timeout: 60000 }, async () => {
    const good = laid(goldenBytes(`${name}.glb`), ORDERS["what is late at the end"]);
    let seed = 7;
    const below = (n: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    for (let round = 0; round < 25; round++) {
      const bytes = good.slice(0);
      const view = new Uint8Array(bytes);
      // Its first kilobytes are JSON, where a changed byte means most.
      for (let n = 1 + below(4); n > 0; n--) view[round % 2 ? below(12000) : below(view.length)] = below(256);
      serve(bytes, 8192, round % 3 ? bytes.byteLength : below(bytes.byteLength));
      const first = (avatar: Avatar) => void centers(avatar);
      await loadAvatar("a.glb", { first }).catch((error) => {
        expect(error).toBeInstanceOf(ViewerError);
        expect(error.message).not.toContain("\n");
        expect(error.message).not.toMatch(/allocation|array length|call stack/i);
      });
    }
  });
});

it("is not waited for where nearly all of it is needed", async () => {
  let shown = 0;
  serve(goldenBytes("edge-height.glb"), 1000);
  await loadAvatar("a.glb", { first: () => shown++ });
  expect(shown).toBe(0);
});
