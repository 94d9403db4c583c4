/**
 * Tables as flat arrays of 16-byte texels, 2048 wide: the twin of formats/codecs/packed_texels.py, bit for bit.
 * The layout is specified in exporter/TEXELS.md; golden bytes hold both packers to it.
 */
import {
  boxOf,
  bytesToWord,
  floatBits,
  half,
  halves,
  packRows,
  rowsToTexels,
  several,
  smallestThree,
  snorm,
  threeSnorms,
  unorm,
} from "./texel_numbers.ts";

export type Variant = "float" | "half" | "quantised";
export const TEXEL_WIDTH = 2048;

/** An array of rows; `size` is the length of the last axis. */
export interface Rows {
  data: ArrayLike<number>;
  size: number;
}

export interface HeadArrays {
  /** [V, 3] metres. */
  template: ArrayLike<number>;
  /** [F, 3]. */
  faces: ArrayLike<number>;
  shapes: ShapeArrays;
  /** [V, J]. */
  weights: Rows;
  /** [J, 3] metres. */
  jointRest: ArrayLike<number>;
  /** [J, 3, E]: how rest joints move. */
  jointDirs?: Rows | undefined;
}

/** Displacements [V, 3, S] by group, in the order that texels have. */
export interface ShapeArrays {
  expr?: Rows | undefined;
  pose?: Rows | undefined;
  eyelids?: Rows | undefined;
}

export interface SplatArrays {
  count: number;
  means: ArrayLike<number>;
  /** wxyz. */
  quats: ArrayLike<number>;
  scales: ArrayLike<number>;
  opacities: ArrayLike<number>;
  /** [N, K, 3]; `size` is 3 K. */
  sh: Rows;
  /** A triangle or a vertex each; zeros when absent. */
  index?: ArrayLike<number> | undefined;
  /** [N, 3], for Gaussians that ride triangles. */
  barycentric?: ArrayLike<number> | undefined;
  /** Rotations are added with their sign: FlashAvatar's Wasserstein variant. */
  signed?: boolean;
  /** [V, 3] metres. */
  canonical?: ArrayLike<number> | undefined;
  /** Blendshapes and weights of its own. */
  shapes?: ShapeArrays | undefined;
  weights?: Rows | undefined;
  /** Linear dynamics [N, rank, C] by channel, in the order of the descriptor's `channels`. */
  dynamics?: { table: ArrayLike<number>; channels: number }[] | undefined;
  rank?: number | undefined;
}

export interface TexelTable {
  name: string;
  kind: "f32x4" | "u32x4";
  words: Uint32Array;
  /** What the descriptor says besides: boxes, texels per item. */
  facts: Record<string, unknown>;
}

const SH_C0 = 0.28209479177387814;
const NO_WEIGHT = 1e-7;
const MOST_INFLUENCES = 8;

/** Return the head's tables. */
export function packHead(head: HeadArrays, variant: Variant): TexelTable[] {
  const tables: TexelTable[] = [];
  const count = head.template.length / 3;
  floats(tables, "head.rest", head.template, 3);
  deltas(tables, "head.", head.shapes, count, variant);
  const { data, size } = head.weights;
  const unit = Float64Array.from(data);
  for (let v = 0; v < count; v++) {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += data[v * size + j];
    for (let j = 0; j < size; j++) unit[v * size + j] /= sum;
  }
  skin(tables, "head.", { data: unit, size }, variant);
  add(tables, "head.faces", "u32x4", rowsToTexels(head.faces, 3));
  floats(tables, "head.jointRest", head.jointRest, 3);
  if (head.jointDirs && Array.from(head.jointDirs.data).some((x) => x !== 0)) {
    const { data: dirs, size: expressions } = head.jointDirs;
    const joints = dirs.length / (3 * expressions);
    const turned = new Float64Array(dirs.length);
    for (let e = 0; e < expressions; e++)
      for (let i = 0; i < 3 * joints; i++) turned[e * 3 * joints + i] = dirs[i * expressions + e];
    floats(tables, "head.jointDirs", turned, 3);
  }
  return tables;
}

