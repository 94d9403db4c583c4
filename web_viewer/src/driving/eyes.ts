/** Lids and eyes of any head: through its joints and lids where it has them, else through ARKit's shapes. */

import type { Head } from "../avatar/avatar.ts";
import type { Pose } from "../posing/pose.ts";
import { slerpAxisAngle } from "../posing/rotations.ts";
import { addArkit, arkitRow } from "./arkit.ts";

export const SIDES = ["Left", "Right"] as const;
/** Radians that ARKit's eyeLook shapes stand for at weight 1, as on the stand-in head: sideways, up and down. */
const LOOK_SIDE = 0.5;
const LOOK_UP_DOWN = 0.38;

/** Close the lids further: 0 leaves them as they are, 1 shuts them. */
export function closeLids(pose: Pose, amount: number): void {
  if (amount <= 0) return;
  const { head } = pose;
  SIDES.forEach((side, s) => {
    if (head.eyelids.length) {
      pose.eyelids[s] += (1 - pose.eyelids[s]) * amount;
      return;
    }
    const shape = head.exprNames.indexOf(`eyeBlink${side}`);
    if (shape >= 0) pose.expr[shape] += (1 - Math.min(pose.expr[shape], 1)) * amount;
    else if (arkitRow(head, `eyeBlink${side}`) >= 0) addArkit(pose, arkitRow(head, `eyeBlink${side}`), amount);
  });
}

/** Tell whether the head has joints for its eyes. */
export function hasEyeJoints(head: Head): boolean {
  return head.roles.left_eye !== undefined && head.roles.right_eye !== undefined;
}

const turn = new Float64Array(6);

/**
 * Turn both eyes a share of the way to look `yaw` to their left and `pitch` down, radians: about an axis square to straight
 * ahead, as eyes do (Listing's law).
 */
export function turnEyes(pose: Pose, yaw: number, pitch: number, share = 1, further = false): void {
  const { head } = pose;
  if (hasEyeJoints(head)) {
    for (let at = 0; at < 6; at += 3) {
      if (further) {
        pose.eyes[at] += pitch * share;
        pose.eyes[at + 1] += yaw * share;
        continue;
      }
      for (let c = 0; c < 3; c++) turn[c] = pose.eyes[at + c];
      turn[3] = pitch;
      turn[4] = yaw;
      turn[5] = 0;
      slerpAxisAngle(turn, 0, 3, share, pose.eyes, at);
    }
    return;
  }
  SIDES.forEach((side, s) => {
    // To the left is outwards for the left eye.
    const out = (s ? -yaw : yaw) / LOOK_SIDE;
    const wanted = { Out: out, In: -out, Down: pitch / LOOK_UP_DOWN, Up: -pitch / LOOK_UP_DOWN };
    for (const [way, weight] of Object.entries(wanted)) look(pose, `eyeLook${way}${side}`, weight, share, further);
  });
}

function look(pose: Pose, name: string, weight: number, share: number, further: boolean): void {
  const at = pose.head.exprNames.indexOf(name);
  if (at >= 0) {
    const now = pose.expr[at];
    pose.expr[at] = Math.max(0, Math.min(1, further ? now + weight * share : now * (1 - share) + weight * share));
  } else if (weight > 0 && arkitRow(pose.head, name) >= 0) {
    addArkit(pose, arkitRow(pose.head, name), Math.min(weight, 1) * share);
  }
}
