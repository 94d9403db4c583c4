/** Sums of directions, dense and sparse, however many. */
import { describe, expect, it } from "vitest";
import type { SparseRows } from "../src/avatar/glb.ts";
import { addAll } from "../src/posing/head.ts";

const VERTICES = 7;

function directionsOf(count: number): SparseRows[] {
  return Array.from({ length: count }, (_, k) => {
    const value = (i: number) => Math.sin(12.9898 * (k + 1) * (i + 1));
    if (k % 5 === 3)
      return { rows: Uint32Array.of(1, 6), values: Float32Array.from({ length: 6 }, (_, i) => value(i)) };
    return { rows: null, values: Float32Array.from({ length: 3 * VERTICES }, (_, i) => value(i)) };
  });
}

/** The sum, one number after another. */
function summed(directions: SparseRows[], coefficients: Float64Array): Float64Array {
  const out = new Float64Array(3 * VERTICES).fill(1);
  directions.forEach(({ rows, values }, k) => {
    values.forEach((value, i) => {
      out[rows ? 3 * rows[Math.floor(i / 3)] + (i % 3) : i] += coefficients[k] * value;
    });
  });
  return out;
}

describe.each([0, 1, 7, 8, 9, 30])("%i directions", (count) => {
  it("add up", () => {
    const directions = directionsOf(count);
    const coefficients = Float64Array.from({ length: count }, (_, k) => (k % 4 === 2 ? 0 : Math.cos(k)));
    const wanted = summed(directions, coefficients);
    const out = new Float64Array(3 * VERTICES).fill(1);
    addAll(out, directions, coefficients);
    out.forEach((value, i) => {
      expect(Math.abs(value - wanted[i])).toBeLessThan(1e-12);
    });
  });
});
