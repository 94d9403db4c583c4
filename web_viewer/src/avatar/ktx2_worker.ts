/** Transcodes KTX2 images beside the page; started by `ktx2_desk.ts` with the transcoder's WebAssembly. */
import { openBasis, type Transcoder } from "./basis.ts";
import type { BlockFormat } from "./ktx2.ts";

/** What is asked; the answer is the transcoded image, or null when it is damaged. */
export interface TranscodeJob {
  bytes: Uint8Array<ArrayBuffer>;
  format: BlockFormat;
}

let wasm: ArrayBuffer;
let transcoder: Promise<Transcoder>;

addEventListener("message", async ({ data }: MessageEvent<ArrayBuffer | TranscodeJob>) => {
  if (data instanceof ArrayBuffer) {
    wasm = data;
    transcoder = openBasis(wasm);
    await transcoder;
    postMessage(null);
    return;
  }
  const transcode = await transcoder;
  let made: Uint8Array<ArrayBuffer> | null = null;
  try {
    made = transcode(data.bytes, data.format);
  } catch {
    // A damaged image may leave the WebAssembly unusable.
    transcoder = openBasis(wasm);
  }
  postMessage(made, { transfer: made ? [made.buffer] : [] });
});
// A worker that does not start tells the page, which does the work itself.
addEventListener("unhandledrejection", ({ reason }) => {
  throw reason;
});
