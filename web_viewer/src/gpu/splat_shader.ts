/**
 * WGSL of the pass over Gaussians, a thread each: its centre, rotation, scale, colour and opacity on the posed head
 * (`formats.deform`), its key in the depth order, and the ellipse it makes on the picture (`formats.render.project`).
 * The twin of `binding.ts` and `gl/splat_shader.ts`, held to the same golden files.
 */
import type { Layer } from "../avatar/avatar.ts";
import { areaFloor } from "../posing/rest.ts";
import { FRAMES } from "../posing/surface.ts";
import { COLUMN } from "./columns.ts";
import { BLOCK, DISPLACEMENT } from "./deltas.ts";
import type { Frame } from "./frame.ts";
import { BLEND } from "./influences.ts";
import { consts, float } from "./kernel.ts";
import { POLAR, QUATERNIONS, TRIANGLES } from "./math.ts";

export const SLOTS = {
  frame: "array<vec4f>",
  tables: "array<vec4u>",
  more: "array<u32>",
  deltas: "array<u32>",
  posed: "array<vec4f>",
  ellipses: "mut array<vec4f>",
  keys: "mut array<u32>",
  counts: "mut array<atomic<u32>>",
};

/** A key that is behind all others: nothing is drawn. */
const HIDDEN = "0xffffffffu";

/** Where things are in the tables; texels are counted from the buffer's begin. */
export interface Places {
  /** Head vertices. */
  vertices: number;
  /** Rows of `posed`. */
  turns: number;
  rows: number;
  /** Gaussians of all layers, and how many come before this layer's. */
  total: number;
  offset: number;
  /** Columns of `more`. */
  columns: number;
}

const BINDINGS = `
struct Bound { center: vec3f, rotation: mat3x3f, scale: vec3f }

fn vertex(i: u32) -> vec3f { return posed[i].xyz; }

/** Texels of a Gaussian: mean and a number; quaternion; scale and opacity; colour and a number; corners and a number. */
fn texel(section: u32, i: u32) -> vec4u { return tables[section * (COUNT + 1u) + i]; }
fn floats(section: u32, i: u32) -> vec4f { return bitcast<vec4f>(texel(section, i)); }

fn onFace(i: u32, offset: vec3f, q: vec4f, scale: vec3f) -> Bound {
  let corners = texel(4u, i);
  let f = corners.xyz;
  let b = vec3f(floats(0u, i).w, bitcast<f32>(corners.w), 1. - floats(0u, i).w - bitcast<f32>(corners.w));
  let v0 = vertex(f.x);
  let v1 = vertex(f.y);
  let v2 = vertex(f.z);
  let here = triangle(v0, v1, v2);
  let root = rootRotation();
  var out = Bound(b.x * v0 + b.y * v1 + b.z * v2, toMatrix(normalize(q)), scale);
  var gain = 1.;
  if (OFFSET_SCALE == 1u) { gain = here.size; }
  if (OFFSET_SCALE == 2u) { gain = here.doubleArea; }
  let local = gain * offset;
  // A strand's segment is as long as its triangle's size makes it, and as wide as it always was.
  if (STRANDS) { out.scale.x *= gain; }
  if (FRAME == 0u) {
    out.center += here.axes * local;
    out.rotation = here.axes * out.rotation;
  } else if (FRAME == 1u) {
    let n = b.x * posed[NORMALS + f.x].xyz + b.y * posed[NORMALS + f.y].xyz + b.z * posed[NORMALS + f.z].xyz;
    out.center += local.y * n / max(length(n), 1e-20);
    let turn = b.x * posed[TURNS + f.x] + b.y * posed[TURNS + f.y] + b.z * posed[TURNS + f.z];
    out.rotation = toMatrix(turn / max(length(turn), 1e-20)) * out.rotation;
  } else if (FRAME == 2u) {
    out.center += local;
  } else if (FRAME == 3u) {
    out.center += root * local;
    let e = v1 - v0;
    let side = v2 - v0;
    let d = -b.y * e - b.z * side;
    var n = b.z * cross(e, side);
    n /= max(length(n), 1e-20);
    let axes = fromAxes(transpose(root) * mat3x3f(d, cross(n, d), n));
    out.rotation = root * toMatrix(normalize(axes + q));
  } else {
    out.center += root * local;
    out.rotation = root * out.rotation;
  }
  if (SPLAT_SCALE == 1u) { out.scale *= here.size; }
  if (SPLAT_SCALE == 2u) {
    let ratio = (here.doubleArea * .5 + AREA_FLOOR) / (floats(3u, i).w + AREA_FLOOR);
    out.scale = UNIT * exp(log(max(out.scale / UNIT, vec3f(1e-30))) * ratio);
  }
  return out;
}

fn onSkin(i: u32, block: u32, lane: u32, local: vec3f, q: vec4f, scale: vec3f) -> Bound {
  var out = Bound(local, toMatrix(normalize(q)), scale);
  let at = texel(0u, i).w;
  var m: Rows;
  if (OWN) {
    let d = displacement(block, lane);
    m = blended(at, texel(0u, i + 1u).w);
    out.center = through(m, local + d.rest);
    if (LIDS_POSED) { out.center += rootRotation() * d.after; }
  } else {
    m = Rows(posed[ROWS + 3u * at], posed[ROWS + 3u * at + 1u], posed[ROWS + 3u * at + 2u]);
    out.center = vertex(at) + linear(m) * local;
  }
  if (TURN == 1u) {
    let B = linear(m);
    out.rotation = polar(B, frameOf(B[0], B[1])) * out.rotation;
  }
  if (TURN == 2u) { out.rotation = toMatrix(posed[TURNS + at]) * out.rotation; }
  return out;
}
`;

