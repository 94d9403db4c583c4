/** Layers of a GLB: `KHR_gaussian_splatting` primitives that say how they ride the head (`exporter/GLB.md`, 1.2 and 1.3). */

import { CHANNELS, type Channel } from "../posing/dynamics.ts";
import { undoBinding } from "../posing/rest.ts";
import { csrFromDense } from "../posing/skinning.ts";
import { FRAMES } from "../posing/surface.ts";
import type {
  CoefficientFunction,
  FaceBinding,
  Head,
  Layer,
  LinearDynamics,
  SkinBinding,
  SkinTables,
} from "./avatar.ts";
import { choice, EXTENSION, fail, integer, list, onePrimitive, SPLATS, text } from "./fields.ts";
import type { Glb, Json, SparseRows } from "./glb.ts";

/** Return a layer of Gaussians, in its binding's local space, of one colour from everywhere and without dynamics. */
export function readLayer(glb: Glb, head: Head, entry: Json, index: number): Layer {
  const primitive = onePrimitive(glb, entry.mesh, `layers[${index}].mesh`);
  const { attributes } = primitive;
  const splats = primitive.extensions?.[SPLATS];
  const own = splats?.extensions?.[EXTENSION] ?? fail(`layers[${index}]`);
  if (splats.colorSpace !== undefined) choice(splats.colorSpace, "colorSpace", ["srgb_rec709_display"]);
  const count = glb.count(attributes.POSITION, 3);
  const name = (attribute: string) => attributes[`${SPLATS}:${attribute}`];
  const order = own.order === undefined ? null : glb.integers(own.order, 1, count, count);
  const binding = readBinding(glb, head, own.binding ?? fail("binding"), count, order);
  const added = binding.kind === "face" && binding.frame === "corner";
  const rotations = glb.floats(added ? own.binding.localRotation : name("ROTATION"), 4, count);
  const quats = new Float32Array(4 * count);
  for (let i = 0; i < count; i++) {
    const [x, y, z, w] = rotations.subarray(4 * i, 4 * i + 4);
    // Eight bits a number are not of unit length; what frame `corner` adds to a quaternion need not be.
    const length = added ? 1 : Math.hypot(x, y, z, w) || 1;
    quats.set([w / length, x / length, y / length, z / length], 4 * i);
  }
  const offset = own.binding.offset;
  const means =
    binding.kind === "skin"
      ? glb.floats(attributes.POSITION, 3)
      : offset === undefined
        ? new Float32Array(3 * count)
        : glb.floats(offset, 3, count);
  const scales = glb.floats(name("SCALE"), 3, count);
  const layer: Layer = {
    name: text(entry.name, `layer ${index}`),
    count,
    binding,
    means,
    quats,
    scales,
    opacities: glb.floats(name("OPACITY"), 1, count),
    sh: glb.floats(name("SH_DEGREE_0_COEF_0"), 3, count),
    degree: 0,
    order,
    shFrame: choice(own.shFrame ?? "world", "shFrame", ["world", "head"]),
    dynamics: null,
    strands: null,
    features: null,
  };
  undoBinding(layer, head);
  return layer;
}

/** Read what `readLayer` leaves out: how colours change with the direction, and linear dynamics. */
export function readLayerDetail(glb: Glb, entry: Json, index: number, layer: Layer): void {
  const { attributes, extensions } = onePrimitive(glb, entry.mesh, `layers[${index}].mesh`);
  const own = extensions[SPLATS].extensions[EXTENSION];
  readHarmonics(glb, (attribute) => attributes[`${SPLATS}:${attribute}`], layer);
  if (own.dynamics) layer.dynamics = readDynamics(glb, own.dynamics, layer.count);
}

