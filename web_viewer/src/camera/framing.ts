/** Where to stand so that an avatar fills the picture, as `formats.framing.default_camera`. */
import type { Avatar } from "../avatar/avatar.ts";
import { Pose } from "../posing/pose.ts";
import { PosedAvatar } from "../posing/posed_avatar.ts";
import { lookAt, type PinholeCamera } from "./camera.ts";

const FOV_Y = (20 * Math.PI) / 180;
const FILL = 0.85;
const STRAY = 0.01;
const CLOSEST = 0.4;
const FAINT = 0.1;

/** Return a camera in front of the avatar at rest that shows all of it. */
export function defaultCamera(avatar: Avatar, width = 512, height = 512): PinholeCamera {
  // Without dynamics and networks, as the reference frames: what an avatar is asked to do must not move the camera.
  const layers = avatar.layers.map((layer) => ({ ...layer, dynamics: null }));
  const posed = new PosedAvatar({ ...avatar, layers, meshes: [] });
  posed.pose(new Pose(avatar.head));
  const points: number[] = [];
  avatar.layers.forEach((layer, l) => {
    for (let i = 0; i < layer.count; i++) {
      if (layer.opacities[i] >= FAINT) points.push(...posed.centers[l].subarray(3 * i, 3 * i + 3));
    }
  });
  for (const { vertices } of avatar.meshes) for (const x of vertices) points.push(x);
  const found = points.length ? Float64Array.from(points) : posed.head.vertices;
  const spans = [0, 1, 2].map((axis) => {
    const values = found.filter((_, i) => i % 3 === axis).sort();
    const at = (share: number) => values[Math.round(share * (values.length - 1))];
    return [at(STRAY), at(1 - STRAY)];
  });
  const [x, y, z] = spans.map(([low, high]) => (low + high) / 2);
  const [w, h, d] = spans.map(([low, high]) => Math.max((high - low) / 2, 1e-3));
  const slope = Math.tan(FOV_Y / 2) * FILL;
  const distance = d + Math.max(h / slope, (w * height) / (slope * width), CLOSEST);
  return lookAt([x, y, z + distance], [x, y, z], FOV_Y, width, height);
}