const HARMONICS_SOURCE = `
fn sh(k: u32, i: u32) -> vec3f { return columns3(3u * k - 3u, i); }

fn harmonics(i: u32, d: vec3f) -> vec3f {
  let x = d.x; let y = d.y; let z = d.z;
  var s = .4886025119029199 * (-y * sh(1u, i) + z * sh(2u, i) - x * sh(3u, i));
  if (DEGREE == 1u) { return s; }
  let xx = x * x; let yy = y * y; let zz = z * z;
  s += 1.0925484305920792 * (x * y * sh(4u, i) - y * z * sh(5u, i) - x * z * sh(7u, i))
    + .31539156525252005 * (2. * zz - xx - yy) * sh(6u, i) + .5462742152960396 * (xx - yy) * sh(8u, i);
  if (DEGREE == 2u) { return s; }
  s += -.5900435899266435 * (y * (3. * xx - yy) * sh(9u, i) + x * (xx - 3. * yy) * sh(15u, i))
    + 2.890611442640554 * x * y * z * sh(10u, i)
    - .4570457994644658 * (4. * zz - xx - yy) * (y * sh(11u, i) + x * sh(13u, i))
    + .3731763325901154 * z * (2. * zz - 3. * xx - 3. * yy) * sh(12u, i) + 1.445305721320277 * z * (xx - yy) * sh(14u, i);
  return s;
}
`;

