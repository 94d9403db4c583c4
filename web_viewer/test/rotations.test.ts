import { describe, expect, it } from "vitest";
import {
  axisAngleToMatrix,
  axisAngleToQuat,
  matrixToQuat,
  quatMultiply,
  quatToAxisAngle,
  slerp,
} from "../src/posing/rotations.ts";

/** Deterministic numbers in -1..1. */
function* random(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 31 - 1;
  }
}

function vectors(count: number, size: number): number[][] {
  const next = random(7);
  return Array.from({ length: count }, () => [0, 0, 0].map(() => size * (next.next().value as number)));
}

describe("rotations", () => {
  it("axis-angle survives the way through quaternions and matrices", () => {
    for (const r of [...vectors(50, 1.7), [0, 0, 0], [1e-9, 0, 0], [Math.PI - 1e-6, 0, 0]]) {
      const q = new Float64Array(4);
      const m = new Float64Array(9);
      const back = new Float64Array(3);
      axisAngleToMatrix(r, 0, m, 0);
      matrixToQuat(m, 0, q, 0);
      quatToAxisAngle(q, 0, back, 0);
      r.forEach((value, c) => {
        expect(back[c]).toBeCloseTo(value, 8);
      });
    }
  });

  it("a turn times its inverse is no turn", () => {
    for (const r of vectors(20, 2)) {
      const q = new Float64Array(8);
      axisAngleToQuat(r, 0, q, 0);
      axisAngleToQuat(
        r.map((value) => -value),
        0,
        q,
        4,
      );
      const out = new Float64Array(4);
      quatMultiply(q, 0, q, 4, out, 0);
      expect(Math.abs(out[0])).toBeCloseTo(1, 12);
    }
  });

  it("slerp takes the shorter arc, at constant speed", () => {
    const a = Float64Array.of(1, 0, 0, 0);
    const b = new Float64Array(4);
    axisAngleToQuat([0, 1.2, 0], 0, b, 0);
    for (const sign of [1, -1]) {
      const out = new Float64Array(4);
      const angle = new Float64Array(3);
      slerp(a, b.map((value) => sign * value) as Float64Array, 0.25, out);
      quatToAxisAngle(out, 0, angle, 0);
      expect(angle[1]).toBeCloseTo(0.3, 12);
    }
  });
});
