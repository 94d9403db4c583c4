/**
 * The bitstreams of `EXT_meshopt_compression`, version 0, written from the extension's specification; the twin of
 * `formats/codecs/meshopt.py`. Bounded: what a stream claims is compared with its length before anything is allocated.
 */
import { AvatarFormatError } from "../errors.ts";

const GROUP = 16;
const BLOCK_BYTES = 8192;
const BLOCK_ROWS = 256;
const TAIL = 32;

function damaged(): never {
  throw new AvatarFormatError("A compressed part of the GLB is damaged or was cut off. Copy the file again.");
}

/** Return `count` rows of `stride` bytes from mode ATTRIBUTES. */
export function decodeRows(data: Uint8Array, count: number, stride: number): Uint8Array<ArrayBuffer> {
  if (stride < 4 || stride > 256 || stride % 4 || count < 1) damaged();
  const tail = Math.max(TAIL, stride);
  const end = data.length - tail;
  // Each plane of a block has two bits for every group at least.
  if (data[0] !== 0xa0 || end < 1 + stride * Math.ceil(count / (4 * GROUP))) damaged();
  const out = new Uint8Array(count * stride);
  const last = data.slice(data.length - stride);
  const size = Math.min((BLOCK_BYTES / stride) & ~(GROUP - 1), BLOCK_ROWS);
  const values = new Uint8Array(GROUP);
  let at = 1;
  for (let first = 0; first < count; first += size) {
    const rows = Math.min(size, count - first);
    const groups = Math.ceil(rows / GROUP);
    for (let plane = 0; plane < stride; plane++) {
      const header = at;
      at += Math.ceil(groups / 4);
      let before = last[plane];
      let o = first * stride + plane;
      for (let g = 0; g < groups; g++) {
        const code = (data[header + (g >> 2)] >> (2 * (g & 3))) & 3;
        const here = Math.min(GROUP, rows - g * GROUP);
        if (code === 0) {
          // No differences: most of a blendshape, and `out` is zero already.
          if (before) for (let i = 0, to = o; i < here; i++, to += stride) out[to] = before;
          o += here * stride;
          continue;
        }
        if (at >= end) damaged();
        at = readGroup(data, at, code, values);
        for (let i = 0; i < here; i++, o += stride) {
          const zigzag = values[i];
          before = (before + ((zigzag >> 1) ^ -(zigzag & 1))) & 255;
          out[o] = before;
        }
      }
      last[plane] = before;
    }
  }
  return at === end ? out : damaged();
}

/** Read sixteen differences of 2, 4 or 8 bits each into `values`; return where they end. */
function readGroup(data: Uint8Array, at: number, code: number, values: Uint8Array): number {
  if (code === 3) {
    for (let i = 0; i < GROUP; i++) values[i] = data[at + i];
    return at + GROUP;
  }
  const bits = code === 1 ? 2 : 4;
  const most = (1 << bits) - 1;
  let outlier = at + 2 * bits;
  for (let i = 0; i < GROUP; i++) {
    const bit = i * bits;
    const value = (data[at + (bit >> 3)] >> (8 - bits - (bit & 7))) & most;
    values[i] = value === most ? data[outlier++] : value;
  }
  return outlier;
}

/** Return `count` numbers from mode INDICES. */
export function decodeIndices(data: Uint8Array, count: number): Uint32Array<ArrayBuffer> {
  if (data[0] !== 0xd1 || data.length < 1 + count + 4) damaged();
  const out = new Uint32Array(count);
  const last = [0, 0];
  let at = 1;
  for (let i = 0; i < count; i++) {
    let value = 0;
    let scale = 1;
    let byte: number;
    do {
      byte = data[at++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127 && scale < 2 ** 36);
    if (at > data.length - 4) damaged();
    const which = value % 2;
    const zigzag = Math.floor(value / 2);
    const step = zigzag % 2 ? -(zigzag + 1) / 2 : zigzag / 2;
    last[which] += step;
    out[i] = last[which];
  }
  return at === data.length - 4 ? out : damaged();
}

/** Two to the power of -128..127. */
const POWERS = Float64Array.from({ length: 256 }, (_, i) => 2 ** (i - 128));

/** Turn words of 24 bits times two to the power of 8 bits into floats, in place (filter EXPONENTIAL). */
export function undoExponential(bytes: Uint8Array<ArrayBuffer>): void {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  for (let i = 0; i < words.length; i++) floats[i] = ((words[i] << 8) >> 8) * POWERS[(words[i] >> 24) + 128];
}