/** Return the tables of a layer of Gaussians; `prefix` is `layer0.` for the first. */
export function packSplats(splats: SplatArrays, prefix: string, variant: Variant): TexelTable[] {
  const tables: TexelTable[] = [];
  const { count } = splats;
  if (splats.barycentric) points(tables, prefix, splats.barycentric, count, variant);
  if (splats.canonical) floats(tables, `${prefix}canonical`, splats.canonical, 3);
  if (splats.weights) {
    deltas(tables, prefix, splats.shapes ?? {}, count, variant);
    skin(tables, prefix, splats.weights, variant);
  }
  const index = splats.index ?? new Int32Array(count);
  let stored = variant;
  if (variant === "quantised" && (splats.signed || Array.from(index).some((i) => i >= 1 << 24))) stored = "half";
  const logScales = Float64Array.from(splats.scales, (s) => Math.log(Math.max(s, 1e-30)));
  const logits = Float64Array.from(splats.opacities, (p) => {
    const inside = Math.min(Math.max(p, 1e-7), 1 - 1e-7);
    return Math.log(inside) - Math.log1p(-inside);
  });
  const rgb = new Float64Array(3 * count);
  for (let i = 0; i < count; i++)
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = splats.sh.data[i * splats.sh.size + c] * SH_C0 + 0.5;
  const parts = { logScales, logits, rgb, index };
  if (stored === "float") floatSplats(tables, prefix, splats, parts);
  else if (stored === "half") halfSplats(tables, prefix, splats, parts);
  else quantisedSplats(tables, prefix, splats, parts);
  if (splats.sh.size > 3) {
    const width = splats.sh.size - 3;
    const rest = new Float64Array(count * width);
    for (let i = 0; i < count; i++)
      for (let n = 0; n < width; n++) rest[i * width + n] = splats.sh.data[i * splats.sh.size + 3 + n];
    rows(tables, `${prefix}sh`, rest, width, 8, variant);
  }
  if (splats.dynamics && splats.rank) {
    const width = splats.rank * splats.dynamics.reduce((sum, d) => sum + d.channels, 0);
    const all = new Float64Array(count * width);
    let at = 0;
    for (let i = 0; i < count * splats.rank; i++)
      for (const { table, channels } of splats.dynamics)
        for (let c = 0; c < channels; c++) all[at++] = table[i * channels + c];
    rows(tables, `${prefix}dynamics`, all, width, 16, variant);
  }
  return tables;
}

/** Return the bytes of tables after one another, each filled to whole rows. */
export function joinTables(tables: TexelTable[]): Uint8Array {
  const row = TEXEL_WIDTH * 16;
  const sizes = tables.map((table) => Math.ceil(table.words.byteLength / row) * row);
  const out = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  tables.forEach((table, t) => {
    for (let i = 0; i < table.words.length; i++) view.setUint32(at + 4 * i, table.words[i], true);
    at += sizes[t];
  });
  return out;
}

interface Parts {
  logScales: Float64Array;
  logits: Float64Array;
  rgb: Float64Array;
  index: ArrayLike<number>;
}

function add(
  tables: TexelTable[],
  name: string,
  kind: "f32x4" | "u32x4",
  words: Uint32Array,
  facts: Record<string, unknown> = {},
): void {
  tables.push({ name, kind, words, facts });
}

/** Add rows of up to four floats, a texel each. */
function floats(
  tables: TexelTable[],
  name: string,
  values: ArrayLike<number>,
  width: number,
  facts: Record<string, unknown> = {},
): void {
  add(tables, name, "f32x4", rowsToTexels(floatBits(values), width), facts);
}

function deltas(tables: TexelTable[], prefix: string, shapes: ShapeArrays, count: number, variant: Variant): void {
  const there = [shapes.expr, shapes.pose, shapes.eyelids].filter((g): g is Rows => g !== undefined && g.size > 0);
  if (!there.length) return;
  const total = there.reduce((sum, group) => sum + group.size, 0);
  const table = new Float64Array(total * count * 3);
  let first = 0;
  for (const { data, size } of there) {
    for (let s = 0; s < size; s++)
      for (let i = 0; i < 3 * count; i++) table[(first + s) * 3 * count + i] = data[i * size + s];
    first += size;
  }
  if (variant === "float") {
    floats(tables, `${prefix}deltas`, table, 3);
    return;
  }
  const perTexel = variant === "half" ? 2 : 4;
  const perVertex = 4 / perTexel;
  const padded = Math.ceil(count / perTexel) * perTexel;
  const words = new Uint32Array(total * padded * perVertex);
  const scales = new Float64Array(3 * total);
  for (let s = 0; s < total; s++) {
    const start = s * 3 * count;
    if (variant === "quantised")
      for (let i = 0; i < 3 * count; i++)
        scales[3 * s + (i % 3)] = Math.max(scales[3 * s + (i % 3)], Math.abs(Math.fround(table[start + i])));
    for (let v = 0; v < count; v++) {
      const [x, y, z] = [0, 1, 2].map((c) => table[start + 3 * v + c]);
      const at = (s * padded + v) * perVertex;
      if (variant === "half") {
        words[at] = halves(half(x), half(y));
        words[at + 1] = half(z);
      } else {
        const [a, b, c] = [x, y, z].map((value, n) => value / (scales[3 * s + n] > 0 ? scales[3 * s + n] : 1));
        words[at] = threeSnorms(a, b, c);
      }
    }
  }
  add(tables, `${prefix}deltas`, "u32x4", words, { perTexel });
  if (variant === "quantised") floats(tables, `${prefix}deltaScales`, scales, 3);
}

