/** What a person or a program holds over the clip: expressions, ARKit shapes, fields and joints. */

import type { Head } from "../avatar/avatar.ts";
import { SequenceError } from "../errors.ts";
import { isPoseField, type Pose, WIDTHS } from "../posing/pose.ts";
import { addArkit, arkitRow } from "./arkit.ts";

/** Axis-angle radians, metres, lids 0..1, or a joint's rotation by name. */
export type PoseOverrides = Record<string, ArrayLike<number>>;

export class Holds {
  private readonly expressions = new Map<number, number>();
  private readonly arkit = new Map<number, number>();
  private readonly overrides = new Map<string, Float64Array>();

  setExpression(head: Head, name: string, value: number | null): void {
    const index = head.exprNames.indexOf(name);
    if (index < 0) throw new SequenceError(`The avatar has no expression “${name}”.`);
    if (value === null) this.expressions.delete(index);
    else this.expressions.set(index, value);
  }

  setArkit(head: Head, name: string, weight: number): void {
    const row = arkitRow(head, name);
    if (row < 0) throw new SequenceError(`The avatar has no ARKit shape “${name}”.`);
    if (weight) this.arkit.set(row, weight);
    else this.arkit.delete(row);
  }

  setPose(head: Head, pose: PoseOverrides): void {
    for (const [name, values] of Object.entries(pose)) {
      const size = name in WIDTHS ? WIDTHS[name as keyof typeof WIDTHS] : 0;
      if (!size && !head.jointNames.includes(name)) throw new SequenceError(`The avatar has no “${name}” to turn.`);
      if (values.length !== (size || 3)) throw new SequenceError(`“${name}” takes ${size || 3} numbers.`);
    }
    for (const [name, values] of Object.entries(pose)) this.overrides.set(name, Float64Array.from(values));
  }

  release(name: string): void {
    this.overrides.delete(name);
  }

  clear(): void {
    this.expressions.clear();
    this.arkit.clear();
    this.overrides.clear();
  }

  drive(pose: Pose): void {
    for (const [index, value] of this.expressions) pose.expr[index] = value;
    for (const [row, weight] of this.arkit) addArkit(pose, row, weight);
    for (const [name, values] of this.overrides) {
      if (isPoseField(name)) pose[name].set(values);
      else pose.joints.set(pose.head.jointNames.indexOf(name), values);
    }
  }
}
