/** KTX2 textures (Basis Universal: UASTC or ETC1S, with Zstandard) as the blocks that the graphics card samples. */
import { AvatarFormatError } from "../errors.ts";
import type { GL } from "../gl/device.ts";
import type { Transcoder } from "./basis.ts";
import { transcodeBeside } from "./ktx2_desk.ts";
import { fetchWasm } from "./wasm_file.ts";

const WASM = new URL("../../node_modules/three/examples/jsm/libs/basis/basis_transcoder.wasm", import.meta.url);

/** What to transcode to. */
export interface BlockFormat {
  /** Basis Universal's number for it. */
  target: number;
  /** The graphics card's number for it. */
  internal: number;
  /** Compressed blocks of 4 x 4, sixteen bytes each; otherwise four bytes a texel. */
  blocks: boolean;
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

let wasm: Promise<ArrayBuffer> | null = null;
let here: Promise<Transcoder> | null = null;

/** Return the largest level of a KTX2 image in another format; workers make it where the page may have some. */
export async function transcode(bytes: Uint8Array, format: BlockFormat): Promise<Uint8Array<ArrayBuffer>> {
  wasm ??= fetchWasm(WASM, "An avatar with KTX2 textures");
  const binary = await wasm.catch((error) => {
    wasm = null;
    throw error;
  });
  let made = await transcodeBeside(bytes, format, binary);
  if (made === undefined) {
    here ??= import("./basis.ts").then(({ openBasis }) => openBasis(binary));
    const transcoder = await here;
    // The page draws between two images.
    await new Promise((resolve) => setTimeout(resolve));
    try {
      made = transcoder(bytes, format);
    } catch {
      // What is damaged may leave the WebAssembly unusable.
      here = null;
    }
  }
  if (!made) throw new AvatarFormatError("A KTX2 image of the avatar is damaged, or of a kind that is not read.");
  return made;
}
