/** Making a motion fit a head: names, ARKit's weights, and another person's neutral face, as `formats.retarget`. */
import { ARKIT_52, addArkit } from "../arkit.ts";
import type { Avatar, Head } from "../avatar.ts";
import { SequenceError } from "../errors.ts";
import { POSE_FIELDS, Pose, WIDTHS } from "../pose.ts";
import { Sequence } from "../sequence.ts";

export type Neutral = "none" | "mean" | "first";

export interface Retargeting {
  /**
   * The actor's neutral face, subtracted from every frame's expression (ARKit: from its weights), so that another person's is
   * kept: the mean of the clip, its first frame, or none.
   */
  neutral?: Neutral;
  /** The avatar's own neutral face in its head's coefficients, put in the place of what `neutral` takes: `neutralOf`. */
  own?: ArrayLike<number> | null;
  /** Told in one line what the head cannot show. */
  told?: (line: string) => void;
}

/** Return the mean expression of the frames an avatar was trained on, where its clip has a range named `train`. */
export function neutralOf(avatar: Avatar): Float64Array | null {
  const { clip, head } = avatar;
  const range = clip?.ranges.train;
  if (!clip || !range || clip.basis !== head.edition || clip.exprNames.length) return null;
  return meanExpr(clip, range[0], range[1]);
}

/** Return the motion as `head` can play it, a new sequence. Throws `SequenceError`. */
export function retarget(sequence: Sequence, head: Head, how: Retargeting = {}): Sequence {
  const { neutral = "none", own = null, told = () => {} } = how;
  const kept = [...sequence.joints.keys()].filter((name) => head.jointNames.includes(name));
  const lost = [...sequence.joints.keys()].filter((name) => !kept.includes(name));
  if (lost.length) told(`Left out the joints ${lost.join(", ")}: the head does not have them.`);
  const still = new Float64Array(sequence.expressions);
  if (neutral === "mean") still.set(meanExpr(sequence, 0, sequence.arrived));
  else if (neutral === "first") still.set(sequence.fields.expr.subarray(0, still.length));
  else if (neutral !== "none") throw new SequenceError(`There is no neutral “${neutral}”: none, mean or first.`);
  const out = sequence.basis.startsWith("arkit")
    ? fromArkit(sequence, head, still, told)
    : inOwnBasis(sequence, head, still, told);
  for (const name of kept) out.column("joints", name, 3).set(sequence.joints.get(name)!.subarray(0, 3 * out.frames));
  for (const [name, column] of sequence.drivers) {
    const width = sequence.widthOf(column);
    out.column("drivers", name, width).set(column.subarray(0, width * out.frames));
  }
  out.cameras = sequence.cameras;
  out.ranges = sequence.ranges;
  const columns = out.columns(head);
  if (neutral !== "none" && own) {
    const { expr } = out.fields;
    for (let i = 0; i < expr.length; i++) expr[i] += own[columns[i % out.expressions]] ?? 0;
  }
  return out;
}

/** The head's own coefficients: less `still`, and without what the head does not have. */
function inOwnBasis(sequence: Sequence, head: Head, still: Float64Array, told: (line: string) => void): Sequence {
  const { expressions, arrived } = sequence;
  const count = sequence.exprNames.length ? expressions : Math.min(expressions, head.exprNames.length);
  const out = new Sequence(arrived, sequence.fps, count);
  out.basis = sequence.basis;
  out.edition = sequence.edition;
  out.exprNames = sequence.exprNames;
  const { expr } = sequence.fields;
  let most = 0;
  for (let i = 0; i < arrived; i++) {
    for (let e = 0; e < expressions; e++) {
      const value = expr[i * expressions + e] - still[e];
      if (e < count) out.fields.expr[i * count + e] = value;
      else most = Math.max(most, Math.abs(value));
    }
  }
  if (count < expressions) {
    told(`Cut ${expressions} expressions to the head's ${count}; the largest lost is ${most.toPrecision(3)}.`);
  }
  copyPose(sequence, out);
  return out;
}

/** ARKit's weights: by name on an ARKit head, else through the head's map, added to what the clip turns. */
function fromArkit(sequence: Sequence, head: Head, still: Float64Array, told: (line: string) => void): Sequence {
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
  copyPose(sequence, out);
  const pose = new Pose(head);
  for (let i = 0; i < arrived; i++) {
    pose.reset();
    rows.forEach((row, k) => {
      if (row < 0) return;
      const weight = sequence.fields.expr[i * expressions + k] - still[k];
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

function copyPose(from: Sequence, to: Sequence): void {
  for (const [name, width] of Object.entries(WIDTHS) as [keyof typeof WIDTHS, number][]) {
    to.fields[name].set(from.fields[name].subarray(0, to.frames * width));
  }
}

function meanExpr(sequence: Sequence, first: number, end: number): Float64Array {
  const { expressions: count, fields } = sequence;
  const out = new Float64Array(count);
  for (let i = first; i < end; i++) for (let e = 0; e < count; e++) out[e] += fields.expr[i * count + e];
  return out.map((sum) => sum / (end - first));
}