function skin(tables: TexelTable[], prefix: string, weights: Rows, variant: Variant): void {
  const { data, size } = weights;
  const count = data.length / size;
  const held = (v: number, j: number) => (data[v * size + j] > NO_WEIGHT ? data[v * size + j] : 0);
  const palette: number[] = [];
  for (let j = 0; j < size; j++) {
    for (let v = 0; v < count; v++)
      if (held(v, j)) {
        palette.push(j);
        break;
      }
  }
  if (palette.length > 255) throw new RangeError(`${palette.length} joints move vertices; a byte names 255`);
  const orders: number[][] = [];
  let most = 1;
  let whole = true;
  for (let v = 0; v < count; v++) {
    const order = palette.map((_, k) => k).sort((a, b) => held(v, palette[b]) - held(v, palette[a]));
    orders.push(order);
    const used = palette.filter((j) => held(v, j)).length;
    most = Math.max(most, used);
    const sum = order.reduce((total, k) => total + held(v, palette[k]), 0);
    whole &&= Math.abs(sum - 1) < 1e-5;
  }
  const facts = { palette, sumsToOne: whole };
  if (variant === "float") {
    const groups = Math.ceil(most / 4);
    const joints = new Uint32Array(count * groups * 4);
    const shares = new Float64Array(count * groups * 4);
    orders.forEach((order, v) => {
      for (let k = 0; k < most; k++) {
        joints[v * groups * 4 + k] = order[k];
        shares[v * groups * 4 + k] = held(v, palette[order[k]]);
      }
    });
    add(tables, `${prefix}skinJoints`, "u32x4", joints, { perItem: groups, ...facts });
    floats(tables, `${prefix}skinWeights`, shares, 4, { perItem: groups });
    return;
  }
  if (most > MOST_INFLUENCES)
    throw new RangeError(`${most} joints move one vertex; texels hold ${MOST_INFLUENCES} at most`);
  const implied = most === 5 && whole;
  const groups = most <= 4 || implied ? 1 : 2;
  const words = new Uint32Array(count * groups * 4);
  orders.forEach((order, v) => {
    const n = Math.min(most, 4 * groups);
    const q = new Array<number>(4 * groups).fill(0);
    const joints = new Array<number>(4 * groups).fill(0);
    for (let k = 0; k < n; k++) {
      q[k] = Math.floor(held(v, palette[order[k]]) * 65535 + 0.5);
      joints[k] = order[k];
    }
    const excess = q.reduce((sum, x) => sum + x, 0) - 65535;
    q[0] -= whole && !implied ? excess : Math.max(excess, 0);
    const fifth = implied && held(v, palette[order[4]]) > 0 ? order[4] + 1 : 0;
    if (implied && !fifth) q[0] -= q.reduce((sum, x) => sum + x, 0) - 65535;
    for (let g = 0; g < groups; g++) {
      const at = (v * groups + g) * 4;
      words[at] = halves(q[4 * g], q[4 * g + 1]);
      words[at + 1] = halves(q[4 * g + 2], q[4 * g + 3]);
      words[at + 2] = bytesToWord(joints[4 * g], joints[4 * g + 1], joints[4 * g + 2], joints[4 * g + 3]);
      words[at + 3] = fifth;
    }
  });
  add(tables, `${prefix}skin`, "u32x4", words, { perItem: groups, ...facts });
}

function points(
  tables: TexelTable[],
  prefix: string,
  barycentric: ArrayLike<number>,
  count: number,
  variant: Variant,
): void {
  const two = new Float64Array(2 * count);
  for (let i = 0; i < count; i++) for (let c = 0; c < 2; c++) two[2 * i + c] = barycentric[3 * i + c];
  if (variant === "float") {
    add(tables, `${prefix}point`, "f32x4", several(floatBits(two)), { perTexel: 2 });
    return;
  }
  const box = boxOf(two, 2, [0, 1]);
  const words = new Uint32Array(count);
  for (let i = 0; i < count; i++)
    words[i] = halves(...([0, 1].map((c) => unorm(two[2 * i + c], box, c, 16)) as [number, number]));
  add(tables, `${prefix}point`, "u32x4", several(words), { perTexel: 4, ...box });
}

