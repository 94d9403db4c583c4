/** Fans of a mesh against sums over its faces: whatever the mesh, the rotation pass must see the same numbers. */
import { describe, expect, it } from "vitest";
import { fansOf } from "../src/posing/rings.ts";

/** A closed fan, an open one, two fans that meet in one vertex, an edge of three faces, faces that turn both ways, a lone vertex. */
const MESHES: [string, number[]][] = [
  ["a closed ring", [0, 1, 2, 0, 2, 3, 0, 3, 4, 0, 4, 1]],
  ["an open fan, its faces shuffled", [0, 3, 4, 0, 1, 2, 0, 2, 3]],
  ["two fans that meet in one vertex", [0, 1, 2, 0, 3, 4]],
  ["three faces on one edge", [0, 1, 2, 0, 1, 3, 0, 1, 4]],
  ["faces that turn both ways", [0, 1, 2, 0, 3, 2, 0, 3, 4]],
  ["a face named twice", [0, 1, 2, 0, 1, 2]],
];

const COUNT = 6;
const points = Float32Array.from({ length: 3 * COUNT }, (_, i) => Math.sin(7.3 * i + 1) * 0.02);

describe("fansOf", () => {
  it.each(MESHES)("sums %s as its faces do", (_, list) => {
    const faces = Uint32Array.from(list);
    const { spans, chain, frames } = fansOf(points, faces, COUNT);
    const edges = new Float32Array(chain.buffer, chain.byteOffset);
    for (let v = 0; v < COUNT; v++) {
      const at = (i: number) => [0, 1, 2].map((c) => 1e3 * (points[3 * i + c] - points[3 * v + c]));
      const wanted = { outer: new Array(9).fill(0), normal: [0, 0, 0], square: 0 };
      const found = { outer: new Array(9).fill(0), normal: [0, 0, 0], square: 0 };
      const addEdge = (into: typeof wanted, e: number[], weight: number) => {
        for (let r = 0; r < 3; r++) for (let c = 0; c < 3; c++) into.outer[3 * r + c] += weight * e[r] * e[c];
        into.square += weight * e.reduce((sum, x) => sum + x * x, 0);
      };
      const addCross = (into: typeof wanted, a: number[], b: number[]) => {
        for (let c = 0; c < 3; c++) {
          const [d, e] = [(c + 1) % 3, (c + 2) % 3];
          into.normal[c] += a[d] * b[e] - a[e] * b[d];
        }
      };
      for (let f = 0; f < faces.length; f += 3) {
        const k = [0, 1, 2].find((corner) => faces[f + corner] === v);
        if (k === undefined) continue;
        const [a, b] = [at(faces[f + ((k + 1) % 3)]), at(faces[f + ((k + 2) % 3)])];
        addEdge(wanted, a, 1);
        addEdge(wanted, b, 1);
        addCross(wanted, a, b);
      }
      let before: number[] = [];
      for (let i = spans[4 * v]; i < spans[4 * v + 1]; i++) {
        const e = [...edges.subarray(4 * i, 4 * i + 3)];
        const word = chain[4 * i + 3];
        expect(e).toEqual(at(word >> 3).map(Math.fround));
        addEdge(found, e, (word >> 1) & 3);
        if (!(word & 1)) addCross(found, before, e);
        before = e;
      }
      // Millimetres squared, of some hundred: float32 edges.
      wanted.outer.forEach((value, i) => {
        expect(found.outer[i]).toBeCloseTo(value, 2);
      });
      for (let c = 0; c < 3; c++) expect(found.normal[c]).toBeCloseTo(wanted.normal[c], 2);
      const length = Math.hypot(...wanted.normal);
      if (wanted.square === 0) expect(spans[4 * v]).toBe(spans[4 * v + 1]);
      else expect(Math.abs(new Float32Array(spans.buffer)[4 * v + 3])).toBeCloseTo(wanted.square, 2);
      if (length < 1) continue;
      // The quaternion's first column is the normal.
      const [w, x, y, z] = frames.subarray(4 * v, 4 * v + 4);
      const first = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)];
      for (let c = 0; c < 3; c++) expect(first[c]).toBeCloseTo(wanted.normal[c] / length, 5);
    }
  });

  it("leaves vertices without faces, and meshes without any, as they are", () => {
    const { spans, frames } = fansOf(points, new Uint32Array(0), COUNT);
    expect([...spans]).toEqual(new Array(4 * COUNT).fill(0));
    expect([...frames.subarray(0, 4)]).toEqual([1, 0, 0, 0]);
  });

  it("says that faces without area have none", () => {
    const flat = Float32Array.of(0, 0, 0, 1, 0, 0, 2, 0, 0);
    const { spans } = fansOf(flat, Uint32Array.of(0, 1, 2), 3);
    expect(new Float32Array(spans.buffer)[3]).toBeLessThan(0);
  });
});
