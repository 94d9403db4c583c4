import { describe, expect, it } from "vitest";
import { DepthSorter } from "../src/ordering/sort.ts";

const AXIS = [0, 0, 1] as const;

describe("DepthSorter", () => {
  it("orders farthest first and leaves out what is nearer than the near plane", () => {
    const depths = [3, 1, 0.1, 2, 5];
    const centers = Float32Array.from(depths.flatMap((z) => [9, -9, z]));
    const order = new Uint32Array(5);
    const shown = new DepthSorter().sort(centers, Uint32Array.of(0, 1, 2, 3, 4), AXIS, 0, 0.2, order);
    expect([...order.subarray(0, shown)]).toEqual([4, 0, 3, 1]);
  });

  it("puts the first of equally deep ones on top, as the reference does", () => {
    const centers = new Float32Array(12).fill(1);
    const order = new Uint32Array(4);
    expect(new DepthSorter().sort(centers, Uint32Array.of(0, 1, 2, 3), AXIS, 0, 0.2, order)).toBe(4);
    expect([...order]).toEqual([3, 2, 1, 0]);
  });

  it("is exact for many, and may be used again with fewer", () => {
    const sorter = new DepthSorter();
    for (const n of [5000, 300]) {
      const centers = Float32Array.from({ length: 3 * n }, (_, i) => 1 + Math.abs(Math.sin(i * 12.9898)) * 0.5);
      const order = new Uint32Array(n);
      const ids = Uint32Array.from({ length: n }, (_, i) => i);
      expect(sorter.sort(centers, ids, AXIS, 0.5, 0.2, order)).toBe(n);
      expect(new Set(order).size).toBe(n);
      for (let i = 1; i < n; i++) {
        expect(centers[3 * order[i] + 2]).toBeLessThanOrEqual(centers[3 * order[i - 1] + 2]);
      }
    }
  });

  it("is exact for what lies far apart, and for neighbours that floats can just tell apart", () => {
    // From 2 m to 80 m, and a thousand neighbours one float32 step from each other.
    const far = Array.from({ length: 4000 }, (_, i) => 2 + 78 * Math.abs(Math.sin(i * 78.233)));
    const step = 2 ** -23;
    const near = Array.from({ length: 1000 }, (_, i) => 1 + ((i * 389) % 1000) * step);
    for (const depths of [near, [...far, ...near]]) {
      const n = depths.length;
      const centers = Float32Array.from(depths.flatMap((z) => [0, 0, z]));
      const order = new Uint32Array(n);
      expect(new DepthSorter().sort(centers, Uint32Array.from(depths.keys()), AXIS, 0, 0.2, order)).toBe(n);
      expect(new Set(order).size).toBe(n);
      for (let i = 1; i < n; i++) expect(depths[order[i]]).toBeLessThanOrEqual(depths[order[i - 1]]);
    }
  });

  it("shows nothing when there is nothing, or only NaN", () => {
    const order = new Uint32Array(1);
    expect(new DepthSorter().sort(new Float32Array(0), new Uint32Array(0), AXIS, 0, 0.2, order)).toBe(0);
    expect(new DepthSorter().sort(Float32Array.of(0, 0, Number.NaN), Uint32Array.of(0), AXIS, 0, 0.2, order)).toBe(0);
  });
});
