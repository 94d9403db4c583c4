/** Frames on the head's surface, as `formats.deform` defines them. */
import { matrixToQuat } from "./rotations.ts";

/** How a Gaussian turns with its triangle; places in the list are numbers in the shader. */
export const FRAMES = ["face", "vertex", "none", "corner", "root"] as const;

/** Numbers per triangle: axes (row-major 3x3 whose columns are the axes), size, double area. */
export const FRAME = 11;

/** Write the frame of the triangle (i, j, k) of `v` to `out[to]`. */
export function triangleFrame(v: Float64Array, i: number, j: number, k: number, out: Float64Array, to: number): void {
  const x = v[3 * i];
  const y = v[3 * i + 1];
  const z = v[3 * i + 2];
  const ex = v[3 * j] - x;
  const ey = v[3 * j + 1] - y;
  const ez = v[3 * j + 2] - z;
  const sx = v[3 * k] - x;
  const sy = v[3 * k + 1] - y;
  const sz = v[3 * k + 2] - z;
  const length = Math.sqrt(ex * ex + ey * ey + ez * ez);
  let ax = 1;
  let ay = 0;
  let az = 0;
  if (length > 1e-12) {
    ax = ex / length;
    ay = ey / length;
    az = ez / length;
  }
  let nx = ay * sz - az * sy;
  let ny = az * sx - ax * sz;
  let nz = ax * sy - ay * sx;
  const height = Math.sqrt(nx * nx + ny * ny + nz * nz);
  if (height > 1e-12) {
    nx /= height;
    ny /= height;
    nz /= height;
  } else {
    // No area: any axis across the edge will do, so that nothing turns NaN.
    const up = Math.abs(ay) < 0.9;
    const along = up ? ay : az;
    nx = -ax * along;
    ny = (up ? 1 : 0) - ay * along;
    nz = (up ? 0 : 1) - az * along;
    const scale = 1 / Math.sqrt(nx * nx + ny * ny + nz * nz);
    nx *= scale;
    ny *= scale;
    nz *= scale;
  }
  const bx = ay * nz - az * ny;
  const by = az * nx - ax * nz;
  const bz = ax * ny - ay * nx;
  out[to] = ax;
  out[to + 1] = nx;
  out[to + 2] = bx;
  out[to + 3] = ay;
  out[to + 4] = ny;
  out[to + 5] = by;
  out[to + 6] = az;
  out[to + 7] = nz;
  out[to + 8] = bz;
  out[to + 9] = (length + Math.abs(bx * sx + by * sy + bz * sz)) / 2;
  out[to + 10] = length * height;
}

/** Write unit vertex normals weighted by area, shorter where the sum is below `floor`; vertices without area get zero. */
export function vertexNormals(v: Float64Array, faces: Uint32Array, out: Float64Array, floor = 1e-20): void {
  out.fill(0);
  for (let f = 0; f < faces.length; f += 3) {
    const i = 3 * faces[f];
    const j = 3 * faces[f + 1];
    const k = 3 * faces[f + 2];
    const ex = v[j] - v[i];
    const ey = v[j + 1] - v[i + 1];
    const ez = v[j + 2] - v[i + 2];
    const sx = v[k] - v[i];
    const sy = v[k + 1] - v[i + 1];
    const sz = v[k + 2] - v[i + 2];
    const nx = ey * sz - ez * sy;
    const ny = ez * sx - ex * sz;
    const nz = ex * sy - ey * sx;
    out[i] += nx;
    out[i + 1] += ny;
    out[i + 2] += nz;
    out[j] += nx;
    out[j + 1] += ny;
    out[j + 2] += nz;
    out[k] += nx;
    out[k + 1] += ny;
    out[k + 2] += nz;
  }
  for (let i = 0; i < out.length; i += 3) {
    const length = Math.max(Math.hypot(out[i], out[i + 1], out[i + 2]), floor);
    out[i] /= length;
    out[i + 1] /= length;
    out[i + 2] /= length;
  }
}

/**
 * Return quaternions [V * 4] that turn each vertex's surroundings from one mesh to another (SplattingAvatar); shorter than
 * 1 where the area around a vertex is below `floor`.
 */
export function vertexRotations(from: Float64Array, to: Float64Array, faces: Uint32Array, floor: number): Float64Array {
  const out = new Float64Array((from.length / 3) * 4);
  const there = new Float64Array(FRAME);
  const here = new Float64Array(FRAME);
  const turn = new Float64Array(9);
  const q = new Float64Array(4);
  for (let f = 0; f < faces.length; f += 3) {
    triangleFrame(from, faces[f], faces[f + 1], faces[f + 2], there, 0);
    triangleFrame(to, faces[f], faces[f + 1], faces[f + 2], here, 0);
    for (let r = 0; r < 3; r++) {
      for (let c = 0; c < 3; c++) {
        turn[3 * r + c] =
          here[3 * r] * there[3 * c] + here[3 * r + 1] * there[3 * c + 1] + here[3 * r + 2] * there[3 * c + 2];
      }
    }
    matrixToQuat(turn, 0, q, 0);
    for (let k = 0; k < 3; k++) {
      for (let c = 0; c < 4; c++) out[4 * faces[f + k] + c] += (q[c] * there[10]) / 2;
    }
  }
  for (let i = 0; i < out.length; i += 4) {
    const length = Math.max(Math.hypot(out[i], out[i + 1], out[i + 2], out[i + 3]), floor);
    for (let c = 0; c < 4; c++) out[i + c] /= length;
  }
  return out;
}
