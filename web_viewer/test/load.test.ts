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

it("says in one line that a connection broke", async () => {
  let pieces = 0;
  serve((controller) => {
    if (pieces++ < 2) controller.enqueue(new Uint8Array(500));
    else controller.error(new TypeError("network error"));
  });
  const failed = loadAvatar("a.glb");
  await expect(failed).rejects.toThrow(AvatarFormatError);
  await expect(failed).rejects.toThrow("a.glb stopped arriving after 1000 bytes. Load it again.");
});

it("ends an answer that does not end", async () => {
  let ended = false;
  // The same bytes again and again; only their lengths count.
  const piece = new Uint8Array(1 << 26);
  serve(
    (controller) => controller.enqueue(piece),
    () => {
      ended = true;
    },
  );
  await expect(loadAvatar("a.glb")).rejects.toThrow("a.glb is larger than a gigabyte");
  expect(ended).toBe(true);
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
