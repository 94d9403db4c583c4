/** How large an image says it is, before anything decodes it. */

import { AvatarFormatError } from "../errors.ts";
import type { LayerImage } from "./avatar.ts";

/** Return width and height from the image's own header. Throws `AvatarFormatError`. */
export function imageSize({ bytes, type }: LayerImage): [number, number] {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [width, height] = bytes.byteLength < 32 ? [0, 0] : READERS[type](data);
  if (!(width >= 1 && height >= 1)) throw new AvatarFormatError(`An image of the avatar is damaged or no ${type}.`);
  return [width, height];
}

const NONE: [number, number] = [0, 0];

const READERS: Record<LayerImage["type"], (data: DataView) => [number, number]> = {
  "image/png": (data) =>
    data.getUint32(0) === 0x89504e47 && data.getUint32(12) === 0x49484452
      ? [data.getUint32(16), data.getUint32(20)]
      : NONE,
  "image/webp": (data) => {
    if (data.getUint32(0) !== 0x52494646 || data.getUint32(8) !== 0x57454250) return NONE;
    const bits = data.getUint32(21, true);
    switch (data.getUint32(12)) {
      case 0x56503820: // "VP8 "
        return [data.getUint16(26, true) & 0x3fff, data.getUint16(28, true) & 0x3fff];
      case 0x5650384c: // "VP8L"
        return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
      case 0x56503858: // "VP8X"
        return [(data.getUint32(24, true) & 0xffffff) + 1, ((data.getUint32(26, true) >>> 8) & 0xffffff) + 1];
      default:
        return NONE;
    }
  },
  "image/ktx2": (data) =>
    data.getUint32(0) === 0xab4b5458 && data.getUint32(4) === 0x203230bb
      ? [data.getUint32(20, true), data.getUint32(24, true)]
      : NONE,
};
