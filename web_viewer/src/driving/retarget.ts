/** Making a motion fit a head: names, ARKit's weights, and another person's neutral face, as `formats.retarget`. */
import type { Avatar, Head } from "../avatar/avatar.ts";
import { SequenceError } from "../errors.ts";
import { copyAround, fromArkit, isArkit, type Told } from "./arkit_clip.ts";
import { Sequence } from "./sequence.ts";

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
  told?: Told;
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
  const still = new Float64Array(sequence.expressions);
  if (neutral === "mean") still.set(meanExpr(sequence, 0, sequence.arrived));
  else if (neutral === "first") still.set(sequence.fields.expr.subarray(0, still.length));
  else if (neutral !== "none") throw new SequenceError(`There is no neutral “${neutral}”: none, mean or first.`);
  const out = (isArkit(sequence) ? fromArkit : inOwnBasis)(sequence, head, still, told);
  const columns = out.columns(head);
  if (neutral !== "none" && own) {
    const { expr } = out.fields;
    for (let i = 0; i < expr.length; i++) expr[i] += own[columns[i % out.expressions]] ?? 0;
  }
  return out;
}

/** The head's own coefficients: less `still`, and without what the head does not have. */
function inOwnBasis(sequence: Sequence, head: Head, still: Float64Array, told: Told): Sequence {
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
  copyAround(sequence, out, head, told);
  return out;
}

function meanExpr(sequence: Sequence, first: number, end: number): Float64Array {
  const { expressions: count, fields } = sequence;
  const out = new Float64Array(count);
  for (let i = first; i < end; i++) for (let e = 0; e < count; e++) out[e] += fields.expr[i * count + e];
  return out.map((sum) => sum / (end - first));
}