function readHarmonics(glb: Glb, name: (attribute: string) => Json, layer: Layer): void {
  const { count } = layer;
  let degree = 0;
  while (degree < 3 && name(`SH_DEGREE_${degree + 1}_COEF_0`) !== undefined) degree++;
  if (degree === 0) return;
  const k = (degree + 1) ** 2;
  const sh = new Float32Array(count * k * 3);
  for (let band = 0, at = 0; band <= degree; band++) {
    for (let m = 0; m <= 2 * band; m++, at++) {
      const values = glb.floats(name(`SH_DEGREE_${band}_COEF_${m}`), 3, count);
      for (let i = 0; i < count; i++) {
        for (let c = 0; c < 3; c++) sh[(i * k + at) * 3 + c] = values[3 * i + c];
      }
    }
  }
  layer.sh = sh;
  layer.degree = degree;
}

/** Return how `count` elements ride the head. */
export function readBinding(
  glb: Glb,
  head: Head,
  spec: Json,
  count: number,
  order: Uint32Array | null,
): FaceBinding | SkinBinding {
  if (choice(spec.kind, "binding.kind", ["face", "skin"]) === "face") {
    const canonical = spec.canonicalVertices;
    const binding: FaceBinding = {
      kind: "face",
      face: glb.integers(spec.face, 1, count, head.faces.length / 3),
      barycentric: glb.floats(spec.barycentric, 2, count),
      frame: choice(spec.frame, "binding.frame", FRAMES),
      offsetScale: choice(spec.offsetScale, "binding.offsetScale", ["none", "edge_height", "double_area"]),
      splatScale: choice(spec.splatScale, "binding.splatScale", ["none", "edge_height", "log_area_ratio"]),
      canonical: canonical === undefined ? null : glb.floats(canonical, 3, head.vertexCount),
      unit: spec.unit ?? 1,
    };
    if (!(binding.unit > 0 && binding.unit < 1e6)) fail("binding.unit");
    const needs = binding.frame === "vertex" || binding.splatScale === "log_area_ratio";
    return needs && !binding.canonical ? fail("binding.canonicalVertices") : binding;
  }
  const rotation = choice(spec.rotation ?? "none", "binding.rotation", ["none", "skin", "surface"]);
  if (spec.sharesVertices === true) {
    if (count !== head.vertexCount) fail("binding.sharesVertices");
    return { kind: "skin", vertex: order ?? Uint32Array.from({ length: count }, (_, i) => i), own: null, rotation };
  }
  if (spec.vertex !== undefined) {
    return { kind: "skin", vertex: glb.integers(spec.vertex, 1, count, head.vertexCount), own: null, rotation };
  }
  if (rotation === "surface") fail("binding.rotation");
  const joints = head.parents.length;
  const product = spec.tables === undefined ? null : new Product(glb, spec.tables, count);
  const table = (name: string, most: number) =>
    product ? product.directions(name, most) : directions(glb, spec[name], count, most);
  const own: SkinTables = {
    expressions: table("exprdirs", head.expressions.length),
    correctives: table("posedirs", 36),
    eyelids: table("eyeliddirs", 2),
    weights: csrFromDense(glb.floats(spec.lbsWeights, 1, count * joints), count, joints),
  };
  return { kind: "skin", vertex: null, own, rotation };
}

/** Directions stored as coefficients [rank, N] times a basis [rank, K, 3]. */
class Product {
  private readonly rank: number;
  private readonly counts: Record<string, number> = {};
  private readonly starts: Record<string, number> = {};
  private readonly total: number;
  private readonly coefficients: Float32Array;
  private readonly basis: Float32Array;

  constructor(
    glb: Glb,
    spec: Json,
    private readonly count: number,
  ) {
    this.rank = integer(spec.rank, "binding.tables.rank", 16384);
    let total = 0;
    for (const name of ["exprdirs", "posedirs", "eyeliddirs"]) {
      this.counts[name] = integer(spec[name] ?? 0, `binding.tables.${name}`, 4096);
      this.starts[name] = total;
      total += this.counts[name];
    }
    this.total = total;
    this.coefficients = glb.floats(spec.coefficients, 1, this.rank * count);
    this.basis = glb.floats(spec.basis, 3, this.rank * total);
  }

  directions(name: string, most: number): SparseRows[] {
    if (this.counts[name] > most) fail("binding's own blendshapes");
    return Array.from({ length: this.counts[name] }, (_, k) => this.direction(this.starts[name] + k));
  }

