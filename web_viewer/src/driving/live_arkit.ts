/** ARKit's weights from a phone, a tracker or a speech model, as they come. */

import type { Pose } from "../posing/pose.ts";
import { addArkit, arkitRow } from "./arkit.ts";
import type { Driver } from "./driver.ts";

export type ArkitWeights = Readonly<Record<string, number>>;

export interface LiveArkitOptions {
  /** Take the place of the clip's face instead of being added to it. The head's own turns stay the clip's. */
  replace?: boolean;
}

/**
 * Adds ARKit weights to every pose: those that a callback gives for a moment, or those last given to `set`. Names that ARKit or
 * the head do not have are passed over.
 */
export class LiveArkit implements Driver {
  private wake: () => void = () => {};
  private weights: ArkitWeights | null = null;

  constructor(
    private readonly source: ((seconds: number) => ArkitWeights | null) | null = null,
    private readonly options: LiveArkitOptions = {},
  ) {}

  attach(wake: () => void): void {
    this.wake = wake;
  }

  /** Show these weights from now on; null gives the clip its face back. */
  set(weights: ArkitWeights | null): void {
    this.weights = weights;
    this.wake();
  }

  drive(pose: Pose, { seconds }: { seconds: number }): boolean {
    const weights = this.source ? this.source(seconds) : this.weights;
    if (weights) {
      if (this.options.replace) for (const field of ["expr", "jaw", "eyes", "eyelids"] as const) pose[field].fill(0);
      for (const name in weights) {
        const row = arkitRow(pose.head, name);
        if (row >= 0 && Number.isFinite(weights[name])) addArkit(pose, row, weights[name]);
      }
    }
    return this.source !== null;
  }
}
