/** How many strands are drawn from how far. */
import { describe, expect, it } from "vitest";
import { lookAt, type PinholeCamera, positionOf } from "../src/camera/camera.ts";
import { WIDTH } from "../src/gl/device.ts";
import { StrandDetail } from "../src/gl/strand_detail.ts";
import { Pose } from "../src/posing/pose.ts";
import { PosedAvatar } from "../src/posing/posed_avatar.ts";
import { goldenAvatar } from "./files.ts";

const avatar = goldenAvatar("../layers/hair.plain.glb");
const posed = new PosedAvatar(avatar);
posed.pose(new Pose(avatar.head));
const starts = avatar.layers.map((_, l) => l);
const centers = new Float32Array(3 * WIDTH * avatar.layers.length);
const all: number[] = [];
avatar.layers.forEach((layer, l) => {
  centers.set(posed.centers[l], 3 * WIDTH * l);
  for (let i = 0; i < layer.count; i++) all.push(WIDTH * l + i);
});

function view(camera: PinholeCamera) {
  const { rotation, translation, fx, fy, cx, cy, width, height } = camera;
  const intrinsics: [number, number, number, number] = [fx, fy, cx, cy];
  return { rotation, translation, eye: positionOf(camera), intrinsics, width, height, near: 0.2 };
}

describe("strands", () => {
  const hair = avatar.layers.findIndex((layer) => layer.strands);
  const from = (distance: number) => view(lookAt([0, 0, distance], [0, 0, 0], 0.35, 256, 256));

  it("are all drawn from near, and every second or fourth where more segments than pixels are", () => {
    const detail = new StrandDetail(avatar, starts, Uint32Array.from(all));
    const seen = [0.6, 30, 60, 400, 0.6].map((distance) => {
      const ids = detail.choose(from(distance), centers);
      return [detail.levels[hair], ids.length];
    });
    const { count, strands } = avatar.layers[hair];
    const others = avatar.count - count;
    const drawn = (level: number) => others + Math.ceil(strands!.count / level) * (strands!.points - 1);
    for (const [level, length] of seen) expect(length).toBe(drawn(level));
    const levels = seen.map(([level]) => level);
    expect(levels[0]).toBe(1);
    expect(levels[3]).toBe(4);
    expect(levels[4]).toBe(1);
    expect([...levels.slice(0, 4)].sort((a, b) => a - b)).toEqual(levels.slice(0, 4));
  });

  it("other layers keep all their Gaussians, in order", () => {
    const detail = new StrandDetail(avatar, starts, Uint32Array.from(all));
    const ids = [...detail.choose(from(200), centers)];
    expect(ids).toEqual(all.filter((id) => ids.includes(id)));
    expect(ids.filter((id) => Math.floor(id / WIDTH) !== hair)).toEqual(
      all.filter((id) => Math.floor(id / WIDTH) !== hair),
    );
  });
});
