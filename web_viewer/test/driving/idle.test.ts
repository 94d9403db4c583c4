import { describe, expect, it } from "vitest";
import { readAvatar } from "../../src/avatar/avatar.ts";
import { lookAt, type Point } from "../../src/camera/camera.ts";
import { Gaze, pointInSpace } from "../../src/driving/gaze.ts";
import { Idle } from "../../src/driving/idle.ts";
import { normalOf, randomOf } from "../../src/driving/random.ts";
import { HeadPoser } from "../../src/posing/head.ts";
import { POSE_FIELDS, Pose } from "../../src/posing/pose.ts";
import { goldenBytes } from "../files.ts";

const { head } = readAvatar(goldenBytes("edge-height.glb"));

function driven(driver: { drive: Idle["drive"] }, seconds: number): number[] {
  const pose = new Pose(head);
  driver.drive(pose, { seconds, clip: 0 });
  return POSE_FIELDS.flatMap((name) => [...pose[name]]);
}

describe("idling", () => {
  it("is the same for a seed and a moment, in any order", () => {
    const moments = Array.from({ length: 200 }, (_, i) => 137.031 * i + 0.017);
    const once = new Idle({ seed: 5 });
    const first = moments.map((seconds) => driven(once, seconds));
    const again = new Idle({ seed: 5 });
    const backwards = [...moments].reverse().map((seconds) => driven(again, seconds));
    expect(backwards.reverse()).toEqual(first);
    expect(driven(new Idle({ seed: 6 }), 3)).not.toEqual(driven(new Idle({ seed: 5 }), 3));
  });

  it("blinks as often as it is told, all the way and not for long", () => {
    const idle = new Idle({ seed: 3, blinks: 17, head: 0, gaze: 0 });
    let blinks = 0;
    let shut = 0;
    let before = 0;
    const step = 0.01;
    const minutes = 40;
    for (let i = 0; i < (minutes * 60) / step; i++) {
      const closed = idle.closed(i * step);
      if (!(closed >= 0 && closed <= 1)) throw new Error(`closed by ${closed}`);
      if (closed > 0.5 && before <= 0.5) blinks++;
      if (closed > 0.5) shut += step;
      before = closed;
    }
    expect(blinks / minutes).toBeGreaterThan(14);
    expect(blinks / minutes).toBeLessThan(20);
    expect(shut / blinks).toBeGreaterThan(0.08);
    expect(shut / blinks).toBeLessThan(0.25);
  });

  it("moves smoothly and a little", () => {
    const idle = new Idle({ seed: 2, blinks: 0, gaze: 0 });
    let most = 0;
    let fastest = 0;
    for (let i = 0; i < 6000; i++) {
      const now = idle.sway(i / 60);
      const next = idle.sway((i + 1) / 60);
      now.forEach((angle, axis) => {
        most = Math.max(most, Math.abs(angle));
        fastest = Math.max(fastest, Math.abs(next[axis] - angle));
      });
    }
    // A degree in a tenth of a second would be a twitch.
    expect(fastest).toBeLessThan(Math.PI / 180 / 6);
    expect(most).toBeGreaterThan(0.5 * (Math.PI / 180));
    expect(most).toBeLessThan(3 * (Math.PI / 180));
  });

  it("leaves what it is told to leave", () => {
    const quiet = new Idle({ blinks: 0, head: 0, gaze: 0 });
    expect(quiet.drive(new Pose(head), { seconds: 3, clip: 0 })).toBe(false);
    expect(driven(quiet, 3).every((value) => value === 0)).toBe(true);
  });

  it("closes lids that a clip has half closed, and never further than shut", () => {
    const idle = new Idle({ seed: 1, head: 0, gaze: 0 });
    const found = Array.from({ length: 3000 }, (_, i) => i / 100).find((t) => idle.closed(t) > 0.8)!;
    const pose = new Pose(head);
    pose.eyelids.set([0.5, 1]);
    idle.drive(pose, { seconds: found, clip: 0 });
    expect(pose.eyelids[0]).toBeGreaterThan(0.9);
    expect(pose.eyelids[1]).toBe(1);
  });
});

