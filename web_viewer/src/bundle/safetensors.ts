/** Reading safetensors: a JSON header, then arrays. Everything is checked before memory is taken. */

import type { Json } from "../avatar/glb.ts";
import { AvatarFormatError } from "../errors.ts";

const HEADER = 16 << 20;
const BYTES: Record<string, number> = {
  F64: 8,
  F32: 4,
  F16: 2,
  U8: 1,
  I8: 1,
  BOOL: 1,
  U16: 2,
  I16: 2,
  U32: 4,
  I32: 4,
  I64: 8,
  U64: 8,
};

interface Tensor {
  type: string;
  shape: number[];
  at: number;
  count: number;
}

export class Safetensors {
  /** What the header says beside arrays. */
  readonly metadata: Record<string, string>;
  private readonly tensors = new Map<string, Tensor>();
  private readonly data: DataView;

  constructor(
    bytes: Uint8Array<ArrayBuffer>,
    private readonly name: string,
  ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length =
      bytes.length >= 8 && view.getUint32(4, true) === 0 ? view.getUint32(0, true) : Number.POSITIVE_INFINITY;
    if (length > Math.min(HEADER, bytes.length - 8)) this.fail("is no whole safetensors file");
    let header: Json;
    try {
      header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)));
    } catch {
      this.fail("has a damaged header");
    }
    this.data = new DataView(bytes.buffer, bytes.byteOffset + 8 + length, bytes.length - 8 - length);
    this.metadata = header.__metadata__ ?? {};
    for (const [key, entry] of Object.entries<Json>(header)) {
      if (key === "__metadata__") continue;
      const { dtype, shape, data_offsets: offsets } = entry ?? {};
      const whole = (value: Json) => Number.isInteger(value) && value >= 0;
      if (!BYTES[dtype] || !Array.isArray(shape) || !shape.every(whole) || !offsets?.every?.(whole)) {
        this.fail(`describes '${key}' in a way that makes no sense`);
      }
      const count = shape.reduce((product: number, n: number) => product * n, 1);
      if (offsets[1] - offsets[0] !== count * BYTES[dtype] || offsets[1] > this.data.byteLength) {
        this.fail(`has '${key}' reach outside the file, which may have been cut off`);
      }
      this.tensors.set(key, { type: dtype, shape, at: offsets[0], count });
    }
  }

  fail(what: string): never {
    throw new AvatarFormatError(`${this.name} ${what}.`);
  }

  has(key: string): boolean {
    return this.tensors.has(key);
  }

  /** Return the lengths of an array's axes; null stands for any. */
  shape(key: string, wanted: (number | null)[]): number[] {
    const tensor = this.tensors.get(key) ?? this.fail(`lacks '${key}'`);
    const good = tensor.shape.length === wanted.length && wanted.every((n, i) => n === null || n === tensor.shape[i]);
    const words = (shape: (number | null)[]) => `[${shape.map((n) => n ?? "any").join(", ")}]`;
    return good ? tensor.shape : this.fail(`has '${key}' of shape ${words(tensor.shape)}; expected ${words(wanted)}`);
  }

  /** Return an array as float32; finite numbers only. */
  floats(key: string, wanted: (number | null)[]): Float32Array {
    this.shape(key, wanted);
    const { type, at, count } = this.tensors.get(key)!;
    const { data } = this;
    const out = new Float32Array(count);
    if (type === "F32") for (let i = 0; i < count; i++) out[i] = data.getFloat32(at + 4 * i, true);
    else if (type === "F64") for (let i = 0; i < count; i++) out[i] = data.getFloat64(at + 8 * i, true);
    else if (type === "F16") for (let i = 0; i < count; i++) out[i] = half(data.getUint16(at + 2 * i, true));
    else this.fail(`has '${key}' as ${type}; expected floats`);
    for (const value of out) if (!Number.isFinite(value)) this.fail(`has NaN or infinity in '${key}'`);
    return out;
  }

  /** Return an array of whole numbers from 0 to below `limit`. */
  integers(key: string, wanted: (number | null)[], limit: number): Uint32Array {
    const out = this.signed(key, wanted);
    for (const value of out)
      if (value < 0 || value >= limit) this.fail(`has ${value} in '${key}'; expected 0..${limit - 1}`);
    return Uint32Array.from(out);
  }

  /** Return an array of whole numbers. */
  signed(key: string, wanted: (number | null)[]): Int32Array {
    this.shape(key, wanted);
    const { type, at, count } = this.tensors.get(key)!;
    const { data } = this;
    const read: Record<string, (i: number) => number> = {
      U8: (i) => data.getUint8(at + i),
      I8: (i) => data.getInt8(at + i),
      U16: (i) => data.getUint16(at + 2 * i, true),
      I16: (i) => data.getInt16(at + 2 * i, true),
      U32: (i) => data.getUint32(at + 4 * i, true),
      I32: (i) => data.getInt32(at + 4 * i, true),
      I64: (i) => Number(data.getBigInt64(at + 8 * i, true)),
      U64: (i) => Number(data.getBigUint64(at + 8 * i, true)),
    };
    const one = read[type] ?? this.fail(`has '${key}' as ${type}; expected whole numbers`);
    return Int32Array.from({ length: count }, (_, i) => one(i));
  }
}

/** IEEE 754 binary16 to a number. */
function half(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14);
}
