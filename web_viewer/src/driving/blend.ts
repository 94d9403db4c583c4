/** Mixing poses: coefficients linearly, rotations along the shorter arc. */
import { type Pose, WIDTHS } from "../posing/pose.ts";
import { axisAngleToQuat, quatMultiply, quatToAxisAngle, slerpAxisAngle } from "../posing/rotations.ts";

const ROTATIONS = ["rotation", "neck", "jaw", "eyes"] as const;
const LINEAR = ["expr", "eyelids", "translation"] as const;
const STILL = new Float64Array(3);
const both = new Float64Array(6);

/** Make `pose` what is a fraction `f` of the way from it to `other`, a pose of the same head. */
export function blendInto(pose: Pose, other: Pose, f: number): void {
  if (f <= 0) return;
  if (f >= 1) {
    pose.copy(other);
    return;
  }
  for (const name of LINEAR) linear(pose[name], other[name], f);
  for (const name of ROTATIONS) {
    for (let c = 0; c < WIDTHS[name]; c += 3) turn(pose[name], other[name], c, f);
  }
  for (const joint of new Set([...pose.joints.keys(), ...other.joints.keys()])) {
    const mixed = Float64Array.from(pose.joints.get(joint) ?? STILL);
    turn(mixed, other.joints.get(joint) ?? STILL, 0, f);
    pose.joints.set(joint, mixed);
  }
  for (const [name, values] of other.drivers) {
    const own = pose.drivers.get(name);
    // A driver that only one of them has cannot be mixed with anything; dynamics rest where one is absent.
    if (own?.length === values.length) linear(own, values, f);
    else pose.drivers.set(name, values.slice());
  }
}

function linear(out: Float64Array, other: Float64Array, f: number): void {
  for (let c = 0; c < out.length; c++) out[c] = out[c] * (1 - f) + other[c] * f;
}

function turn(out: Float64Array, other: Float64Array, at: number, f: number): void {
  for (let c = 0; c < 3; c++) {
    both[c] = out[at + c];
    both[3 + c] = other[at + c];
  }
  slerpAxisAngle(both, 0, 3, f, out, at);
}

const first = new Float64Array(4);
const then = new Float64Array(4);

/** Turn the axis-angle vector at `r[at]` further by another one, in the parent's axes. */
export function turnFurther(r: Float64Array, at: number, by: ArrayLike<number>): void {
  axisAngleToQuat(r, at, first, 0);
  axisAngleToQuat(Float64Array.from(by), 0, then, 0);
  quatMultiply(then, 0, first, 0, first, 0);
  quatToAxisAngle(first, 0, r, at);
}
