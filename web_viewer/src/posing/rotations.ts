/**
 * Rotations, as `formats/rotations.py` defines them: axis-angle, quaternions (wxyz, unit), row-major 3x3 matrices.
 * Functions write into flat arrays at an offset, so that a frame allocates nothing.
 */

export type Numbers = Float64Array | Float32Array | number[];

/** Write the unit quaternion of the axis-angle vector at `r[at]` to `out[to]`. */
export function axisAngleToQuat(r: Numbers, at: number, out: Numbers, to: number): void {
  const x = r[at];
  const y = r[at + 1];
  const z = r[at + 2];
  const angle = Math.hypot(x, y, z);
  const halfSinc = angle > 1e-6 ? Math.sin(angle / 2) / angle : 0.5 - (angle * angle) / 48;
  out[to] = Math.cos(angle / 2);
  out[to + 1] = x * halfSinc;
  out[to + 2] = y * halfSinc;
  out[to + 3] = z * halfSinc;
}

/** Write the axis-angle vector (angle in 0..pi) of the unit quaternion at `q[at]` to `out[to]`. */
export function quatToAxisAngle(q: Numbers, at: number, out: Numbers, to: number): void {
  const sign = q[at] < 0 ? -1 : 1;
  const x = q[at + 1] * sign;
  const y = q[at + 2] * sign;
  const z = q[at + 3] * sign;
  const sine = Math.hypot(x, y, z);
  const scale = sine > 1e-9 ? (2 * Math.atan2(sine, q[at] * sign)) / sine : 2;
  out[to] = x * scale;
  out[to + 1] = y * scale;
  out[to + 2] = z * scale;
}

/** Write the row-major matrix of the unit quaternion at `q[at]` to `out[to]`. */
export function quatToMatrix(q: Numbers, at: number, out: Numbers, to: number): void {
  const w = q[at];
  const x = q[at + 1];
  const y = q[at + 2];
  const z = q[at + 3];
  out[to] = 1 - 2 * (y * y + z * z);
  out[to + 1] = 2 * (x * y - w * z);
  out[to + 2] = 2 * (x * z + w * y);
  out[to + 3] = 2 * (x * y + w * z);
  out[to + 4] = 1 - 2 * (x * x + z * z);
  out[to + 5] = 2 * (y * z - w * x);
  out[to + 6] = 2 * (x * z - w * y);
  out[to + 7] = 2 * (y * z + w * x);
  out[to + 8] = 1 - 2 * (x * x + y * y);
}

const scratch = new Float64Array(4);

/** Write the row-major matrix of the axis-angle vector at `r[at]` to `out[to]` (Rodrigues). */
export function axisAngleToMatrix(r: Numbers, at: number, out: Numbers, to: number): void {
  axisAngleToQuat(r, at, scratch, 0);
  quatToMatrix(scratch, 0, out, to);
}

/** Write the unit quaternion with w >= 0 of the row-major rotation at `m[at]` to `out[to]` (Shepperd's branches). */
export function matrixToQuat(m: Numbers, at: number, out: Numbers, to: number): void {
  const a = m[at];
  const b = m[at + 4];
  const c = m[at + 8];
  const trace = a + b + c;
  let w: number;
  let x: number;
  let y: number;
  let z: number;
  if (trace >= a && trace >= b && trace >= c) {
    w = 1 + trace;
    x = m[at + 7] - m[at + 5];
    y = m[at + 2] - m[at + 6];
    z = m[at + 3] - m[at + 1];
  } else if (a >= b && a >= c) {
    w = m[at + 7] - m[at + 5];
    x = 1 + 2 * a - trace;
    y = m[at + 3] + m[at + 1];
    z = m[at + 6] + m[at + 2];
  } else if (b >= c) {
    w = m[at + 2] - m[at + 6];
    x = m[at + 3] + m[at + 1];
    y = 1 + 2 * b - trace;
    z = m[at + 7] + m[at + 5];
  } else {
    w = m[at + 3] - m[at + 1];
    x = m[at + 6] + m[at + 2];
    y = m[at + 7] + m[at + 5];
    z = 1 + 2 * c - trace;
  }
  const scale = (w < 0 ? -1 : 1) / Math.hypot(w, x, y, z);
  out[to] = w * scale;
  out[to + 1] = x * scale;
  out[to + 2] = y * scale;
  out[to + 3] = z * scale;
}

/** Write the Hamilton product a b to `out[to]`: first turn by b, then by a. */
export function quatMultiply(a: Numbers, ai: number, b: Numbers, bi: number, out: Numbers, to: number): void {
  const aw = a[ai];
  const ax = a[ai + 1];
  const ay = a[ai + 2];
  const az = a[ai + 3];
  const bw = b[bi];
  const bx = b[bi + 1];
  const by = b[bi + 2];
  const bz = b[bi + 3];
  out[to] = aw * bw - ax * bx - ay * by - az * bz;
  out[to + 1] = aw * bx + ax * bw + ay * bz - az * by;
  out[to + 2] = aw * by - ax * bz + ay * bw + az * bx;
  out[to + 3] = aw * bz + ax * by - ay * bx + az * bw;
}

const qa = new Float64Array(4);
const qb = new Float64Array(4);

/** Write the axis-angle vector a fraction `t` along the shorter arc from `r[a]` to `r[b]` (slerp, Shoemake 1985). */
export function slerpAxisAngle(r: Numbers, a: number, b: number, t: number, out: Numbers, to: number): void {
  axisAngleToQuat(r, a, qa, 0);
  axisAngleToQuat(r, b, qb, 0);
  slerp(qa, qb, t, qa);
  quatToAxisAngle(qa, 0, out, to);
}

/** Write the unit quaternion a fraction `t` along the shorter arc from a to b; `out` may be a or b. */
export function slerp(a: Numbers, b: Numbers, t: number, out: Numbers): void {
  let dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
  const sign = dot < 0 ? -1 : 1;
  dot = Math.min(Math.abs(dot), 1);
  let wa = 1 - t;
  let wb = t;
  if (dot <= 1 - 1e-9) {
    const angle = Math.acos(dot);
    const sine = Math.sin(angle);
    wa = Math.sin((1 - t) * angle) / sine;
    wb = Math.sin(t * angle) / sine;
  }
  wb *= sign;
  const w = wa * a[0] + wb * b[0];
  const x = wa * a[1] + wb * b[1];
  const y = wa * a[2] + wb * b[2];
  const z = wa * a[3] + wb * b[3];
  const length = Math.max(Math.hypot(w, x, y, z), 1e-20);
  out[0] = w / length;
  out[1] = x / length;
  out[2] = y / length;
  out[3] = z / length;
}

/** Write the shortest rotation from +x to the vector at `d[at]` of this length; the identity for none. */
export function quatAlong(d: Numbers, at: number, length: number, out: Numbers, to: number): void {
  const x = length > 0 ? d[at] / length : 1;
  const y = length > 0 ? d[at + 1] / length : 0;
  const z = length > 0 ? d[at + 2] / length : 0;
  const size = Math.hypot(1 + x, y, z);
  out[to] = size > 1e-9 ? (1 + x) / size : 0;
  out[to + 1] = 0;
  out[to + 2] = size > 1e-9 ? -z / size : 1;
  out[to + 3] = size > 1e-9 ? y / size : 0;
}