const MAIN = `
const LOW_PASS = .3;
var<workgroup> tally: array<atomic<u32>, 2>;

struct Deltas { mean: vec3f, turn: vec3f, logit: f32, logScale: vec3f, rgb: vec3f }

fn dynamics(i: u32) -> Deltas {
  var d = Deltas(vec3f(0), vec3f(0), 0., vec3f(0), vec3f(0));
  for (var k = 0u; k < RANK; k++) {
    let c = frame[DYNAMICS + k / 4u][k % 4u];
    if (c == 0.) { continue; }
    var n = HARMONICS + k * CHANNELS;
    if (MEANS_MOVE) { d.mean += c * columns3(n, i); n += 3u; }
    if (ROTATIONS_MOVE) { d.turn += c * columns3(n, i); n += 3u; }
    if (OPACITIES_MOVE) { d.logit += c * column(n, i); n += 1u; }
    if (SCALES_MOVE) { d.logScale += c * columns3(n, i); n += 3u; }
    if (COLORS_MOVE) { d.rgb += c * columns3(n, i); }
  }
  return d;
}

/** Write one Gaussian; bit 0: beyond the near plane, bit 1: on the picture. */
fn splat(i: u32, block: u32, lane: u32) -> u32 {
  let id = OFFSET + i;
  keys[TOTAL - 1u - id] = ${HIDDEN};
  var local = floats(0u, i).xyz;
  var q = floats(1u, i);
  var scale = floats(2u, i).xyz;
  var opacity = floats(2u, i).w;
  var color = floats(3u, i).xyz;
  let d = dynamics(i);
  let turn = fromAxisAngle(d.turn);
  if (OPACITIES_MOVE) {
    let safe = clamp(opacity, 1e-7, 1. - 1e-7);
    opacity = 1. / (1. + exp(-(log(safe) - log(1. - safe) + d.logit)));
  }
  if (CANONICAL) {
    local += d.mean;
    if (ROTATIONS_MOVE) { q = product(q, turn); }
    scale *= exp(d.logScale);
  }
  var bound: Bound;
  if (ON_FACE) { bound = onFace(i, local, q, scale); } else { bound = onSkin(i, block, lane, local, q, scale); }
  if (!CANONICAL) {
    bound.center += d.mean;
    if (ROTATIONS_MOVE) { bound.rotation = toMatrix(turn) * bound.rotation; }
    bound.scale *= exp(d.logScale);
  }
  let center = bound.center;
  let L = mat3x3f(bound.rotation[0] * bound.scale.x, bound.rotation[1] * bound.scale.y, bound.rotation[2] * bound.scale.z);
  color += d.rgb;
  if (DEGREE > 0u) {
    var seen = normalize(center - frame[3].xyz);
    if (SH_TURNS) { seen = seen * rootRotation(); }
    color += harmonics(i, seen);
  }
  color = max(color, vec3f(0));
  if (WORLD) {
    let V = L * transpose(L);
    ellipses[4u * id] = vec4f(color, opacity);
    ellipses[4u * id + 1u] = vec4f(V[0], V[1].y);
    ellipses[4u * id + 2u] = vec4f(V[1].z, V[2].z, 0, 0);
    ellipses[4u * id + 3u] = vec4f(center, 0);
    return 0u;
  }
  let toView = viewRotation();
  let intrinsics = frame[4];
  let picture = frame[5].xy;
  let t = toView * center + viewTranslation();
  if (!(t.z > frame[3].w)) { return 0u; }
  if (opacity < 1. / 255.) { return 1u; }
  let margin = .15 * picture;
  let slope = clamp(t.xy / t.z, -(intrinsics.zw + margin) / intrinsics.xy,
    (picture - intrinsics.zw + margin) / intrinsics.xy);
  let j0 = vec3f(intrinsics.x / t.z, 0, -intrinsics.x * slope.x / t.z);
  let j1 = vec3f(0, intrinsics.y / t.z, -intrinsics.y * slope.y / t.z);
  let g = (j0 * toView) * L;
  let h = (j1 * toView) * L;
  let xx = dot(g, g) + LOW_PASS;
  let xy = dot(g, h);
  let yy = dot(h, h) + LOW_PASS;
  // The determinant by Lagrange's identity, which loses nothing for needle-thin ellipses.
  let gh = cross(g, h);
  let det = dot(gh, gh) + LOW_PASS * (dot(g, g) + dot(h, h)) + LOW_PASS * LOW_PASS;
  let middle = .5 * (xx - yy);
  let r = sqrt(middle * middle + xy * xy);
  let large = .5 * (xx + yy) + r;
  let small = det / large;
  var e = vec2f(1, 0);
  if (r > 1e-9 * large) { e = normalize(select(vec2f(xy, r - middle), vec2f(middle + r, xy), middle >= 0.)); }
  let reach = sqrt(2. * log(255. * opacity));
  let mean = intrinsics.xy * t.xy / t.z + intrinsics.zw;
  let box = reach * sqrt(vec2f(xx, yy));
  if (any(mean - box > picture) || any(mean + box < vec2f(0))) { return 1u; }
  ellipses[3u * id] = vec4f(mean, reach, 0);
  ellipses[3u * id + 1u] = vec4f(reach * sqrt(large) * e, reach * sqrt(small) * vec2f(-e.y, e.x));
  ellipses[3u * id + 2u] = vec4f(color, opacity);
  // Without the view's translation the depth is smaller, and so finer: floats that count upwards as whole numbers.
  let depth = dot(vec3f(toView[0].z, toView[1].z, toView[2].z), center);
  let bits = bitcast<u32>(select(depth, 0., depth == 0.));
  keys[TOTAL - 1u - id] = ~(bits ^ select(0x80000000u, ${HIDDEN}, bits >= 0x80000000u));
  return 3u;
}

@compute @workgroup_size(${BLOCK})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * ${BLOCK}u + lane;
  var seen = 0u;
  if (i < COUNT) { seen = splat(i, group.x, lane); }
  if ((seen & 1u) != 0u) { atomicAdd(&tally[0], 1u); }
  if ((seen & 2u) != 0u) { atomicAdd(&tally[1], 1u); }
  workgroupBarrier();
  if (lane < 2u) { atomicAdd(&counts[SHOWN + lane], atomicLoad(&tally[lane])); }
}`;

