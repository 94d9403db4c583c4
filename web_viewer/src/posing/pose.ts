/** What drives a head at one moment, in the head's own order. Rotations are axis-angle radians, metres. */
import type { Head } from "../avatar/avatar.ts";
import { axisAngleToMatrix } from "./rotations.ts";

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

  /** Make it what another pose of the same head is. */
  copy(from: Pose): void {
    for (const field of POSE_FIELDS) this[field].set(from[field]);
    this.joints.clear();
    this.drivers.clear();
    for (const [joint, angle] of from.joints) this.joints.set(joint, angle.slice());
    for (const [name, values] of from.drivers) this.drivers.set(name, values.slice());
  }

  /** Return a driver's numbers by name, or undefined. */
  driver(name: string): Float64Array | undefined {
    return this.drivers.get(name) ?? (isPoseField(name) ? this[name] : this.derived(name));
  }

  /** What is made from fields (`formats.avatar.DERIVED_DRIVERS`). */
  private derived(name: string): Float64Array | undefined {
    if (name === "jaw_6d") return firstRows(this.driver("jaw")!);
    if (name === "eyes_6d") return firstRows(this.driver("eyes")!);
    if (name !== "absolute_pose") return undefined;
    return Float64Array.of(...this.driver("rotation")!, ...this.driver("translation")!);
  }
}

/** Return the first two rows of the rotation matrix of each axis-angle vector. */
function firstRows(turns: Float64Array): Float64Array {
  const out = new Float64Array(2 * turns.length);
  const matrix = new Float64Array(9);
  for (let i = 0; i < turns.length; i += 3) {
    axisAngleToMatrix(turns, i, matrix, 0);
    out.set(matrix.subarray(0, 6), 2 * i);
  }
  return out;
}

/** Numbers of each field but the expressions. */
export const WIDTHS = { rotation: 3, neck: 3, jaw: 3, eyes: 6, eyelids: 2, translation: 3 } as const;
export const POSE_FIELDS = ["expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation"] as const;
export type PoseField = (typeof POSE_FIELDS)[number];

/** Tell whether a driver is there whatever the clip holds. */
export function isAlwaysThere(name: string): boolean {
  return isPoseField(name) || ["jaw_6d", "eyes_6d", "absolute_pose"].includes(name);
}

export function isPoseField(name: string): name is PoseField {
  return (POSE_FIELDS as readonly string[]).includes(name);
}
