/** Layers of a bundle: Gaussians, how they ride the head, and linear dynamics (`formats/SPEC.md`, 2.3 and 2.4). */
import type { CoefficientFunction, FaceBinding, Head, Layer, LinearDynamics, SkinBinding } from "../avatar/avatar.ts";
import { choice, list, text } from "../avatar/fields.ts";
import type { Json, SparseRows } from "../avatar/glb.ts";
import { AvatarFormatError } from "../errors.ts";
import { CHANNELS, type Channel } from "../posing/dynamics.ts";
import { csrFromDense } from "../posing/skinning.ts";
import { FRAMES } from "../posing/surface.ts";
import { columns } from "./head.ts";
import type { Safetensors } from "./safetensors.ts";

const RANK = 4096;

/** Return a layer of Gaussians, in its binding's local space. */
export function readLayer(file: Safetensors, head: Head, entry: Json, index: number): Layer {
  const where = `layers[${index}]`;
  const [n] = file.shape("means", [null, 3]);
  const [, k] = file.shape("sh", [n, null, 3]);
  const degree = [1, 4, 9, 16].indexOf(k);
  if (degree < 0) file.fail(`has ${k} harmonics; expected 1, 4, 9 or 16`);
  const binding = readBinding(file, head, entry.binding ?? {}, n, where);
  const quats = file.floats("quats", [n, 4]);
  const scales = file.floats("scales", [n, 3]);
  if (scales.some((scale) => scale < 0)) file.fail("has negative scales");
  const opacities = file.floats("opacities", [n]);
  if (opacities.some((opacity) => opacity < 0 || opacity > 1)) file.fail("has opacities outside 0..1");
  const dynamics = entry.dynamics ? readDynamics(file, entry.dynamics, n, where) : null;
  return {
    name: text(entry.name, `layer ${index}`),
    count: n,
    binding,
    means: file.floats("means", [n, 3]),
    quats,
    scales,
    opacities,
    sh: file.floats("sh", [n, k, 3]),
    degree,
    order: null,
    shFrame: choice(entry.sh_frame ?? "world", `${where}.sh_frame`, ["world", "head"]),
    dynamics,
    strands: null,
    features: null,
  };
}

function readBinding(file: Safetensors, head: Head, spec: Json, n: number, where: string): FaceBinding | SkinBinding {
  if (choice(spec.kind, `${where}.binding.kind`, ["face", "skin"]) === "face") {
    const barycentric = file.floats("binding.barycentric", [n, 3]);
    const two = new Float32Array(2 * n);
    for (let i = 0; i < n; i++) {
      two[2 * i] = barycentric[3 * i];
      two[2 * i + 1] = barycentric[3 * i + 1];
    }
    const frame = choice(spec.frame, `${where}.binding.frame`, FRAMES);
    const splatScale = choice(spec.splat_scale, `${where}.binding.splat_scale`, [
      "none",
      "edge_height",
      "log_area_ratio",
    ]);
    const needs = frame === "vertex" || splatScale === "log_area_ratio";
    const { unit = 1 } = spec;
    if (!(unit > 0 && unit < 1e6)) file.fail("has a unit that makes no sense");
    return {
      kind: "face",
      face: file.integers("binding.face_index", [n], head.faces.length / 3),
      barycentric: two,
      frame,
      offsetScale: choice(spec.offset_scale, `${where}.binding.offset_scale`, ["none", "edge_height", "double_area"]),
      splatScale,
      canonical: needs ? file.floats("binding.canonical_vertices", [head.vertexCount, 3]) : null,
      unit,
    };
  }
  const rotation = choice(spec.rotation ?? "none", `${where}.binding.rotation`, ["none", "skin", "surface"]);
  if (file.has("binding.vertex_index")) {
    const vertex = file.integers("binding.vertex_index", [n], head.vertexCount);
    return { kind: "skin", vertex, own: null, rotation };
  }
  if (rotation === "surface") file.fail("turns with the surface, but lacks 'binding.vertex_index'");
  const joints = head.parents.length;
  const table = (name: string, most: number): SparseRows[] => {
    if (!file.has(name)) return [];
    const [, , count] = file.shape(name, [n, 3, null]);
    if (count > most) file.fail(`has ${count} directions in '${name}'; the head has ${most}`);
    return columns(file.floats(name, [n, 3, count]), n, count);
  };
  const own = {
    expressions: table("binding.exprdirs", head.expressions.length),
    correctives: table("binding.posedirs", 36),
    eyelids: table("binding.eyeliddirs", 2),
    weights: csrFromDense(file.floats("binding.lbs_weights", [n, joints]), n, joints),
  };
  return { kind: "skin", vertex: null, own, rotation };
}

function readDynamics(file: Safetensors, spec: Json, n: number, where: string): LinearDynamics {
  if (choice(spec.kind, `${where}.dynamics.kind`, ["network", "linear", "fitted"]) === "network" || spec.network) {
    throw new AvatarFormatError(
      "This bundle needs networks, which the page reads from a GLB: flameport export X.avatar glb.",
    );
  }
  const tables: Partial<Record<Channel, Float32Array>> = {};
  let rank = 0;
  for (const name of list(spec.channels, `${where}.dynamics.channels`)) {
    const channel = choice(name, `${where}.dynamics.channels`, Object.keys(CHANNELS) as Channel[]);
    const width = CHANNELS[channel];
    const [, k] = file.shape(`dynamics.${channel}`, [n, null, width]);
    if (k > RANK || (rank && k !== rank)) file.fail(`has dynamics of rank ${k}; expected ${rank || RANK} at most`);
    rank = k;
    const values = file.has(`dynamics.${channel}.scales`)
      ? fromBytes(file, `dynamics.${channel}`, [n, k, width])
      : file.floats(`dynamics.${channel}`, [n, k, width]);
    const turned = new Float32Array(values.length);
    for (let i = 0, at = 0; i < n; i++) {
      for (let r = 0; r < k; r++) {
        for (let c = 0; c < width; c++, at++) turned[(r * n + i) * width + c] = values[at];
      }
    }
    tables[channel] = turned;
  }
  return {
    space: choice(spec.space ?? "canonical", `${where}.dynamics.space`, ["canonical", "posed"]),
    driver: list(spec.driver, `${where}.dynamics.driver`).map((name) => text(name, "")),
    mean: file.has("dynamics.driver_mean") ? file.floats("dynamics.driver_mean", [null]) : null,
    rank,
    tables,
    network: null,
    ...(spec.kind === "fitted" && { fitted: readFunction(file, rank) }),
    live: false,
  };
}

/** Return a table of bytes times each Gaussian's scale. */
function fromBytes(file: Safetensors, name: string, shape: number[]): Float32Array {
  const values = Float32Array.from(file.signed(name, shape));
  const scales = file.floats(`${name}.scales`, [shape[0]]);
  const row = shape[1] * shape[2];
  for (let at = 0; at < values.length; at++) values[at] *= scales[Math.floor(at / row)];
  return values;
}

function readFunction(file: Safetensors, rank: number): CoefficientFunction {
  const name = (field: string) => `dynamics.function.${field}`;
  const [driving] = file.shape(name("low"), [null]);
  const [hidden] = file.shape(name("inner_bias"), [null]);
  const floats = (field: string, ...shape: number[]) => file.floats(name(field), shape);
  return {
    linear: floats("linear", rank, driving),
    bias: floats("bias", rank),
    inner: floats("inner", hidden, driving),
    innerBias: floats("inner_bias", hidden),
    outer: floats("outer", rank, hidden),
    low: floats("low", driving),
    high: floats("high", driving),
  };
}
