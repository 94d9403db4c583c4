import { describe, expect, it } from "vitest";
import { readAvatar } from "../../src/avatar/avatar.ts";
import { Actor } from "../../src/driving/actor.ts";
import { blendInto } from "../../src/driving/blend.ts";
import { LiveArkit } from "../../src/driving/live_arkit.ts";
import { record } from "../../src/driving/recorder.ts";
import type { Sequence } from "../../src/driving/sequence.ts";
import { readSequence, writeSequence } from "../../src/driving/sequence_json.ts";
import { SequenceError } from "../../src/errors.ts";
import { POSE_FIELDS, Pose } from "../../src/posing/pose.ts";
import { axisAngleToMatrix, slerpAxisAngle } from "../../src/posing/rotations.ts";
import { goldenBytes } from "../files.ts";

const avatar = readAvatar(goldenBytes("edge-height.glb"));
const many = readAvatar(goldenBytes("plain-face-many-joints.glb"));
const { head } = avatar;

function numbers(pose: Pose): number[] {
  return POSE_FIELDS.flatMap((name) => [...pose[name]]);
}

/** An actor with a clock that a test moves. */
function actor(of = avatar) {
  const time = { now: 0 };
  const made = new Actor(() => time.now);
  made.cast(of);
  const at = (seconds: number): Pose => {
    time.now = seconds;
    made.advance();
    return made.act()!;
  };
  return { made, at, time };
}

function poseAt(sequence: Sequence, frame: number, of = avatar): Pose {
  const pose = new Pose(of.head);
  sequence.sample(frame, pose, sequence.columns(of.head));
  return pose;
}

/** A clip of one still pose. */
function still(fields: Partial<Record<(typeof POSE_FIELDS)[number], number[]>>): Sequence {
  return readSequence({ format: "flameport.sequence/1", fps: 25, basis: head.edition, frames: [fields, fields] }, head);
}

describe("playing", () => {
  it("shows the clip's frames at the clock's seconds, from when it was started", () => {
    const { made, at, time } = actor();
    const { fps } = made.sequence!;
    expect(numbers(at(7))).toEqual(numbers(poseAt(avatar.clip!, 0)));
    time.now = 7.5;
    made.play();
    const wanted = numbers(poseAt(avatar.clip!, 1.5));
    numbers(at(7.5 + 1.5 / fps)).forEach((value, i) => {
      expect(value).toBeCloseTo(wanted[i], 12);
    });
    made.speed = 2;
    expect(made.seconds).toBeCloseTo(1.5 / fps, 12);
    at(7.5 + 2 / fps);
    expect(made.seconds).toBeCloseTo(2.5 / fps, 12);
  });

  it("ends once, and starts again from the beginning", () => {
    const { made, at } = actor();
    let ended = 0;
    made.onEnded = () => ended++;
    made.loop = false;
    made.play();
    at(100);
    at(101);
    expect([ended, made.isPlaying, made.seconds]).toEqual([1, false, made.sequence!.duration]);
    made.play();
    expect([made.isPlaying, made.seconds]).toEqual([true, 0]);
  });

  it("loops with one frame between the last and the first", () => {
    const { made, at } = actor();
    const { fps, frames } = made.sequence!;
    made.play();
    at((frames + 1.25) / fps);
    expect(made.seconds).toBeCloseTo(1.25 / fps, 12);
  });
});

describe("fading", () => {
  const from = still({ expr: [1, 0, 0, 0, 0, 0], jaw: [0.4, 0, 0], eyes: [0, 0.3, 0, 0, 0.3, 0] });
  const to = still({ expr: [0, 2, 0, 0, 0, 0], jaw: [0, 0.4, 0], translation: [0, 0.02, 0] });

  it("goes from one clip to another: coefficients linearly, rotations along the arc", () => {
    const { made, at } = actor();
    made.setSequence(from);
    made.fadeTo(to, 2);
    expect(numbers(at(0))).toEqual(numbers(poseAt(from, 0)));
    const half = at(1);
    expect([...half.expr].slice(0, 2)).toEqual([0.5, 1]);
    expect(half.translation[1]).toBeCloseTo(0.01, 12);
    const jaw = new Float64Array(3);
    slerpAxisAngle([0.4, 0, 0, 0, 0.4, 0], 0, 3, 0.5, jaw, 0);
    expect([...half.jaw]).toEqual([...jaw]);
    // A quarter of the time is 5/32 of the way: it starts and ends slowly.
    made.setSequence(from);
    made.fadeTo(to, 2);
    expect(at(1.5).expr[0]).toBeCloseTo(27 / 32, 12);
    expect(numbers(at(3.01))).toEqual(numbers(poseAt(to, 0)));
    expect(made.sequence).toBe(to);
  });

  it("never jumps when it is faded again before it has arrived", () => {
    const { made, at } = actor();
    made.setSequence(from);
    made.fadeTo(to, 1);
    const before = numbers(at(0.6));
    made.fadeTo(null, 1);
    expect(numbers(at(0.6))).toEqual(before);
    const after = numbers(at(0.6001));
    for (const [i, value] of after.entries()) expect(Math.abs(value - before[i])).toBeLessThan(1e-3);
    expect(numbers(at(1.7)).every((value) => value === 0)).toBe(true);
  });

  it("is ended by a jump in time", () => {
    const { made, at } = actor();
    made.fadeTo(to, 5);
    at(1);
    made.seek(0);
    expect(numbers(at(1))).toEqual(numbers(poseAt(to, 0)));
  });

  it("blends joints and drivers of many-jointed heads", () => {
    const a = poseAt(many.clip!, 0.5, many);
    const b = poseAt(many.clip!, 2.25, many);
    expect(a.joints.size).toBeGreaterThan(0);
    const mixed = new Pose(many.head);
    mixed.copy(a);
    blendInto(mixed, b, 0.3);
    for (const [joint, angle] of mixed.joints) {
      const wanted = new Float64Array(3);
      slerpAxisAngle([...a.joints.get(joint)!, ...b.joints.get(joint)!], 0, 3, 0.3, wanted, 0);
      expect([...angle]).toEqual([...wanted]);
    }
    for (const [name, values] of mixed.drivers) {
      values.forEach((value, i) => {
        expect(value).toBeCloseTo(a.drivers.get(name)![i] * 0.7 + b.drivers.get(name)![i] * 0.3, 12);
      });
    }
  });
});

