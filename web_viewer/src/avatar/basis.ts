/**
 * Basis Universal's transcoder, on whatever thread this module runs: Binomial's, Apache-2.0, as three.js ships it. A chunk of
 * its own.
 */
import BASIS from "three/examples/jsm/libs/basis/basis_transcoder.js";
import type { BlockFormat } from "./ktx2.ts";

/** Bytes of one transcoded image. */
const MOST = 1 << 28;

/** Returns the largest level of a KTX2 image in another format, or null when it is damaged or of a kind that is not read. */
export type Transcoder = (bytes: Uint8Array, format: BlockFormat) => Uint8Array<ArrayBuffer> | null;

/** Return a transcoder out of its WebAssembly. */
export async function openBasis(wasmBinary: ArrayBuffer): Promise<Transcoder> {
  const basis = await BASIS({ wasmBinary });
  basis.initializeBasis();
  return (bytes, format) => {
    const file = new basis.KTX2File(bytes);
    try {
      if (!file.isValid()) return null;
      const [width, height] = [file.getWidth(), file.getHeight()];
      if (width * height * 4 > MOST || !file.startTranscoding()) return null;
      const size = file.getImageTranscodedSizeInBytes(0, 0, 0, format.target);
      const wanted = format.blocks ? Math.ceil(width / 4) * Math.ceil(height / 4) * 16 : width * height * 4;
      if (size !== wanted) return null;
      const data = new Uint8Array(size);
      return file.transcodeImage(data, 0, 0, 0, format.target, 0, -1, -1) ? data : null;
    } finally {
      file.close();
      file.delete();
    }
  };
}
