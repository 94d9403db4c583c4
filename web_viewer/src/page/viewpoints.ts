/** Where to stand for a named view of a head. Pure: no page. */
import type { Avatar } from "../avatar/avatar.ts";
import { lookAt, type PinholeCamera, type Point, positionOf } from "../camera/camera.ts";

/** Radians that the camera goes around the head, towards the person's left. */
export const VIEWPOINTS = {
  "Profile left": Math.PI / 2,
  "Three-quarter left": Math.PI / 4,
  Front: 0,
  "Three-quarter right": -Math.PI / 4,
  "Profile right": -Math.PI / 2,
} as const;
export type Viewpoint = keyof typeof VIEWPOINTS;

export type Framing = "face" | "head";

/** What is around: the box of what is framed, metres. */
export interface Box {
  low: Point;
  high: Point;
}

/** Of the height of a head, how much its face takes, and how far below the top that ends. */
const FACE = { height: 0.62, middle: 0.52 };
const FILL = 0.85;
/** Metres to the front of the head at least. */
const CLOSEST = 0.15;

/** Return the box around the head's own vertices, without what hangs below the neck joint. */
export function headBox({ head }: Avatar): Box {
  const { template, restJoints, roles } = head;
  const floor = roles.neck === undefined ? Number.NEGATIVE_INFINITY : restJoints[3 * roles.neck + 1];
  const low: Point = [Infinity, Infinity, Infinity];
  const high: Point = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < template.length; i += 3) {
    if (template[i + 1] < floor) continue;
    for (let c = 0; c < 3; c++) {
      low[c] = Math.min(low[c], template[i + c]);
      high[c] = Math.max(high[c], template[i + c]);
    }
  }
  return low[0] <= high[0] ? { low, high } : { low: [-0.1, -0.1, -0.1], high: [0.1, 0.1, 0.1] };
}

/** Return the part of a head's box where the face is. */
export function faceBox({ low, high }: Box): Box {
  const height = high[1] - low[1];
  const middle = high[1] - FACE.middle * height;
  const half = (FACE.height / 2) * height;
  return { low: [low[0], middle - half, low[2]], high: [high[0], middle + half, high[2]] };
}

/** Return a camera that shows a box, `yaw` radians around it, with the lens of `like`. */
export function cameraOn({ low, high }: Box, yaw: number, like: PinholeCamera): PinholeCamera {
  const middle = [0, 1, 2].map((c) => (low[c] + high[c]) / 2) as Point;
  const [w, h, d] = [0, 1, 2].map((c) => (high[c] - low[c]) / 2);
  // Half the width across the line of sight and along it, of the box that was walked around.
  const [cos, sin] = [Math.abs(Math.cos(yaw)), Math.abs(Math.sin(yaw))];
  const across = w * cos + d * sin;
  const along = d * cos + w * sin;
  const distance =
    along + Math.max((h * 2 * like.fy) / (like.height * FILL), (across * 2 * like.fx) / (like.width * FILL), CLOSEST);
  const eye: Point = [middle[0] + Math.sin(yaw) * distance, middle[1], middle[2] + Math.cos(yaw) * distance];
  return withLens(lookAt(eye, middle, 1, like.width, like.height), like);
}

function withLens(camera: PinholeCamera, { fx, fy, cx, cy }: PinholeCamera): PinholeCamera {
  return { ...camera, fx, fy, cx, cy };
}

/** Return a camera's vertical field of view, degrees. */
export function fieldOfView({ fy, height }: PinholeCamera): number {
  return (2 * Math.atan(height / (2 * fy)) * 180) / Math.PI;
}

/** Return the camera with another field of view, moved along its axis so that what is at `target` keeps its size. */
export function withFieldOfView(camera: PinholeCamera, degrees: number, target: Point): PinholeCamera {
  const fy = camera.height / (2 * Math.tan((degrees * Math.PI) / 360));
  const ratio = fy / camera.fy;
  const eye = positionOf(camera);
  const r = camera.rotation;
  const depth = [0, 1, 2].reduce((sum, c) => sum + r[6 + c] * (target[c] - eye[c]), 0);
  // Further away by as much as the lens is longer; translation is in camera axes.
  const translation = camera.translation.slice();
  translation[2] += depth * (ratio - 1);
  return { ...camera, fx: camera.fx * ratio, fy, translation };
}
