/**
 * Columns of one number per Gaussian: scales of the columns, then the columns, two in a word as 16-bit snorms of their
 * scale, or one as float32. Neighbouring threads read neighbouring words.
 */

/** Fills a column, one number per row. */
export type Column = (out: Float32Array) => void;

export function packColumns(count: number, columns: Column[], exact: boolean): Uint32Array {
  const lines = exact ? columns.length : Math.ceil(columns.length / 2);
  const words = new Uint32Array(columns.length + lines * count);
  const floats = new Float32Array(words.buffer);
  const halves = new Int16Array(words.buffer);
  const part = new Float32Array(count);
  columns.forEach((fill, n) => {
    part.fill(0);
    fill(part);
    const at = columns.length + (exact ? n : n >> 1) * count;
    if (exact) {
      floats.set(part, at);
      return;
    }
    const scale = part.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    floats[n] = scale;
    const step = scale ? 32767 / scale : 0;
    for (let i = 0; i < count; i++) halves[2 * (at + i) + (n & 1)] = Math.round(part[i] * step);
  });
  return words;
}

/** WGSL: reads `more: array<u32>`; constants COUNT, COLUMNS, EXACT. */
export const COLUMN = `
fn column(n: u32, i: u32) -> f32 {
  if (EXACT) { return bitcast<f32>(more[COLUMNS + n * COUNT + i]); }
  return bitcast<f32>(more[n]) * unpack2x16snorm(more[COLUMNS + (n / 2u) * COUNT + i])[n % 2u];
}

fn columns3(n: u32, i: u32) -> vec3f { return vec3f(column(n, i), column(n + 1u, i), column(n + 2u, i)); }
`;