function floatSplats(tables: TexelTable[], prefix: string, splats: SplatArrays, parts: Parts): void {
  const { count } = splats;
  const means = floatBits(splats.means);
  const a = new Uint32Array(4 * count);
  const c = new Float64Array(4 * count);
  for (let i = 0; i < count; i++) {
    a.set([means[3 * i], means[3 * i + 1], means[3 * i + 2], parts.index[i]], 4 * i);
    c.set([...parts.logScales.subarray(3 * i, 3 * i + 3), parts.logits[i]], 4 * i);
  }
  add(tables, `${prefix}splatA`, "u32x4", a);
  floats(tables, `${prefix}splatB`, splats.quats, 4);
  floats(tables, `${prefix}splatC`, c, 4);
  floats(tables, `${prefix}splatD`, parts.rgb, 3);
}

function halfSplats(tables: TexelTable[], prefix: string, splats: SplatArrays, parts: Parts): void {
  const { count, means, quats } = splats;
  const box = boxOf(means, 3);
  const [a, b] = [new Uint32Array(4 * count), new Uint32Array(4 * count)];
  const { colors, bounds } = colorBytes(splats, parts.rgb);
  for (let i = 0; i < count; i++) {
    const [x, y, z] = [0, 1, 2].map((c) => unorm(means[3 * i + c], box, c, 16));
    const q = [0, 1, 2, 3].map((c) => snorm(quats[4 * i + c], 16));
    a.set([halves(x, y), z, halves(q[0], q[1]), halves(q[2], q[3])], 4 * i);
    const s = [0, 1, 2].map((c) => half(parts.logScales[3 * i + c]));
    b.set([halves(s[0], s[1]), halves(s[2], half(parts.logits[i])), colors[i], parts.index[i]], 4 * i);
  }
  add(tables, `${prefix}splatA`, "u32x4", a, { ...box });
  add(tables, `${prefix}splatB`, "u32x4", b, { ...bounds });
}

function quantisedSplats(tables: TexelTable[], prefix: string, splats: SplatArrays, parts: Parts): void {
  const { count, means, quats } = splats;
  const box = boxOf(means, 3);
  const sizes = boxOf(parts.logScales, 3);
  const [a, b] = [new Uint32Array(4 * count), new Uint32Array(count)];
  const { colors, bounds } = colorBytes(splats, parts.rgb);
  for (let i = 0; i < count; i++) {
    const [x, y, z] = [0, 1, 2].map((c) => unorm(means[3 * i + c], box, c, 16));
    const s = [0, 1, 2].map((c) => unorm(parts.logScales[3 * i + c], sizes, c, 8));
    const turn = smallestThree([0, 1, 2, 3].map((c) => quats[4 * i + c]));
    a.set([halves(x, y), (z | (s[0] << 16) | (s[1] << 24)) >>> 0, turn, colors[i]], 4 * i);
    b[i] = (parts.index[i] | (s[2] << 24)) >>> 0;
  }
  const facts = { ...box, scaleLow: sizes.low, scaleHigh: sizes.high, colorLow: bounds.low, colorHigh: bounds.high };
  add(tables, `${prefix}splatA`, "u32x4", a, facts);
  add(tables, `${prefix}splatB`, "u32x4", several(b), { perTexel: 4 });
}

function colorBytes(splats: SplatArrays, rgb: Float64Array) {
  const bounds = boxOf(rgb, 3, [0, 1]);
  const unit = { low: [0], high: [1] };
  const colors = Uint32Array.from({ length: splats.count }, (_, i) => {
    const [r, g, b] = [0, 1, 2].map((c) => unorm(rgb[3 * i + c], bounds, c, 8));
    return bytesToWord(r, g, b, unorm(splats.opacities[i], unit, 0, 8));
  });
  return { colors, bounds };
}

/** Add a row of numbers per Gaussian: float32, float16, or snorms of `depth` bits times each column's scale. */
function rows(
  tables: TexelTable[],
  name: string,
  values: Float64Array,
  width: number,
  depth: 8 | 16,
  variant: Variant,
): void {
  if (variant === "float") {
    add(tables, name, "f32x4", rowsToTexels(floatBits(values), width), { numbers: width });
    return;
  }
  const scales = new Float64Array(width);
  let q: number[];
  if (variant === "half") q = Array.from(values, half);
  else {
    values.forEach((x, i) => {
      scales[i % width] = Math.max(scales[i % width], Math.abs(Math.fround(x)));
    });
    q = Array.from(values, (x, i) => snorm(x / (scales[i % width] > 0 ? scales[i % width] : 1), depth));
    add(tables, `${name}Scales`, "f32x4", rowsToTexels(floatBits(scales), width), { numbers: width });
  }
  const bits = variant === "half" ? 16 : depth;
  const { words, perRow } = packRows(q, width, bits);
  add(tables, name, "u32x4", rowsToTexels(words, perRow), { numbers: width, bits });
}
