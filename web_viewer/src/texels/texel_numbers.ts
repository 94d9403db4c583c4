/** Numbers as the bits of packed texels: the twin of formats/codecs/texel_numbers.py. Rounding is floor(x + 0.5). */

export interface Box {
  low: number[];
  high: number[];
}

const scratch = new DataView(new ArrayBuffer(8));

function float32Bits(x: number): number {
  scratch.setFloat32(0, x);
  return scratch.getUint32(0);
}

function fromFloat32Bits(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

/** Return the float32 after `x`, a float32, towards `up` or down. */
function nextFloat32(x: number, up: boolean): number {
  if (x === 0) return (up ? 1 : -1) * 2 ** -149;
  const bits = float32Bits(x);
  return fromFloat32Bits(up === x > 0 ? bits + 1 : bits - 1);
}

/** Return each column's least and largest value, rounded outwards to float32; at least `within`. */
export function boxOf(values: ArrayLike<number>, columns: number, within?: [number, number]): Box {
  const low = new Array<number>(columns).fill(values.length ? Number.POSITIVE_INFINITY : 0);
  const high = new Array<number>(columns).fill(values.length ? Number.NEGATIVE_INFINITY : 0);
  for (let i = 0; i < values.length; i++) {
    low[i % columns] = Math.min(low[i % columns], values[i]);
    high[i % columns] = Math.max(high[i % columns], values[i]);
  }
  for (let c = 0; c < columns; c++) {
    if (within) {
      low[c] = Math.min(low[c], within[0]);
      high[c] = Math.max(high[c], within[1]);
    }
    const [down, up] = [Math.fround(low[c]), Math.fround(high[c])];
    low[c] = down > low[c] ? nextFloat32(down, false) : down;
    high[c] = up < high[c] ? nextFloat32(up, true) : up;
  }
  return { low, high };
}

/** Return floor((x - low) / (high - low) (2^bits - 1) + 0.5); 0 where the box has no size. */
export function unorm(x: number, box: Box, column: number, bits: number): number {
  const most = 2 ** bits - 1;
  const extent = box.high[column] - box.low[column];
  const share = (x - box.low[column]) / (extent > 0 ? extent : 1);
  return Math.min(Math.max(Math.floor(share * most + 0.5), 0), most);
}

/** Return floor(x (2^(bits-1) - 1) + 0.5) as two's complement of `bits` bits. */
export function snorm(x: number, bits: number): number {
  const most = 2 ** (bits - 1) - 1;
  const q = Math.min(Math.max(Math.floor(x * most + 0.5), -most), most);
  return q < 0 ? q + 2 ** bits : q;
}

/** Return the bits of float16: nearest, ties to even, cut to its range. */
export function half(value: number): number {
  const x = Math.min(Math.max(Math.fround(value), -65504), 65504);
  const sign = float32Bits(x) >>> 31 ? 0x8000 : 0;
  const size = Math.abs(x);
  // A subnormal or a normal number is a whole number of steps; halfway goes to the even one.
  const exponent = Math.max(((float32Bits(x) >>> 23) & 0xff) - 127, -14);
  const steps = size / 2 ** (exponent - 10);
  let whole = Math.floor(steps);
  const rest = steps - whole;
  if (rest > 0.5 || (rest === 0.5 && whole % 2 === 1)) whole++;
  // The leading one of a normal number adds to the exponent, which therefore counts from one less.
  return sign + (exponent + 14) * 1024 + whole;
}

/** Return the bits of float32. */
export function floatBits(values: ArrayLike<number>): Uint32Array {
  return Uint32Array.from(values, float32Bits);
}

/** Return a word of two 16-bit halves. */
export function halves(low: number, high: number): number {
  return (low | (high << 16)) >>> 0;
}

/** Return a word of four bytes, the first lowest. */
export function bytesToWord(a: number, b: number, c: number, d: number): number {
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

/** Return three snorms of 11, 11 and 10 bits, the first lowest. */
export function threeSnorms(x: number, y: number, z: number): number {
  return (snorm(x, 11) | (snorm(y, 11) << 11) | (snorm(z, 10) << 22)) >>> 0;
}

/** Return a unit quaternion wxyz in 32 bits, up to its sign. */
export function smallestThree(q: number[]): number {
  let largest = 0;
  for (let i = 1; i < 4; i++) if (Math.abs(q[i]) > Math.abs(q[largest])) largest = i;
  const sign = q[largest] < 0 ? -1 : 1;
  const [a, b, c] = [0, 1, 2, 3].filter((i) => i !== largest).map((i) => snorm(q[i] * sign * Math.sqrt(2), 10));
  return (a | (b << 10) | (c << 20) | (largest << 30)) >>> 0;
}

/** Return words as texels, the last one filled with zeros. */
export function several(words: Uint32Array): Uint32Array {
  const out = new Uint32Array(Math.ceil(words.length / 4) * 4);
  out.set(words);
  return out;
}

/** Return rows of words as texels, each row begun on a texel and its end zero. */
export function rowsToTexels(words: ArrayLike<number>, width: number): Uint32Array {
  const wide = Math.ceil(width / 4) * 4;
  const out = new Uint32Array((words.length / width) * wide);
  for (let i = 0; i < words.length; i++) out[Math.floor(i / width) * wide + (i % width)] = words[i];
  return out;
}

/** Return rows of numbers of `bits` bits as rows of words, the first number lowest, each row begun on a word. */
export function packRows(q: number[], width: number, bits: number): { words: Uint32Array; perRow: number } {
  const perWord = 32 / bits;
  const perRow = Math.ceil(width / perWord);
  const words = new Uint32Array((q.length / width) * perRow);
  q.forEach((value, i) => {
    const column = i % width;
    const at = Math.floor(i / width) * perRow + Math.floor(column / perWord);
    words[at] = (words[at] | (value << (bits * (column % perWord)))) >>> 0;
  });
  return { words, perRow };
}
