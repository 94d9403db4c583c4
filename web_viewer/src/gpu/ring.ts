/**
 * A thread per head vertex: how its surroundings turned from the canonical to the posed head, a quaternion, and its normal.
 * `surface`: polar rotation of the one-ring (`formats.deform.surface_rotations`). `vertex`: area-weighted sum of face
 * rotations, and area-weighted normal (`formats.deform.vertex_rotations`, `vertex_normals`).
 */
import type { Head } from "../avatar/avatar.ts";
import { ringsOf } from "../posing/rings.ts";
import { consts, float, Kernel } from "./kernel.ts";
import { POLAR, QUATERNIONS, TRIANGLES } from "./math.ts";
import type { Memory } from "./memory.ts";

export type RingRotation = "surface" | "vertex";

const THREADS = 64;
const SLOTS = { ring: "array<vec4u>", posed: "mut array<vec4f>" };

const SOURCE = `
fn here(i: u32) -> vec3f { return posed[i].xyz; }
fn there(i: u32) -> vec3f { return bitcast<vec3f>(ring[i].xyz); }

fn surface(i: u32, first: u32, end: u32) -> vec4f {
  // Millimetres, so that products of small edges stay far from float32's floor.
  let v = there(i);
  let w = here(i);
  var n = vec3f(0);
  var m = vec3f(0);
  var e0 = vec3f(0);
  var f0 = vec3f(0);
  var S = mat3x3f();
  var square = 0.;
  for (var k = first; k < end; k++) {
    let f = ring[k].xyz;
    let o = select(select(f.xy, f.zx, f.y == i), f.yz, f.x == i);
    let a = 1e3 * (there(o.x) - v);
    let b = 1e3 * (there(o.y) - v);
    let c = 1e3 * (here(o.x) - w);
    let d = 1e3 * (here(o.y) - w);
    S += mat3x3f(c * a.x + d * b.x, c * a.y + d * b.y, c * a.z + d * b.z);
    square += dot(a, a) + dot(b, b);
    n += cross(a, b);
    m += cross(c, d);
    if (dot(a, a) > dot(e0, e0)) {
      e0 = a;
      f0 = c;
    }
  }
  if (square <= 0.) { return vec4f(1, 0, 0, 0); }
  n /= max(length(n), 1e-14);
  m /= max(length(m), 1e-14);
  let h = .5 * square * m;
  S += mat3x3f(h * n.x, h * n.y, h * n.z);
  return fromMatrix(polar(S * (1. / square), frameOf(m, f0) * transpose(frameOf(n, e0))));
}

fn vertex(i: u32, first: u32, end: u32) -> vec4f {
  var sum = vec4f(0);
  var normal = vec3f(0);
  for (var k = first; k < end; k++) {
    let f = ring[k].xyz;
    let a = triangle(there(f.x), there(f.y), there(f.z));
    let b = triangle(here(f.x), here(f.y), here(f.z));
    sum += fromMatrix(b.axes * transpose(a.axes)) * (.5 * a.doubleArea);
    normal += cross(here(f.y) - here(f.x), here(f.z) - here(f.x));
  }
  posed[NORMALS + i] = vec4f(normal / max(length(normal), FLOOR), 0);
  return sum / max(length(sum), FLOOR);
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= COUNT) { return; }
  let first = ring[i].w;
  let end = ring[i + 1u].w;
  var turn = vec4f(1, 0, 0, 0);
  if (end > first) {
    if (SURFACE) { turn = surface(i, first, end); } else { turn = vertex(i, first, end); }
  } else if (!SURFACE) { posed[NORMALS + i] = vec4f(0); }
  posed[TURNS + i] = turn;
}`;

/**
 * Make the pass that writes turns to rows `turns` of `posed`, and normals after them.
 *
 * `floor` is in square metres: a `vertex` rotation's sum, and a normal's, is divided by no less.
 */
export function ringPass(
  memory: Memory,
  kind: RingRotation,
  canonical: Float32Array,
  head: Head,
  floor: number,
  turns: number,
  posed: GPUBuffer,
): (pass: GPUComputePassEncoder) => void {
  const { faces, vertexCount: count } = head;
  const { spans, corners } = ringsOf(faces, count);
  const ring = new Uint32Array(4 * (count + 1) + corners.length);
  const floats = new Float32Array(ring.buffer);
  for (let v = 0; v <= count; v++) {
    if (v < count) floats.set(canonical.subarray(3 * v, 3 * v + 3), 4 * v);
    ring[4 * v + 3] = count + 1 + (v ? spans[4 * v - 3] : 0);
  }
  ring.set(corners, 4 * (count + 1));
  const constants = { COUNT: count, SURFACE: kind === "surface", TURNS: turns, NORMALS: turns + count };
  const source = `${consts({ ...constants, FLOOR: float(floor) })}${QUATERNIONS}${TRIANGLES}${POLAR}${SOURCE}`;
  const run = new Kernel(memory.device, `${kind} rotations`, SLOTS, source).bind({
    ring: memory.storage("triangles around vertices", ring),
    posed,
  });
  return (pass) => run(pass, Math.ceil(count / THREADS));
}
