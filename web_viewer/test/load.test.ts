/** Avatars from servers that behave badly. */
import { afterEach, expect, it, vi } from "vitest";
import { loadAvatar, loadJson } from "../src/avatar/load.ts";
import { AvatarFormatError } from "../src/errors.ts";
import { goldenBytes } from "./files.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

/** Answer every request with a stream that `pull` feeds. */
function serve(pull: UnderlyingDefaultSource<Uint8Array>["pull"] & {}, cancel = () => {}): void {
  vi.stubGlobal("fetch", async () => new Response(new ReadableStream({ pull, cancel }) as BodyInit));
}

it("reads what comes in pieces, without anybody asking how far it is", async () => {
  const bytes = new Uint8Array(goldenBytes("edge-height.glb"));
  let at = 0;
  serve((controller) => {
    if (at < bytes.length) controller.enqueue(bytes.slice(at, at + 1000));
    else controller.close();
    at += 1000;
  });
  expect((await loadAvatar("a.glb")).count).toBeGreaterThan(0);
});

/** Answer with these bytes, `piece` at a time; what comes after `at` fails, ends, or comes when `gate` opens. */
function trickle(bytes: Uint8Array, piece: number, at = bytes.length, how: "fail" | "end" | Promise<void> = "end") {
  let sent = 0;
  serve(async (controller) => {
    if (sent >= at && how === "fail") return controller.error(new TypeError("network error"));
    if (sent >= at && how instanceof Promise) await how;
    const end = sent < at ? at : how instanceof Promise ? bytes.length : at;
    if (sent >= end) return controller.close();
    controller.enqueue(bytes.slice(sent, Math.min(sent + piece, end)));
    sent = Math.min(sent + piece, end);
  });
}

const WHOLE = new Uint8Array(goldenBytes("edge-height.glb"));

it("says in one line that a connection broke", async () => {
  trickle(WHOLE, 500, 1000, "fail");
  const failed = loadAvatar("a.glb");
  await expect(failed).rejects.toThrow(AvatarFormatError);
  await expect(failed).rejects.toThrow("a.glb stopped arriving after 1000 bytes. Load it again.");
  trickle(WHOLE, 500, 1000);
  await expect(loadAvatar("a.glb")).rejects.toThrow("The file was cut off");
});

it("ends an answer that is none of ours, or too large, as soon as that is known", async () => {
  let ended = 0;
  const piece = new Uint8Array(1 << 16);
  const endless = () =>
    serve(
      (controller) => controller.enqueue(piece.slice()),
      () => {
        ended++;
      },
    );
  endless();
  await expect(loadAvatar("a.glb")).rejects.toThrow("This is not a GLB");
  piece.set(WHOLE.subarray(0, 20));
  new DataView(piece.buffer).setUint32(8, 2 ** 31, true);
  endless();
  await expect(loadAvatar("a.glb")).rejects.toThrow("a.glb is larger than a gigabyte");
  expect(ended).toBe(2);
});

it("makes room for what comes, not for what is announced", async () => {
  // Its JSON and its length say most of a gigabyte; a thousand bytes come.
  const liar = WHOLE.slice(0, 1000);
  new DataView(liar.buffer).setUint32(8, (1 << 30) - 4, true);
  vi.stubGlobal("fetch", async () => new Response(liar, { headers: { "content-length": `${(1 << 30) - 4}` } }));
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const progress = () => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  };
  await expect(loadAvatar("a.glb", { progress })).rejects.toThrow(AvatarFormatError);
  expect(most).toBeLessThan(1 << 24);
});

it("takes an answer without a body for no GLB", async () => {
  vi.stubGlobal("fetch", async () => new Response(null, { status: 200 }));
  await expect(loadAvatar("a.glb")).rejects.toThrow("This is not a GLB");
});

it("ends what nobody waits for any more", async () => {
  const stop = new AbortController();
  const signals: unknown[] = [];
  vi.stubGlobal("fetch", (_: string, { signal }: RequestInit) => {
    signals.push(signal);
    return new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  });
  const both = [loadAvatar("a.glb", { signal: stop.signal }), loadJson("camera.json", stop.signal)];
  stop.abort();
  for (const one of both) await expect(one).rejects.toThrow("could not be reached");
  expect(signals).toEqual([stop.signal, stop.signal]);
});
