/** What may change a pose at every moment, over the clip and below what is held by hand. */
import type { Pose } from "../posing/pose.ts";

export interface Moment {
  /** Seconds of the actor's clock. */
  seconds: number;
  /** Seconds into the clip. */
  clip: number;
}

/**
 * Changes the pose of a moment, and returns whether it will go on changing by itself.
 * A driver that uses only the moment and a seed makes the same again at the same moments.
 */
export interface Driver {
  drive(pose: Pose, moment: Moment): boolean;
  /** It was added to an actor: `wake` asks for a new pose when something came from outside. */
  attach?(wake: () => void): void;
  detach?(): void;
}

/** The same as a function; whatever it returns but `false` counts as going on. */
export type DriverFunction = (pose: Pose, moment: Moment) => unknown;