describe("random numbers", () => {
  it("spread evenly, and normally", () => {
    const random = randomOf(4, 2);
    const even = Array.from({ length: 20000 }, random);
    const mean = even.reduce((sum, x) => sum + x) / even.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.01);
    const normal = Array.from({ length: 20000 }, () => normalOf(random));
    const square = normal.reduce((sum, x) => sum + x * x) / normal.length;
    expect(Math.abs(square - 1)).toBeLessThan(0.05);
    expect(randomOf(1, 2)()).not.toBe(randomOf(2, 1)());
  });
});

describe("gaze", () => {
  /** Degrees between where the left eye looks and a point. */
  function miss(pose: Pose, target: Point): number {
    const poser = new HeadPoser(head);
    poser.pose(pose);
    const joint = head.roles.left_eye!;
    const m = poser.matrices.subarray(12 * joint, 12 * joint + 12);
    const rest = poser.restJoint(joint);
    const at = [0, 1, 2].map(
      (r) => m[4 * r] * rest[0] + m[4 * r + 1] * rest[1] + m[4 * r + 2] * rest[2] + m[4 * r + 3],
    );
    const to = target.map((value, c) => value - at[c]);
    const along = [2, 6, 10].reduce((sum, o, c) => sum + m[o] * to[c], 0);
    return (Math.acos(Math.min(1, along / Math.hypot(...to))) * 180) / Math.PI;
  }

  it.each([[[0, 0, 1] as Point], [[0.3, 0.1, 0.8] as Point], [[-0.25, -0.2, 0.9] as Point]])(
    "meets a point at %j with turned head and eyes",
    (target) => {
      const gaze = new Gaze();
      gaze.lookAt(target);
      const pose = new Pose(head);
      pose.rotation.set([0.1, -0.2, 0.05]);
      gaze.drive(pose, { seconds: 0, clip: 0 });
      // Both eyes turn alike, towards what lies between them: 3 cm beside it, some 2 degrees at this distance.
      expect(miss(pose, target)).toBeLessThan(3);
      expect(Math.abs(pose.neck[1])).toBeGreaterThan(0.01);
    },
  );

  it("comes and goes softly, and then rests", () => {
    const gaze = new Gaze();
    const look = (seconds: number) => {
      const pose = new Pose(head);
      return { moving: gaze.drive(pose, { seconds, clip: 0 }), yaw: pose.eyes[1] };
    };
    expect(look(0)).toEqual({ moving: false, yaw: 0 });
    gaze.lookAt([0.5, 0, 0.5]);
    const yaws = Array.from({ length: 300 }, (_, i) => look(i / 60));
    expect(yaws[1].moving).toBe(true);
    for (let i = 1; i < 300; i++) expect(Math.abs(yaws[i].yaw - yaws[i - 1].yaw)).toBeLessThan(0.12);
    expect(yaws[299].moving).toBe(false);
    expect(yaws[299].yaw).toBeGreaterThan(0.2);
    gaze.lookAt(null);
    for (let i = 300; i < 900; i++) look(i / 60);
    expect(look(16)).toEqual({ moving: false, yaw: 0 });
  });

  it("finds the pointer in space", () => {
    const camera = lookAt([0, 0, 1], [0, 0, 0], 0.5, 400, 400);
    const rect = { left: 10, top: 20, width: 800, height: 400 };
    const middle = pointInSpace({ clientX: 410, clientY: 220 }, rect, camera, [0, 0, 0.1]);
    [0, 0, 0.45].forEach((value, c) => {
      expect(middle[c]).toBeCloseTo(value, 12);
    });
    const right = pointInSpace({ clientX: 510, clientY: 220 }, rect, camera, [0, 0, 0.1]);
    expect(right[0]).toBeCloseTo((100 / camera.fy) * 0.9, 9);
    const above = pointInSpace({ clientX: 410, clientY: 120 }, rect, camera, [0, 0, 0.1]);
    expect(above[1]).toBeGreaterThan(0.01);
  });
});
