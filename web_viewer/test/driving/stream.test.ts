import { describe, expect, it } from "vitest";
import { readAvatar } from "../../src/avatar/avatar.ts";
import type { Json } from "../../src/avatar/glb.ts";
import { Actor } from "../../src/driving/actor.ts";
import { JsonPieces } from "../../src/driving/json_pieces.ts";
import type { Sequence } from "../../src/driving/sequence.ts";
import { readBinarySequence } from "../../src/driving/sequence_binary.ts";
import { readSequence } from "../../src/driving/sequence_json.ts";
import { loadSequence } from "../../src/driving/sequence_stream.ts";
import { SequenceError } from "../../src/errors.ts";
import { POSE_FIELDS } from "../../src/posing/pose.ts";
import { goldenBytes, goldenJson } from "../files.ts";

const { head } = readAvatar(goldenBytes("edge-height.glb"));
const CLIP = goldenJson("edge-height.clip.json");
const encoder = new TextEncoder();

/** A stream that a test feeds; the promise settles when everything given so far has been taken. */
function feed() {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
  });
  const rest = () => new Promise((resolve) => setTimeout(resolve));
  return {
    stream,
    give: (text: string | Uint8Array) => {
      controller.enqueue(typeof text === "string" ? encoder.encode(text) : text);
      return rest();
    },
    end: () => {
      controller.close();
      return rest();
    },
    fail: () => {
      controller.error(new Error("the line went dead"));
      return rest();
    },
  };
}

function values(clip: Sequence): Record<string, unknown> {
  const { fps, basis, edition, exprNames, ranges, cameras } = clip;
  const rows = (column: Float64Array) => [...column.subarray(0, clip.widthOf(column) * clip.frames)];
  return {
    ...{ fps, basis, edition, exprNames, ranges, cameras },
    ...Object.fromEntries(POSE_FIELDS.map((name) => [name, rows(clip.fields[name])])),
    joints: [...clip.joints].map(([name, column]) => [name, rows(column)]),
    drivers: [...clip.drivers].map(([name, column]) => [name, rows(column)]),
  };
}

const WHOLE = values(readSequence(CLIP, head));
const { frames: FRAMES, ...HEADER } = CLIP;
const FORMS: [string, string][] = [
  ["one line", JSON.stringify(CLIP)],
  ["many lines", JSON.stringify(CLIP, null, 2)],
  ["lines of JSON", [HEADER, ...FRAMES].map((each) => JSON.stringify(each)).join("\n")],
  ["no count", JSON.stringify({ ...HEADER, frame_count: undefined, frames: FRAMES })],
  ["the header last", JSON.stringify({ frames: FRAMES, ...HEADER })],
  ["odd text", JSON.stringify({ note: 'a "frames": [ {} ] \\ in it ü', ...CLIP })],
];

describe.each(FORMS)("a clip as %s", (_, text) => {
  it.each([1, 7, 1000, 1e6])("is the same in pieces of %i bytes", async (size) => {
    const bytes = encoder.encode(text);
    let at = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= bytes.length) controller.close();
        else controller.enqueue(bytes.slice(at, at + size));
        at += size;
      },
    });
    const clip = await loadSequence(stream, head);
    await clip.whole;
    expect(values(clip)).toEqual(WHOLE);
    expect(clip.arrived).toBe(clip.frames);
  });
});

