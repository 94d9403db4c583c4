/**
 * KTX2 textures (Basis Universal: UASTC or ETC1S, with Zstandard) as the blocks that the graphics card samples. The
 * transcoder is Binomial's, Apache-2.0, as three.js ships it: a chunk of its own, with its .wasm beside it.
 */
import BASIS from "three/examples/jsm/libs/basis/basis_transcoder.js";
import { AvatarFormatError } from "../errors.ts";
import type { GL } from "../gl/device.ts";
import { fetchWasm } from "./wasm_file.ts";

const WASM = new URL("../../node_modules/three/examples/jsm/libs/basis/basis_transcoder.wasm", import.meta.url);
/** Bytes of one transcoded image. */
const MOST = 1 << 28;

/** What to transcode to. */
export interface BlockFormat {
  /** Basis Universal's number for it. */
  target: number;
  /** The graphics card's number for it. */
  internal: number;
  /** Compressed blocks of 4 x 4, sixteen bytes each; otherwise four bytes a texel. */
  blocks: boolean;
}

export interface Compressed {
  data: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
}

/** Bytes, RGBA. */
export const PLAIN: BlockFormat = { target: 13, internal: 0x8058, blocks: false };

/** Return the best format that the device samples: BC7, ASTC 4x4, ETC2, or plain RGBA. */
export function blockFormat(gl: GL): BlockFormat {
  const bc = gl.getExtension("EXT_texture_compression_bptc");
  if (bc) return { target: 6, internal: bc.COMPRESSED_RGBA_BPTC_UNORM_EXT, blocks: true };
  const astc = gl.getExtension("WEBGL_compressed_texture_astc");
  if (astc) return { target: 10, internal: astc.COMPRESSED_RGBA_ASTC_4x4_KHR, blocks: true };
  const etc = gl.getExtension("WEBGL_compressed_texture_etc");
  if (etc) return { target: 1, internal: etc.COMPRESSED_RGBA8_ETC2_EAC, blocks: true };
  return PLAIN;
}

let basis: Promise<Basis> | null = null;

async function load(): Promise<Basis> {
  const found = await BASIS({ wasmBinary: await fetchWasm(WASM, "An avatar with KTX2 textures") });
  found.initializeBasis();
  return found;
}

/** Return the largest level of a KTX2 image in another format. */
export async function transcode(bytes: Uint8Array, format: BlockFormat): Promise<Compressed> {
  basis ??= load();
  const { KTX2File } = await basis.catch((error) => {
    basis = null;
    throw error;
  });
  const file = new KTX2File(bytes);
  try {
    const damaged = () =>
      new AvatarFormatError("A KTX2 image of the avatar is damaged, or of a kind that is not read.");
    if (!file.isValid()) throw damaged();
    const [width, height] = [file.getWidth(), file.getHeight()];
    if (width * height * 4 > MOST || !file.startTranscoding()) throw damaged();
    const size = file.getImageTranscodedSizeInBytes(0, 0, 0, format.target);
    const wanted = format.blocks ? Math.ceil(width / 4) * Math.ceil(height / 4) * 16 : width * height * 4;
    if (size !== wanted) throw damaged();
    const data = new Uint8Array(size);
    if (!file.transcodeImage(data, 0, 0, 0, format.target, 0, -1, -1)) throw damaged();
    return { data, width, height };
  } finally {
    file.close();
    file.delete();
  }
}
