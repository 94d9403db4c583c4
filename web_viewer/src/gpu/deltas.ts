/**
 * Displacements of many points by many shapes, for kernels with a thread per point: blocks of 64 points hold only the
 * shapes that move one of theirs, so that local shapes cost nothing elsewhere, and neighbouring threads read neighbouring
 * words. 16-bit snorms of a block's own scale are within 1/65534 of the largest displacement there, some 1e-7 m; exact
 * ones are float32.
 *
 * Words: where each block's entries begin (BLOCKS + 1); entries of shape, first word of its data, bits of its scale; data:
 * x of the 64 points, y, z, two points a word or one.
 */
import type { SparseRows } from "../avatar/glb.ts";

/** Points per block, and threads per workgroup. */
export const BLOCK = 64;

/** A direction and whose coefficient moves it. */
export interface Shape {
  direction: SparseRows;
  /** Place in the frame's coefficients. */
  shape: number;
}

export function packDeltas(count: number, shapes: Shape[], exact: boolean): Uint32Array {
  const blocks = Math.ceil(count / BLOCK);
  const dense = new Float32Array(3 * BLOCK * blocks);
  const spread = ({ rows, values }: SparseRows) => {
    dense.fill(0);
    for (let v = 0; v < values.length; v++) dense[rows ? 3 * rows[Math.floor(v / 3)] + (v % 3) : v] += values[v];
  };
  const used = new Uint32Array(blocks + 1);
  const moves = shapes.map(({ direction }) => {
    spread(direction);
    return Uint8Array.from({ length: blocks }, (_, b) => {
      const there = dense.subarray(3 * BLOCK * b, 3 * BLOCK * (b + 1)).some((x) => x !== 0);
      used[b + 1] += Number(there);
      return Number(there);
    });
  });
  for (let b = 0; b < blocks; b++) used[b + 1] += used[b];
  const entries = blocks + 1;
  const size = exact ? 3 * BLOCK : (3 * BLOCK) / 2;
  const words = new Uint32Array(entries + used[blocks] * (3 + size));
  words.set(used);
  const floats = new Float32Array(words.buffer);
  const halves = new Int16Array(words.buffer);
  const next = used.slice(0, blocks);
  shapes.forEach(({ direction, shape }, s) => {
    spread(direction);
    moves[s].forEach((there, b) => {
      if (!there) return;
      const entry = entries + 3 * next[b];
      const at = entries + 3 * used[blocks] + size * next[b]++;
      const part = dense.subarray(3 * BLOCK * b, 3 * BLOCK * (b + 1));
      const scale = part.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      words[entry] = shape;
      words[entry + 1] = at;
      floats[entry + 2] = scale;
      for (let i = 0; i < BLOCK; i++) {
        for (let c = 0; c < 3; c++) {
          const x = part[3 * i + c];
          if (exact) floats[at + c * BLOCK + i] = x;
          else halves[2 * at + c * BLOCK + i] = Math.round((x / scale) * 32767);
        }
      }
    });
  });
  return words;
}

/** WGSL: reads `deltas: array<u32>`, and `coefficient`; constants BLOCKS, EXACT, LIDS, LIDS_POSED. */
export const DISPLACEMENT = `
struct Displacement { rest: vec3f, after: vec3f }

/** What shapes add before skinning, and lids after it (turned by the root). */
fn displacement(block: u32, lane: u32) -> Displacement {
  var sum = Displacement(vec3f(0), vec3f(0));
  let end = deltas[block + 1u];
  for (var e = deltas[block]; e < end; e++) {
    let entry = BLOCKS + 1u + 3u * e;
    let shape = deltas[entry];
    let c = coefficient(shape);
    if (c == 0.) { continue; }
    let at = deltas[entry + 1u];
    var d: vec3f;
    if (EXACT) {
      d = bitcast<vec3f>(vec3u(deltas[at + lane], deltas[at + ${BLOCK}u + lane], deltas[at + ${2 * BLOCK}u + lane]));
    } else {
      let k = at + lane / 2u;
      let h = lane % 2u;
      d = bitcast<f32>(deltas[entry + 2u]) * vec3f(unpack2x16snorm(deltas[k])[h],
        unpack2x16snorm(deltas[k + ${BLOCK / 2}u])[h], unpack2x16snorm(deltas[k + ${BLOCK}u])[h]);
    }
    if (LIDS_POSED && shape >= LIDS) { sum.after += c * d; } else { sum.rest += c * d; }
  }
  return sum;
}
`;
