import { expect, test } from "vitest";
import type { Head } from "../../src/avatar/avatar.ts";
import { regionsOf, words } from "../../src/page/regions.ts";

function head(exprNames: string[], edition = "standin", map = false): Head {
  const expressions = exprNames.map((_, i) => ({ rows: null, values: Float32Array.of(i, 0, 0) }));
  const arkitMap = map ? new Float32Array(52 * (exprNames.length + 14)) : null;
  return { exprNames, expressions, edition, arkitMap } as unknown as Head;
}

test("ARKit's shapes are grouped by what they move, each once", () => {
  const regions = regionsOf(head(["expr000", "expr001", "jawOpen"], "flame2023", true));
  expect(regions.map(({ title, shapes }) => [title, shapes.length])).toEqual([
    ["Brows", 5],
    ["Eyes", 14],
    ["Jaw", 4],
    ["Mouth", 24],
    ["Cheeks", 3],
    ["Nose", 2],
    ["Expressions", 2],
  ]);
});

test("components without names come strongest first, the first of them at once", () => {
  const names = Array.from({ length: 100 }, (_, i) => `expr${String(i).padStart(3, "0")}`);
  const [region, ...more] = regionsOf(head(names));
  expect(more).toEqual([]);
  expect(region.shapes.slice(0, 2).map(({ name, label }) => [name, label])).toEqual([
    ["expr099", "Expression 100"],
    ["expr098", "Expression 99"],
  ]);
  expect(region.first).toBe(12);
});

test("an ARKit head's own shapes run from 0 to 1, others to 3 both ways", () => {
  const shapes = regionsOf(head(["browInnerUp", "wink"], "arkit-52", true)).flatMap((region) => region.shapes);
  expect(shapes.map(({ name, low, high, viaMap }) => [name, low, high, viaMap])).toEqual([
    ["browInnerUp", 0, 1, false],
    ["wink", -3, 3, false],
  ]);
});

test("names become words", () => {
  expect(["mouthSmileLeft", "upper_lip_raise", "jaw"].map(words)).toEqual([
    "Mouth smile left",
    "Upper lip raise",
    "Jaw",
  ]);
});
