import type { Head } from "../avatar/avatar.ts";
import type { Pose } from "../posing/pose.ts";

/** ARKit's face weights, sorted by name as `formats.conventions.ARKIT_52`; files order them differently, so map by name. */
export const ARKIT_52 = [
  ..."browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft".split(" "),
  ..."cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft".split(" "),
  ..."eyeLookInRight eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft".split(" "),
  ..."eyeSquintRight eyeWideLeft eyeWideRight jawForward jawLeft jawOpen jawRight mouthClose".split(" "),
  ..."mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight mouthFunnel mouthLeft".split(" "),
  ..."mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight".split(" "),
  ..."mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight".split(" "),
  ..."mouthStretchLeft mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft".split(" "),
  ..."noseSneerRight tongueOut".split(" "),
];

/** Return which row of the head's map an ARKit shape is, or -1 where the head cannot show it. */
export function arkitRow(head: Head, name: string): number {
  return head.arkitMap ? ARKIT_52.indexOf(name) : -1;
}

/** Add `weight` of the ARKit shape `row` to a pose, through the head's map: expressions, jaw, neck, eyes, eyelids. */
export function addArkit(pose: Pose, row: number, weight: number): void {
  const map = pose.head.arkitMap;
  if (!map) return;
  let at = row * (pose.expr.length + 14);
  for (const field of [pose.expr, pose.jaw, pose.neck, pose.eyes, pose.eyelids]) {
    for (let c = 0; c < field.length; c++) field[c] += weight * map[at + c];
    at += field.length;
  }
}
