import { expect, test } from "vitest";
import { lookAt, type Point, positionOf } from "../../src/camera/camera.ts";
import { cameraOn, fieldOfView, withFieldOfView } from "../../src/page/viewpoints.ts";

const LIKE = lookAt([0, 0, 2], [0, 0, 0], (20 * Math.PI) / 180, 512, 512);
const BOX = { low: [-0.1, -0.15, -0.12] as Point, high: [0.1, 0.15, 0.12] as Point };

function project(camera: typeof LIKE, [x, y, z]: Point): [number, number] {
  const { rotation: r, translation: t, fx, fy, cx, cy } = camera;
  const p = [0, 1, 2].map((i) => r[3 * i] * x + r[3 * i + 1] * y + r[3 * i + 2] * z + t[i]);
  return [(fx * p[0]) / p[2] + cx, (fy * p[1]) / p[2] + cy];
}

test("every corner of a box that is framed is in the picture, from wherever", () => {
  for (const yaw of [0, Math.PI / 4, -Math.PI / 2]) {
    const camera = cameraOn(BOX, yaw, LIKE);
    for (let i = 0; i < 8; i++) {
      const corner = [0, 1, 2].map((c) => (i & (1 << c) ? BOX.high : BOX.low)[c]) as Point;
      for (const pixel of project(camera, corner)) expect(pixel).toSatisfy((x: number) => x > 0 && x < 512);
    }
    const [x, , z] = positionOf(camera);
    expect(Math.atan2(x, z)).toBeCloseTo(yaw, 9);
  }
});

test("another field of view keeps the size of what is looked at", () => {
  const wide = withFieldOfView(LIKE, 60, [0, 0, 0]);
  expect(fieldOfView(wide)).toBeCloseTo(60, 9);
  for (const point of [
    [0.1, 0, 0],
    [0, -0.1, 0],
  ] as Point[]) {
    project(wide, point).forEach((pixel, c) => {
      expect(pixel).toBeCloseTo(project(LIKE, point)[c], 6);
    });
  }
});
