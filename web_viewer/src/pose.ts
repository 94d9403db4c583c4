/** What drives a head at one moment, in the head's own order. Rotations are axis-angle radians, metres. */
import type { Head } from "./avatar.ts";

export class Pose {
  readonly expr: Float64Array;
  readonly rotation = new Float64Array(3);
  readonly neck = new Float64Array(3);
  readonly jaw = new Float64Array(3);
  /** Left, then right. */
  readonly eyes = new Float64Array(6);
  /** Left, right; 0 open, 1 closed. */
  readonly eyelids = new Float64Array(2);
  readonly translation = new Float64Array(3);
  /** Rotations of joints by index, over what a role says. */
  readonly joints = new Map<number, Float64Array>();
  /** Further numbers that dynamics read, by name. */
  readonly drivers = new Map<string, Float64Array>();

  constructor(readonly head: Head) {
    this.expr = new Float64Array(head.expressions.length);
  }

  /** Make it neutral. */
  reset(): void {
    for (const field of POSE_FIELDS) this[field].fill(0);
    this.joints.clear();
    this.drivers.clear();
  }

  /** Return a driver's numbers by name, or undefined. */
  driver(name: string): Float64Array | undefined {
    return this.drivers.get(name) ?? (isPoseField(name) ? this[name] : undefined);
  }
}

export const POSE_FIELDS = ["expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation"] as const;
export type PoseField = (typeof POSE_FIELDS)[number];

export function isPoseField(name: string): name is PoseField {
  return (POSE_FIELDS as readonly string[]).includes(name);
}