describe("while it arrives", () => {
  const LINES = FORMS[2][1].split("\n");

  it("plays what is there, waits at its end, and goes on", async () => {
    const { stream, give, end } = feed();
    const avatar = readAvatar(goldenBytes("edge-height.glb"));
    const time = { now: 0 };
    const actor = new Actor(() => time.now);
    actor.cast(avatar);
    const loading = loadSequence(stream, head);
    await give(`${LINES[0]}\n${LINES[1]}\n${LINES[2]}\n`);
    const clip = await loading;
    expect([clip.frames, clip.arrived]).toEqual([FRAMES.length, 2]);
    actor.setSequence(clip);
    actor.loop = false;
    let ended = 0;
    actor.onEnded = () => ended++;
    actor.play();
    const at = (seconds: number) => {
      time.now = seconds;
      actor.advance();
      return actor.seconds * clip.fps;
    };
    expect(at(0.5 / clip.fps)).toBeCloseTo(0.5, 12);
    expect(at(5)).toBe(1);
    expect(at(6)).toBe(1);
    expect([actor.isPlaying, ended]).toEqual([true, 0]);
    actor.seek({ frame: 3 });
    expect(actor.seconds * clip.fps).toBe(1);
    await give(`${LINES[3]}\n`);
    expect(at(6 + 0.25 / clip.fps)).toBeCloseTo(1.25, 9);
    await give(LINES.slice(4).join("\n"));
    await end();
    await clip.whole;
    at(100);
    expect([actor.isPlaying, ended, actor.seconds]).toEqual([false, 1, clip.duration]);
  });

  it("tells how far it is", async () => {
    const told: number[][] = [];
    const blob = new Blob([FORMS[0][1]]);
    const clip = await loadSequence(blob, head, { progress: (bytes, frames) => told.push([bytes, frames]) });
    await clip.whole;
    expect(told.at(-1)).toEqual([blob.size, FRAMES.length]);
  });

  it("keeps what has come when the rest does not", async () => {
    for (const how of ["fail", "end"] as const) {
      const line = feed();
      const loading = loadSequence(line.stream, head);
      await line.give(LINES.slice(0, 4).join("\n"));
      const clip = await loading;
      await line[how]();
      await expect(clip.whole).rejects.toThrow(SequenceError);
      expect([clip.frames, clip.arrived]).toEqual([3, 3]);
      expect(Object.values(clip.ranges).every(([, last]) => last <= 3)).toBe(true);
    }
  });

  it("is not begun for another head, or with a neutral face that only the whole clip tells", async () => {
    const other = JSON.stringify({ ...CLIP, basis: "flame2020" });
    await expect(loadSequence(new Blob([other]), head).then((clip) => clip.columns(head))).rejects.toThrow(/flame2020/);
    const { stream, give, end } = feed();
    const loading = loadSequence(stream, head, { neutral: "mean" });
    await give(FORMS[0][1]);
    await end();
    const clip = await loading;
    expect(clip.arrived).toBe(FRAMES.length);
    for (let e = 0; e < clip.expressions; e++) {
      const sum = Array.from({ length: clip.frames }, (_, i) => clip.fields.expr[i * clip.expressions + e]);
      expect(sum.reduce((a, b) => a + b)).toBeCloseTo(0, 9);
    }
  });

  it("can be stopped", async () => {
    const { stream, give } = feed();
    const stop = new AbortController();
    const loading = loadSequence(stream, head, { signal: stop.signal });
    await give(LINES.slice(0, 3).join("\n"));
    const clip = await loading;
    stop.abort();
    give(LINES[3]);
    await expect(clip.whole).rejects.toThrow(/stopped/);
  });

  it.each<[string, string, RegExp]>([
    ["nothing", "", /not JSON/],
    ["a page", "<!doctype html><title>404</title>", /not JSON/],
    ["a cut file", FORMS[0][1].slice(0, 300), /cut off/],
    ["closing brackets", "]]]]", /closes nothing/],
    ["another thing", '{"hello": 1}', /neither/],
    ["a short row", JSON.stringify({ ...CLIP, frames: [{ jaw: [1] }] }), /frame 0, jaw/],
    ["too few frames", JSON.stringify({ ...CLIP, frames: FRAMES.slice(1) }), /frames/],
    ["too many frames", JSON.stringify({ ...CLIP, frames: [...FRAMES, {}] }), /frames/],
    ["a strange range", JSON.stringify({ ...CLIP, ranges: { all: [0, 1e9] } }), /range/],
    ["a strange joint", JSON.stringify({ ...CLIP, frames: [{ joints: { tail: [0, 0, 1] } }] }), /tail/],
    ["an endless width", JSON.stringify({ ...CLIP, expr_names: undefined, expr_count: 1e12 }), /too long/],
    ["a null frame", JSON.stringify({ ...CLIP, frame_count: 1, frames: [[]] }), /./],
  ])("says in one line that %s is no clip", async (_, text, wanted) => {
    const load = async () => {
      const clip = await loadSequence(new Blob([text]), head);
      await clip.whole;
      if (clip.frames === 1) throw new SequenceError("an empty frame is a frame");
    };
    await expect(load()).rejects.toThrow(SequenceError);
    await expect(load()).rejects.toThrow(wanted);
  });
});

it("cuts JSON into pieces wherever it is cut", () => {
  const text = JSON.stringify({ a: { frames: [[1]] }, "x\\": '"', frames: [{ b: "}]" }, [1, [2]], {}], ranges: {} });
  for (let cut = 0; cut < text.length; cut++) {
    const pieces = new JsonPieces();
    const found = [...pieces.take(text.slice(0, cut)), ...pieces.take(text.slice(cut))];
    expect(found).toEqual([
      { kind: "header", json: { a: { frames: [[1]] }, "x\\": '"' } },
      ...[{ b: "}]" }, [1, [2]], {}].map((json) => ({ kind: "frame", json })),
    ]);
    expect(pieces.finish()).toEqual({ ranges: {} });
  }
});

