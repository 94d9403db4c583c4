/** The packer gives the same bytes as Python's. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { half, smallestThree, snorm } from "../src/texels/texel_numbers.ts";
import {
  joinTables,
  packHead,
  packSplats,
  type Rows,
  type SplatArrays,
  TEXEL_WIDTH,
  type Variant,
} from "../src/texels/texels.ts";

const FOLDER = new URL("../../tests/golden/texels/", import.meta.url);
const CHANNELS = ["means", "rotvecs", "log_scales", "opacity_logits", "rgb"];

interface Stored {
  shape: number[];
  type: string;
  base64: string;
}

function array(stored: Stored): Float32Array | Int32Array {
  const bytes = Buffer.from(stored.base64, "base64");
  const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return stored.type === "int32" ? new Int32Array(copy) : new Float32Array(copy);
}

function rows(stored: Stored | undefined): Rows | undefined {
  return stored && { data: array(stored), size: stored.shape[stored.shape.length - 1] };
}

function shapes(held: Record<string, Stored>) {
  return { expr: rows(held.exprdirs), pose: rows(held.posedirs), eyelids: rows(held.eyeliddirs) };
}

function splatsOf(layer: Record<string, Stored>, signed: boolean): SplatArrays {
  const [count, k] = layer.sh.shape;
  const index = layer.face_index ?? layer.vertex_index;
  const moving = CHANNELS.filter((name) => layer[`dynamics_${name}`]).map((name) => layer[`dynamics_${name}`]);
  return {
    count,
    means: array(layer.means),
    quats: array(layer.quats),
    scales: array(layer.scales),
    opacities: array(layer.opacities),
    sh: { data: array(layer.sh), size: 3 * k },
    index: index && array(index),
    barycentric: layer.barycentric && array(layer.barycentric),
    canonical: layer.canonical_vertices && array(layer.canonical_vertices),
    signed,
    shapes: layer.lbs_weights && shapes(layer),
    weights: rows(layer.lbs_weights),
    dynamics: moving.length ? moving.map((table) => ({ table: array(table), channels: table.shape[2] })) : undefined,
    rank: moving[0]?.shape[1],
  };
}

const names = readdirSync(FOLDER).map((name) => name.replace(".json", ""));

for (const name of names) {
  for (const variant of ["float", "half", "quantised"] as Variant[]) {
    test(`${name}, ${variant}`, () => {
      const golden = JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8"));
      const { head, layer } = golden;
      const { descriptor, tables } = golden.variants[variant];
      const signed = descriptor.layers[0].binding.frame === "corner";
      const made = [
        ...packHead(
          {
            template: array(head.v_template),
            faces: array(head.faces),
            shapes: shapes(head),
            weights: rows(head.lbs_weights)!,
            jointRest: array(head.joint_rest),
            jointDirs: rows(head.joint_dirs),
          },
          variant,
        ),
        ...packSplats(splatsOf(layer, signed), "layer0.", variant),
      ];
      expect(made.map((table) => table.name)).toEqual(descriptor.tables.map((entry: { name: string }) => entry.name));
      const row = TEXEL_WIDTH * 16;
      let offset = 0;
      made.forEach((table, i) => {
        const words = Buffer.from(table.words.buffer, table.words.byteOffset, table.words.byteLength);
        expect(words.toString("base64") === tables[table.name], `${table.name}: bytes differ`).toBe(true);
        const count = table.words.length / 4;
        const place = { name: table.name, kind: table.kind, count, rows: Math.ceil((count * 16) / row), offset };
        expect({ ...place, ...table.facts }).toEqual(descriptor.tables[i]);
        offset += Math.ceil((count * 16) / row) * row;
      });
      expect(joinTables(made).length).toBe(offset);
    });
  }
}

test("half floats round to even, and keep subnormals and signs", () => {
  const known: [number, number][] = [
    [0, 0],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [1e9, 0x7bff],
    [2 ** -24, 1],
    [2 ** -25, 0],
    [1.5 * 2 ** -24, 2],
    [2 ** -14, 0x400],
    [2 ** -14 - 2 ** -25, 0x400],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [1 / 3, 0x3555],
  ];
  for (const [value, bits] of known) expect(half(value), String(value)).toBe(bits);
});

test("rotations name their largest component, the first of equal ones", () => {
  expect(smallestThree([1, 0, 0, 0])).toBe(0);
  expect(smallestThree([0, 0, 0, -1]) >>> 30).toBe(3);
  expect(smallestThree([0.5, 0.5, 0.5, 0.5]) >>> 30).toBe(0);
  expect(snorm(-1, 10)).toBe(0x201);
});