/** Return a layer's kernel; `world` writes world-space Gaussians, four rows each, for tests. */
export function splatShader(layer: Layer, frame: Frame, index: number, places: Places, exact: boolean, world: boolean) {
  const { binding, dynamics, count, degree } = layer;
  const face = binding.kind === "face" ? binding : null;
  const skin = binding.kind === "skin" ? binding : null;
  const tables = dynamics?.tables ?? {};
  const moved = [tables.means, tables.rotvecs, tables.opacity_logits, tables.log_scales, tables.rgb];
  const channels = moved.reduce((sum, table, c) => sum + (table ? (c === 2 ? 1 : 3) : 0), 0);
  const shapes = frame.shapes;
  return [
    consts({
      COUNT: count,
      TOTAL: places.total,
      OFFSET: places.offset,
      WORLD: world,
      SHOWN: 6,
      DEGREE: degree,
      SH_TURNS: layer.shFrame === "head",
      COLUMNS: places.columns,
      HARMONICS: 3 * ((degree + 1) ** 2 - 1),
      EXACT: exact,
      RANK: channels ? dynamics!.rank : 0,
      CHANNELS: channels,
      DYNAMICS: frame.dynamics[index],
      MEANS_MOVE: !!tables.means,
      ROTATIONS_MOVE: !!tables.rotvecs,
      OPACITIES_MOVE: !!tables.opacity_logits,
      SCALES_MOVE: !!tables.log_scales,
      COLORS_MOVE: !!tables.rgb,
      CANONICAL: dynamics?.space === "canonical",
      ON_FACE: face !== null,
      FRAME: face ? FRAMES.indexOf(face.frame) : 0,
      OFFSET_SCALE: face ? ["none", "edge_height", "double_area"].indexOf(face.offsetScale) : 0,
      STRANDS: layer.strands !== null,
      SPLAT_SCALE: face ? ["none", "edge_height", "log_area_ratio"].indexOf(face.splatScale) : 0,
      UNIT: float(face?.unit ?? 1),
      AREA_FLOOR: float(face ? areaFloor(face) : 0),
      OWN: !!skin?.own,
      TURN: skin ? ["none", "skin", "surface"].indexOf(skin.rotation) : 0,
      TURNS: places.turns,
      NORMALS: places.turns + places.vertices,
      ROWS: places.rows,
      BLOCKS: Math.ceil(count / BLOCK),
      LIDS: shapes.lids,
      LIDS_POSED: shapes.lidsPosed,
    }),
    frame.source,
    QUATERNIONS,
    TRIANGLES,
    POLAR,
    COLUMN,
    BLEND,
    DISPLACEMENT,
    BINDINGS,
    HARMONICS_SOURCE,
    MAIN,
  ].join("");
}