describe("the binary twin", () => {
  /** The bytes of a clip, written from the specification. */
  function packed(header: Json, blocks: [string, number[], number[]][]): Uint8Array {
    const listed = blocks.map(([name, shape]) => ({ name, shape }));
    let text = JSON.stringify({ format: "flameport.sequence/1", ...header, blocks: listed });
    while (text.length % 16) text += " ";
    const out = new Uint8Array(16 + text.length + 4 * blocks.reduce((sum, [, , numbers]) => sum + numbers.length, 0));
    out.set([0x46, 0x50, 0x53, 0x51, 1, 0, 0, 0]);
    const view = new DataView(out.buffer);
    view.setUint32(8, text.length, true);
    out.set(encoder.encode(text), 16);
    blocks
      .flatMap(([, , numbers]) => numbers)
      .forEach((value, i) => {
        view.setFloat32(16 + text.length + 4 * i, value, true);
      });
    return out;
  }
  const header = { basis: "standin", fps: 25, frame_count: 2, expr_count: 2, drivers: { mood: 1 }, joints: ["chin"] };
  const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  const good = packed(header, [
    ["expr", [2, 2], [1.5, -2, 0, 1]],
    ["jaw", [2, 3], [0, 0.25, 0, 0, 0, 0]],
    ["drivers.mood", [2, 1], [3, 4]],
    ["joints.chin", [2, 3], [0, 0, 1, 0, 0, 2]],
    ["cameras.K", [2, 3, 3], [9, 0, 1, 0, 9, 2, 0, 0, 1, 8, 0, 1, 0, 8, 2, 0, 0, 1]],
    ["cameras.world_to_camera", [2, 4, 4], [...identity, ...identity]],
    ["cameras.size", [2, 2], [4, 6, 4, 6]],
    ["shape", [3], [1, 2, 3]],
  ]);

  it("is read as the specification says", () => {
    const clip = readBinarySequence(good);
    expect([clip.frames, clip.fps, clip.basis, clip.expressions]).toEqual([2, 25, "standin", 2]);
    expect([...clip.fields.expr, ...clip.fields.jaw]).toEqual([1.5, -2, 0, 1, 0, 0.25, 0, 0, 0, 0]);
    expect([...clip.drivers.get("mood")!, ...clip.joints.get("chin")!]).toEqual([3, 4, 0, 0, 1, 0, 0, 2]);
    expect(clip.cameras.map(({ fx, width }) => [fx, width])).toEqual([
      [9, 4],
      [8, 4],
    ]);
    // The example of SPEC.md has 212 bytes: 16, a header of 176, and 20.
    const example = packed({ basis: "standin", fps: 25, frame_count: 1, expr_count: 2 }, [
      ["expr", [1, 2], [1.5, -2]],
      ["jaw", [1, 3], [0, 0.25, 0]],
    ]);
    expect(example.length).toBe(212);
  });

  it("is refused in one line wherever it is damaged", () => {
    for (let i = 0; i < good.length; i += 3) {
      for (const damaged of [good.slice(0, i), good.map((byte, at) => (at === i ? byte ^ 0x55 : byte))]) {
        try {
          readBinarySequence(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(SequenceError);
        }
      }
      expect(() => readBinarySequence(good.slice(0, i))).toThrow(SequenceError);
    }
    expect(() => readBinarySequence(packed({ ...header, frame_count: 1e9 }, []))).toThrow(/too long/);
    expect(() => readBinarySequence(packed(header, [["jaw", [2, 4], new Array(8).fill(0)]]))).toThrow(/shape/);
    expect(() => readBinarySequence(packed(header, [["jaw", [2, 3], new Array(6).fill(Number.NaN)]]))).toThrow(
      /number/,
    );
  });

  it("is found out by its first bytes", async () => {
    const { joints, ...plain } = header;
    const blob = new Blob([packed(plain, [["jaw", [2, 3], [1, 0, 0, 0, 0, 0]]]) as Uint8Array<ArrayBuffer>]);
    const clip = await loadSequence(blob, head);
    expect([clip.frames, clip.fields.jaw[0], joints[0]]).toEqual([2, 1, "chin"]);
  });
});
