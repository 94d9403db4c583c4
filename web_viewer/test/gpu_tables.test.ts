/** Tables as WebGPU's kernels read them, read back here. */
import { describe, expect, it } from "vitest";
import { packColumns } from "../src/gpu/columns.ts";
import { BLOCK, packDeltas, type Shape } from "../src/gpu/deltas.ts";
import { packInfluences } from "../src/gpu/influences.ts";
import { Influences } from "../src/posing/skinning.ts";

const snorm = (word: number, half: number) => Math.max(((word >> (16 * half)) << 16) >> 16, -32767) / 32767;

/** Return shape by shape what the words say, 3 numbers a point. */
function unpackDeltas(words: Uint32Array, count: number, shapes: number, exact: boolean): Float64Array[] {
  const floats = new Float32Array(words.buffer);
  const blocks = Math.ceil(count / BLOCK);
  const out = Array.from({ length: shapes }, () => new Float64Array(3 * count));
  for (let i = 0; i < count; i++) {
    const block = Math.floor(i / BLOCK);
    const lane = i % BLOCK;
    for (let e = words[block]; e < words[block + 1]; e++) {
      const entry = blocks + 1 + 3 * e;
      const at = words[entry + 1];
      for (let c = 0; c < 3; c++) {
        const packed = words[at + (c * BLOCK) / 2 + (lane >> 1)];
        const value = exact ? floats[at + c * BLOCK + lane] : floats[entry + 2] * snorm(packed, lane & 1);
        out[words[entry]][3 * i + c] += value;
      }
    }
  }
  return out;
}

describe("packDeltas", () => {
  const count = 3 * BLOCK + 5;
  const dense = Float32Array.from({ length: 3 * count }, (_, i) => 0.01 * Math.sin(i * 1.7));
  const shapes: Shape[] = [
    { direction: { rows: null, values: dense }, shape: 0 },
    // One row is there twice, and the others are in no order.
    { direction: { rows: Uint32Array.of(70, 66, 70), values: dense.subarray(0, 9) }, shape: 2 },
    { direction: { rows: null, values: new Float32Array(3 * count) }, shape: 1 },
  ];
  const wanted = [dense, new Float32Array(3 * count), new Float32Array(3 * count)];
  wanted[2].set(dense.subarray(3, 6), 3 * 66);
  for (let c = 0; c < 3; c++) wanted[2][3 * 70 + c] = dense[c] + dense[6 + c];

  it.each([true, false])("gives every displacement back, exact: %s", (exact) => {
    const got = unpackDeltas(packDeltas(count, shapes, exact), count, 3, exact);
    wanted.forEach((values, s) => {
      const bound = exact ? 0 : 0.02 / 65534 + 1e-9;
      values.forEach((value, i) => {
        expect(Math.abs(got[s][i] - value)).toBeLessThanOrEqual(bound);
      });
    });
  });

  it("keeps only blocks that move", () => {
    const words = packDeltas(count, shapes, false);
    expect([...words.subarray(0, 5)]).toEqual([0, 1, 3, 4, 5]);
    expect(words.length).toBe(5 + 5 * (3 + (3 * BLOCK) / 2));
  });

  it("takes no points and no shapes", () => {
    expect([...packDeltas(0, [], true)]).toEqual([0]);
    expect([...packDeltas(BLOCK, [], false)]).toEqual([0, 0]);
  });
});

describe("packColumns", () => {
  const columns = [0, 1, 2].map((n) => Float32Array.from({ length: 7 }, (_, i) => (n - 1) * (i - 3.5) ** 3));

  it.each([true, false])("gives every number back, exact: %s", (exact) => {
    const words = packColumns(
      7,
      columns.map((column) => (out: Float32Array) => out.set(column)),
      exact,
    );
    const floats = new Float32Array(words.buffer);
    columns.forEach((column, n) => {
      column.forEach((value, i) => {
        const got = exact ? floats[3 + 7 * n + i] : floats[n] * snorm(words[3 + 7 * (n >> 1) + i], n & 1);
        expect(Math.abs(got - value)).toBeLessThanOrEqual(exact ? 0 : 43 / 65534 + 1e-6);
      });
    });
  });
});

describe("packInfluences", () => {
  it("pads to pairs, and lets what is missing lean on the joint that stays", () => {
    const influences = new Influences(
      Uint32Array.of(0, 1, 3, 6),
      Uint16Array.of(4, 0, 1, 2, 3, 4),
      Float64Array.of(0.75, 0.5, 0.5, 0.25, 0.25, 0.5),
    );
    const { starts, texels } = packInfluences(influences, influences.missing(), 5);
    const floats = new Float32Array(texels.buffer);
    expect([...starts]).toEqual([0, 1, 2, 4]);
    const pairs = (texel: number) => [
      texels[4 * texel],
      floats[4 * texel + 1],
      texels[4 * texel + 2],
      floats[4 * texel + 3],
    ];
    expect([0, 1, 2, 3].map(pairs)).toEqual([
      [4, 0.75, 5, 0.25],
      [0, 0.5, 1, 0.5],
      [2, 0.25, 3, 0.25],
      [4, 0.5, 0, 0],
    ]);
  });
});
