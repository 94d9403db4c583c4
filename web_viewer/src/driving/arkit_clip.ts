/** Clips of ARKit's weights as a head plays them: by name on an ARKit head, through the head's map on any other. */

import type { Head } from "../avatar/avatar.ts";
import { SequenceError } from "../errors.ts";
import { POSE_FIELDS, Pose, WIDTHS } from "../posing/pose.ts";
import { ARKIT_52, addArkit } from "./arkit.ts";
import { Sequence } from "./sequence.ts";

/** Told in one line what a head cannot show. */
export type Told = (line: string) => void;

/** Return a clip as `head` can play it: the same, but for ARKit's weights on a head of other coefficients. */
export function fitted(sequence: Sequence, head: Head, told?: Told): Sequence {
  return isArkit(sequence) && sequence.basis !== head.edition ? fromArkit(sequence, head, null, told) : sequence;
}

export function isArkit({ basis }: Sequence): boolean {
  return basis.startsWith("arkit");
}

/** Return a clip of weights, less `still` where given, in the head's coefficients, added to what the clip turns. */
export function fromArkit(sequence: Sequence, head: Head, still: Float64Array | null, told: Told = () => {}): Sequence {
  const byName = head.edition.startsWith("arkit");
  if (!byName && !head.arkitMap) throw new SequenceError("This avatar's head has no map from ARKit's weights.");
  const { expressions, arrived } = sequence;
  if (!sequence.exprNames.length && expressions > ARKIT_52.length) {
    throw new SequenceError(`The clip has ${expressions} ARKit weights and no names; ARKit has ${ARKIT_52.length}.`);
  }
  const names = sequence.exprNames.length ? sequence.exprNames : ARKIT_52.slice(0, expressions);
  const rows = names.map((name) => (byName ? head.exprNames : ARKIT_52).indexOf(name));
  const lost = names.filter((_, k) => rows[k] < 0);
  if (lost.length) told(`Left out ${lost.join(", ")}: the head has no such shape.`);
  const out = new Sequence(arrived, sequence.fps, head.exprNames.length);
  out.basis = head.edition;
  out.edition = byName ? "" : head.contentHash;
  out.exprNames = head.exprNames;
  copyAround(sequence, out, head, told);
  const pose = new Pose(head);
  for (let i = 0; i < arrived; i++) {
    pose.reset();
    rows.forEach((row, k) => {
      if (row < 0) return;
      const weight = sequence.fields.expr[i * expressions + k] - (still?.[k] ?? 0);
      if (byName) pose.expr[row] = weight;
      else addArkit(pose, row, weight);
    });
    for (const name of POSE_FIELDS) {
      const width = pose[name].length;
      for (let c = 0; c < width; c++) out.fields[name][i * width + c] += pose[name][c];
    }
  }
  return out;
}

/** Copy everything but expressions; joints that the head does not have are left out. */
export function copyAround(from: Sequence, to: Sequence, head: Head, told: Told): void {
  for (const [name, width] of Object.entries(WIDTHS) as [keyof typeof WIDTHS, number][]) {
    to.fields[name].set(from.fields[name].subarray(0, to.frames * width));
  }
  const lost: string[] = [];
  for (const group of ["joints", "drivers"] as const) {
    for (const [name, column] of from[group]) {
      const width = from.widthOf(column);
      if (group === "joints" && !head.jointNames.includes(name)) lost.push(name);
      else to.column(group, name, width).set(column.subarray(0, width * to.frames));
    }
  }
  if (lost.length) told(`Left out the joints ${lost.join(", ")}: the head does not have them.`);
  to.cameras = from.cameras;
  to.ranges = from.ranges;
}
