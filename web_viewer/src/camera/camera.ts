/** Pinhole cameras: `camera.json` in, and the numbers that shaders and the orbit need out. */

import type { Json } from "../avatar/glb.ts";
import { SequenceError } from "../errors.ts";

/** OpenCV axes (x right, y down, z forward), pixels from the top-left corner, metres. Row-major. */
export interface PinholeCamera {
  fx: number;
  fy: number;
  cx: number;
  cy: number;
  width: number;
  height: number;
  /** 3x3. */
  rotation: Float64Array;
  translation: Float64Array;
}

/** Return the camera in parsed `camera.json`; of several, the first. Throws `SequenceError`. */
export function cameraOf(json: Json): PinholeCamera {
  const entry = Array.isArray(json?.cameras) ? json.cameras[0] : json;
  const rows = (value: Json, size: number, name: string): number[][] => {
    const good =
      Array.isArray(value) &&
      value.length === size &&
      value.every((r) => r?.length === size && r.every(Number.isFinite));
    if (!good) throw new SequenceError(`The camera's ${name} must be a ${size} by ${size} matrix.`);
    return value;
  };
  const k = rows(entry?.K, 3, "K");
  const m = rows(entry?.world_to_camera, 4, "world_to_camera");
  if (!(k[0][0] > 0 && k[1][1] > 0) || Math.abs(k[0][1]) > 1e-9 * k[0][0]) {
    throw new SequenceError("The camera's K must have positive focal lengths and no skew.");
  }
  if (!(entry.width >= 1 && entry.height >= 1)) throw new SequenceError("The camera needs a width and a height.");
  return {
    fx: k[0][0],
    fy: k[1][1],
    cx: k[0][2],
    cy: k[1][2],
    width: entry.width,
    height: entry.height,
    rotation: Float64Array.from(m.slice(0, 3).flatMap((row) => row.slice(0, 3))),
    translation: Float64Array.from(m.slice(0, 3).map((row) => row[3])),
  };
}

/** Return the camera on a picture of another size: same height of view, the middle stays in the middle. */
export function fitCamera(camera: PinholeCamera, width: number, height: number): PinholeCamera {
  // A picture narrower than the camera's would cut the sides off: keep its whole width instead.
  const scale = Math.min(height / camera.height, width / camera.width);
  return {
    ...camera,
    fx: camera.fx * scale,
    fy: camera.fy * scale,
    cx: width / 2 + (camera.cx - camera.width / 2) * scale,
    cy: height / 2 + (camera.cy - camera.height / 2) * scale,
    width,
    height,
  };
}

/** Return the camera's centre in world space, metres. */
export function positionOf({ rotation: r, translation: t }: PinholeCamera): [number, number, number] {
  return [
    -(r[0] * t[0] + r[3] * t[1] + r[6] * t[2]),
    -(r[1] * t[0] + r[4] * t[1] + r[7] * t[2]),
    -(r[2] * t[0] + r[5] * t[1] + r[8] * t[2]),
  ];
}

export type Point = [number, number, number];

/** Return a camera at `eye` that looks at `target`, +y up in the picture. `fovY` in radians. */
export function lookAt(eye: Point, target: Point, fovY: number, width: number, height: number): PinholeCamera {
  const z = unit([target[0] - eye[0], target[1] - eye[1], target[2] - eye[2]]);
  const x = unit([-z[2], 0, z[0]]);
  const y: Point = [z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]];
  const rotation = Float64Array.from([...x, ...y, ...z]);
  const translation = Float64Array.from([x, y, z].map((a) => -(a[0] * eye[0] + a[1] * eye[1] + a[2] * eye[2])));
  const f = (0.5 * height) / Math.tan(fovY / 2);
  return { fx: f, fy: f, cx: width / 2, cy: height / 2, width, height, rotation, translation };
}

function unit(v: Point): Point {
  const length = Math.hypot(...v) || 1;
  return [v[0] / length, v[1] / length, v[2] / length];
}