describe("drivers", () => {
  it("change the pose in order, below what is held by hand", () => {
    const { made, at } = actor();
    made.setSequence(still({ jaw: [0.1, 0, 0] }));
    const take = made.addDriver((pose) => {
      pose.jaw[0] *= 3;
    });
    made.addDriver((pose, { seconds }) => {
      pose.jaw[0] += seconds;
    });
    expect(at(1).jaw[0]).toBeCloseTo(1.3, 12);
    expect(at(2).jaw[0]).toBeCloseTo(2.3, 12);
    made.setPose({ jaw: [0, 0, 1] });
    expect([...at(3).jaw]).toEqual([0, 0, 1]);
    made.releasePose("jaw");
    take();
    take();
    expect(at(4).jaw[0]).toBeCloseTo(4.1, 12);
  });

  it("let the pose alone once nothing moves", () => {
    const { made, at } = actor();
    made.setSequence(null);
    let asked = 0;
    const arkit = new LiveArkit();
    made.addDriver(arkit);
    made.addDriver({
      drive: () => {
        asked++;
        return false;
      },
    });
    at(0);
    at(1);
    at(2);
    expect(asked).toBe(1);
    arkit.set({ jawOpen: 0.5, notThere: 1, browInnerUp: Number.NaN });
    expect(Math.max(...numbers(at(3)).map(Math.abs))).toBeGreaterThan(0);
    expect(asked).toBe(2);
    arkit.set(null);
    expect(numbers(at(4)).every((value) => value === 0)).toBe(true);
  });

  it("show ARKit's weights as the head's map says", () => {
    const { made, at } = actor();
    made.setSequence(still({ expr: [1, 1, 1, 1, 1, 1], neck: [0, 0.2, 0] }));
    made.addDriver(new LiveArkit((seconds) => ({ jawOpen: seconds }), { replace: true }));
    const pose = at(0.5);
    const row = head.arkitMap!.subarray(24 * (head.exprNames.length + 14));
    pose.expr.forEach((value, e) => {
      expect(value).toBeCloseTo(0.5 * row[e], 12);
    });
    expect(pose.neck[1]).toBeCloseTo(0.2 + 0.5 * row[head.exprNames.length + 3 + 1], 12);
  });
});

describe("a recording", () => {
  it("is what was shown, to the bit, when it is played again", () => {
    const { made, at } = actor(many);
    made.addDriver((pose, { seconds }) => {
      pose.neck[1] += 0.2 * Math.sin(seconds);
      pose.expr[0] -= 0;
    });
    made.play();
    const stop = record(made, { fps: 50 });
    const shown = Array.from({ length: 12 }, (_, k) => {
      const pose = new Pose(many.head);
      pose.copy(at(k / 50));
      return pose;
    });
    const again = readSequence(JSON.parse(writeSequence(stop())), many.head);
    expect(again.frames).toBe(12);
    shown.forEach((pose, k) => {
      const played = poseAt(again, k, many);
      expect(numbers(played).every((value, i) => Object.is(value, numbers(pose)[i]))).toBe(true);
      for (const [joint, angle] of pose.joints) expect([...played.joints.get(joint)!]).toEqual([...angle]);
      for (const [name, values] of pose.drivers) expect([...played.drivers.get(name)!]).toEqual([...values]);
    });
  });

  it("has a steady rate whenever pictures were drawn", () => {
    const { made, at } = actor();
    made.setSequence(null);
    made.addDriver((pose, { seconds }) => {
      pose.jaw[0] = seconds;
    });
    at(1);
    const stop = record(made, { fps: 10 });
    for (const seconds of [1, 1.03, 1.17, 1.3, 1.31, 1.52]) at(seconds);
    const clip = stop();
    expect(clip.frames).toBe(6);
    for (let k = 0; k < 6; k++) expect(clip.fields.jaw[3 * k]).toBeCloseTo(1 + k / 10, 9);
    made.seek(0);
    expect(stop().frames).toBe(6);
  });
});

it("says what it cannot do", () => {
  const { made } = actor();
  const empty = new Actor(() => 0);
  expect(() => empty.setSequence(null)).toThrow(SequenceError);
  expect(() => made.setArkit("grin", 1)).toThrow(/grin/);
  expect(() => made.setExpression("grin", 1)).toThrow(/grin/);
  expect(() => made.setPose({ neck: [1, 2] })).toThrow(/3 numbers/);
  expect(() => made.setPose({ tail: [1, 2, 3] })).toThrow(/tail/);
  expect(() => made.setRange("nap")).toThrow(/nap/);
  const matrix = new Float64Array(9);
  axisAngleToMatrix(made.act()!.neck, 0, matrix, 0);
  expect(matrix.every(Number.isFinite)).toBe(true);
});
