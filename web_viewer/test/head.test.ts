/** Sums of directions, dense and sparse, however many; joints that move as one. */
import { describe, expect, it } from "vitest";
import { readAvatar } from "../src/avatar/avatar.ts";
import type { SparseRows } from "../src/avatar/glb.ts";
import { addAll, HeadPoser } from "../src/posing/head.ts";
import { Pose } from "../src/posing/pose.ts";
import { skin } from "../src/posing/skinning.ts";
import { goldenBytes } from "./files.ts";

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

it("poses a head whose joints move as one as it poses every other", () => {
  const { head } = readAvatar(goldenBytes("vertex-index-surface.glb"));
  const pose = new Pose(head);
  pose.expr.forEach((_, i) => {
    pose.expr[i] = Math.sin(i + 1);
  });
  pose.rotation.set([0.1, -0.4, 0.2]);
  pose.translation.set([0.3, 1.8, -0.1]);
  const quick = new HeadPoser(head);
  quick.pose(pose);
  const slow = new HeadPoser(head);
  skin(quick.rest, head.weights, quick.matrices, null, slow.vertices);
  expect(quick.asOne).toBe(true);
  for (let i = 0; i < slow.vertices.length; i++) expect(quick.vertices[i]).toBeCloseTo(slow.vertices[i], 10);
  pose.jaw.set([1e-6, 0, 0]);
  quick.pose(pose);
  expect(quick.asOne).toBe(false);
});