  private direction(k: number): SparseRows {
    const { rank, count, total, coefficients, basis } = this;
    const values = new Float32Array(3 * count);
    for (let r = 0; r < rank; r++) {
      const b = 3 * (r * total + k);
      const [x, y, z] = [basis[b], basis[b + 1], basis[b + 2]];
      for (let i = 0, v = 0, c = r * count; i < count; i++, c++, v += 3) {
        const weight = coefficients[c];
        values[v] += weight * x;
        values[v + 1] += weight * y;
        values[v + 2] += weight * z;
      }
    }
    return { rows: null, values };
  }
}

/** Split K * N rows into K directions of N. */
function directions(glb: Glb, accessor: Json, count: number, most: number): SparseRows[] {
  if (accessor === undefined) return [];
  const values = glb.floats(accessor, 3);
  const k = values.length / (3 * count);
  if (!Number.isInteger(k) || k > most) fail("binding's own blendshapes");
  return Array.from({ length: k }, (_, i) => ({
    rows: null,
    values: values.subarray(3 * count * i, 3 * count * (i + 1)),
  }));
}

function readDynamics(glb: Glb, spec: Json, count: number): LinearDynamics {
  const network = spec.network === undefined ? null : text(spec.network, "") || fail("dynamics.network");
  if (network && spec.tables === undefined) {
    // What it moves, and in which space, the network's own entry says (`joinNetworks`).
    return { space: "canonical", driver: [], mean: null, rank: 1, tables: {}, network, live: true };
  }
  const rank = integer(spec.rank, "dynamics.rank", 4096);
  const tables: Partial<Record<Channel, Float32Array>> = {};
  for (const [name, accessor] of Object.entries(spec.tables ?? fail("dynamics.tables"))) {
    const channel = choice(name, "dynamics.tables", Object.keys(CHANNELS) as Channel[]);
    const width = CHANNELS[channel];
    const values = glb.floats(accessor, 1, count * rank * width);
    if (spec.scales)
      scaleRows(values, glb.floats(spec.scales[name], 1, count), width, spec.rankMajor === true ? 1 : rank);
    if (spec.rankMajor === true) {
      tables[channel] = values;
      continue;
    }
    const turned = new Float32Array(values.length);
    for (let i = 0, at = 0; i < count; i++) {
      for (let k = 0; k < rank; k++) {
        for (let c = 0; c < width; c++, at++) turned[(k * count + i) * width + c] = values[at];
      }
    }
    tables[channel] = turned;
  }
  return {
    space: choice(spec.space, "dynamics.space", ["canonical", "posed"]),
    driver: list(spec.driver, "dynamics.driver").map((name) => text(name, "")),
    mean: spec.driverMean === undefined ? null : glb.floats(spec.driverMean, 1),
    rank,
    tables,
    network,
    ...(spec.function && { fitted: readFunction(glb, spec.function, rank) }),
    live: false,
  };
}

/** Multiply each Gaussian's numbers by its scale; it has `times` rows of `width` at a time. */
function scaleRows(values: Float32Array, scales: Float32Array, width: number, times: number): void {
  const row = width * times;
  for (let at = 0, i = 0; at < values.length; at += row, i = (i + 1) % scales.length) {
    for (let c = 0; c < row; c++) values[at + c] *= scales[i];
  }
}

function readFunction(glb: Glb, spec: Json, rank: number): CoefficientFunction {
  const low = glb.floats(spec.low, 1);
  const innerBias = spec.innerBias === undefined ? new Float32Array(0) : glb.floats(spec.innerBias, 1);
  const [driving, hidden] = [low.length, innerBias.length];
  const matrix = (name: string, rows: number) => (hidden ? glb.floats(spec[name], 1, rows) : new Float32Array(0));
  return {
    linear: glb.floats(spec.linear, 1, rank * driving),
    bias: glb.floats(spec.bias, 1, rank),
    inner: matrix("inner", hidden * driving),
    innerBias,
    outer: matrix("outer", rank * hidden),
    low,
    high: glb.floats(spec.high, 1, driving),
  };
}
