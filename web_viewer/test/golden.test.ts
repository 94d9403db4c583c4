/** The player's posing against `formats.deform`, on the files that scripts/make_golden.py writes. */
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readAvatar } from "../src/avatar/avatar.ts";
import { readSequence } from "../src/driving/sequence_json.ts";
import { Pose } from "../src/posing/pose.ts";
import { PosedAvatar } from "../src/posing/posed_avatar.ts";
import { GOLDEN, goldenBytes, goldenJson } from "./files.ts";

/** Metres. The bound is 1e-5; float32 tables and seven stored digits leave less than a tenth of it. */
const METERS = 1e-6;

const names = readdirSync(GOLDEN)
  .filter((name) => name.endsWith(".glb"))
  .map((name) => name.slice(0, -4));

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  return most;
}

describe.each(names)("%s", (name) => {
  const avatar = readAvatar(goldenBytes(`${name}.glb`));
  const golden = goldenJson(`${name}.json`);
  const json = readSequence(goldenJson(`${name}.clip.json`), avatar.head);

  it.each([
    ["sequence JSON", json],
    ["the GLB's own animation", avatar.clip!],
  ])("is posed as the reference, driven by %s", (_, sequence) => {
    const posed = new PosedAvatar(avatar);
    const pose = new Pose(avatar.head);
    const columns = sequence.columns(avatar.head);
    for (const frame of golden.frames) {
      sequence.sample(frame.t, pose, columns);
      posed.pose(pose);
      expect(largestDifference(posed.head.vertices, frame.vertices)).toBeLessThan(METERS);
      expect(largestDifference(posed.centers[0], frame.means)).toBeLessThan(METERS);
    }
  });
});
