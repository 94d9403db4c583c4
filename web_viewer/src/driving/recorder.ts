/** Recording what is shown as a clip. */
import type { Head } from "../avatar/avatar.ts";
import { SequenceError } from "../errors.ts";
import { POSE_FIELDS, Pose } from "../posing/pose.ts";
import type { Actor } from "./actor.ts";
import { blendInto } from "./blend.ts";
import { Sequence } from "./sequence.ts";

/** Seconds by which a shown moment may miss a frame of the clip and still be that frame. */
const SAME = 1e-6;

/**
 * Record what a player or actor shows from now on; what is returned stops and gives the clip. Frames are `1 / fps` apart in its
 * clock's seconds: with a clock of your own that moves in such steps, every frame is a picture that was drawn, to the bit.
 */
export function record(actor: Actor, { fps = 30 } = {}): () => Sequence {
  if (!actor.avatar) throw new SequenceError("Load an avatar before recording it.");
  const recorder = new Recorder(actor.avatar.head, fps);
  // Another avatar's poses are not part of it.
  const end = actor.watch((seconds, pose) => pose.head === recorder.head && recorder.take(seconds, pose));
  return () => {
    end();
    return recorder.sequence();
  };
}

/** Takes the poses that were shown and when, and makes a clip of a steady rate. */
export class Recorder {
  private readonly shown: { seconds: number; pose: Pose }[] = [];

  constructor(
    readonly head: Head,
    readonly fps: number,
  ) {}

  /** A pose was shown; moments only go forward, and a later pose of the same moment takes the place of the one before. */
  take(seconds: number, pose: Pose): void {
    const last = this.shown.at(-1);
    if (last && seconds <= last.seconds) {
      last.pose.copy(pose);
      return;
    }
    const kept = new Pose(this.head);
    kept.copy(pose);
    this.shown.push({ seconds, pose: kept });
  }

  /**
   * Return what was shown: frame k is the pose at k / fps after the first. Where a picture was drawn just then it is that
   * pose to the bit, else the pose between the two pictures around it.
   */
  sequence(): Sequence {
    const { shown, head, fps } = this;
    const [first, last] = [shown[0]?.seconds ?? 0, shown.at(-1)?.seconds ?? 0];
    const frames = shown.length ? Math.floor((last - first + SAME) * fps) + 1 : 1;
    const out = new Sequence(frames, fps, head.exprNames.length);
    out.basis = head.edition;
    out.edition = head.contentHash;
    out.exprNames = head.exprNames;
    const pose = new Pose(head);
    for (let k = 0, i = 0; k < frames && shown.length; k++) {
      const at = first + k / fps;
      while (i + 1 < shown.length && shown[i + 1].seconds <= at + SAME) i++;
      pose.copy(shown[i].pose);
      const gone = at - shown[i].seconds;
      if (gone > SAME && i + 1 < shown.length) {
        blendInto(pose, shown[i + 1].pose, gone / (shown[i + 1].seconds - shown[i].seconds));
      }
      put(out, pose, k);
    }
    return out;
  }
}

function put(out: Sequence, pose: Pose, frame: number): void {
  for (const name of POSE_FIELDS) out.fields[name].set(pose[name], frame * pose[name].length);
  for (const [joint, angle] of pose.joints) out.column("joints", pose.head.jointNames[joint], 3).set(angle, 3 * frame);
  for (const [name, values] of pose.drivers) {
    out.column("drivers", name, values.length).set(values, values.length * frame);
  }
}
