import { expect, test } from "vitest";
import { SequenceError } from "../../src/errors.ts";
import { decibels, psnr } from "../../src/page/psnr.ts";
import { referencesFrom, referencesIn } from "../../src/page/reference.ts";

test("decibels over colours, not alpha", () => {
  expect(psnr([255, 0, 0, 0], [0, 0, 0, 255])).toBeCloseTo(10 * Math.log10(3), 9);
  expect(decibels(psnr([1, 2, 3, 4], [1, 2, 3, 9]))).toBe("equal");
  expect(decibels(40.06)).toBe("40.1 dB");
});

test("pictures are of the frames that their names say", () => {
  const files = ["00010.png", "00002.png", "face.png"].map((name) => ({ name, source: name }));
  expect(referencesFrom(files).pictures.map(({ name, frame }) => [name, frame])).toEqual([
    ["00002.png", 2],
    ["00010.png", 10],
    ["face.png", 2],
  ]);
});

test("a reference.json names its pictures, and says what is wrong with it", () => {
  const json = { format: "flameport.reference/1", background: [0, 0, 0], pictures: [{ file: "a.png", frame: 1.5 }] };
  const { pictures, background, near } = referencesIn(json, (file) => `at/${file}`);
  expect([pictures[0].source, pictures[0].frame, background, near]).toEqual(["at/a.png", 1.5, [0, 0, 0], 0.2]);
  const refused = (change: object, message: RegExp, find: (file: string) => string | undefined = (file) => file) => {
    expect(() => referencesIn({ ...json, ...change }, find)).toThrow(SequenceError);
    expect(() => referencesIn({ ...json, ...change }, find)).toThrow(message);
  };
  refused({ format: "other/1" }, /expected flameport.reference\/1/);
  refused({ pictures: [] }, /names no pictures/);
  refused({ pictures: [{ file: "a.png", frame: -1 }] }, /pictures\[0\] needs/);
  refused({ background: [2, 0, 0] }, /background/);
  refused({}, /a.png, which is not there/, () => undefined);
});
