/** Clips: what drives a head over time, sampled as `formats.sequence` says; and the clip inside a GLB. */
import type { Head } from "../avatar/avatar.ts";
import type { Glb, Json } from "../avatar/glb.ts";
import type { PinholeCamera } from "../camera/camera.ts";
import { SequenceError } from "../errors.ts";
import { POSE_FIELDS, type Pose, type PoseField, WIDTHS } from "../posing/pose.ts";
import { quatToAxisAngle, quatToMatrix, slerpAxisAngle } from "../posing/rotations.ts";

const ROTATIONS: readonly string[] = ["rotation", "neck", "jaw", "eyes"];
/** Numbers a clip may hold; some hours of talking. */
const LIMIT = 1 << 27;
/** Frames that room is made for first, where a clip does not say how long it is. */
const FIRST_ROOM = 256;

/** T frames at a steady rate. Arrays are frame after frame, with room for `capacity` frames. */
export class Sequence {
  basis = "";
  edition = "";
  exprNames: string[] = [];
  readonly fields: Record<PoseField, Float64Array>;
  /** Axis-angle [T * 3] by joint name. */
  readonly joints = new Map<string, Float64Array>();
  readonly drivers = new Map<string, Float64Array>();
  cameras: PinholeCamera[] = [];
  ranges: Record<string, [number, number]> = {};
  /** T: how many frames it says it has, or, while a clip that does not say is streamed, how many have come. */
  frames: number;
  /** How many of them are there: all, but while it is streamed. */
  arrived: number;
  /** Settles when every frame is there; rejects with `SequenceError` when the rest will not come. */
  whole: Promise<void> = Promise.resolve();
  private capacity: number;

  /** `frames` null: as many as will be appended. */
  constructor(
    frames: number | null,
    readonly fps: number,
    readonly expressions: number,
  ) {
    if (frames !== null && !(frames >= 1)) throw new SequenceError("The clip has no frames.");
    if (!(fps > 0 && fps <= 1000)) throw new SequenceError(`The clip's fps is ${fps}; expected a rate up to 1000.`);
    this.frames = frames ?? 0;
    this.arrived = this.frames;
    this.capacity = frames ?? FIRST_ROOM;
    this.checkSize(this.capacity);
    const zeros = (width: number) => new Float64Array(this.capacity * width);
    this.fields = {
      expr: zeros(expressions),
      rotation: zeros(3),
      neck: zeros(3),
      jaw: zeros(3),
      eyes: zeros(6),
      eyelids: zeros(2),
      translation: zeros(3),
    };
  }

  private checkSize(capacity: number): void {
    if (capacity * (this.expressions + 20) > LIMIT) throw new SequenceError("The clip is too long for this viewer.");
  }

  /** Return the numbers of a joint (`width` 3) or driver, made of zeros where they are not there yet. */
  column(group: "joints" | "drivers", name: string, width: number): Float64Array {
    let column = this[group].get(name);
    if (!column) {
      if (!(width >= 0 && width * this.capacity <= LIMIT))
        throw new SequenceError(`The clip's “${name}” is too large.`);
      column = new Float64Array(width * this.capacity);
      this[group].set(name, column);
    }
    return column;
  }

  /** How many numbers a frame has in a column. */
  widthOf(column: Float64Array): number {
    return column.length / this.capacity;
  }

  /** Make room for frame `i`; columns may be other arrays afterwards. */
  makeRoom(i: number): void {
    if (i < this.capacity) return;
    const capacity = Math.max(2 * this.capacity, i + 1);
    this.checkSize(capacity);
    const grown = (column: Float64Array) => {
      const out = new Float64Array(this.widthOf(column) * capacity);
      out.set(column);
      return out;
    };
    for (const name of POSE_FIELDS) this.fields[name] = grown(this.fields[name]);
    for (const group of [this.joints, this.drivers]) {
      for (const [name, column] of group) group.set(name, grown(column));
    }
    this.capacity = capacity;
  }

  /** Seconds from the first frame to the last. */
  get duration(): number {
    return (this.frames - 1) / this.fps;
  }

  /** Seconds from the first frame to the last that has arrived. */
  get arrivedDuration(): number {
    return (this.arrived - 1) / this.fps;
  }

  /** Return which of the head's expressions each of ours is; throws `SequenceError` when they do not belong together. */
  columns(head: Head): number[] {
    if (this.basis && head.edition && this.basis !== head.edition) {
      throw new SequenceError(
        `The clip is in “${this.basis}” coefficients, the avatar's head is “${head.edition}”. ` +
          "Convert it with “flameport sequence SRC --for AVATAR”.",
      );
    }
    if (this.edition && head.contentHash && this.edition !== head.contentHash) {
      throw new SequenceError("The clip was made with another head than the avatar's: same edition, different tables.");
    }
    for (const name of this.joints.keys()) {
      if (!head.jointNames.includes(name))
        throw new SequenceError(`The clip turns joint “${name}”, which the avatar lacks.`);
    }
    if (this.exprNames.length) {
      return this.exprNames.map((name) => {
        const column = head.exprNames.indexOf(name);
        if (column < 0) throw new SequenceError(`The clip drives “${name}”, which the avatar's head does not have.`);
        return column;
      });
    }
    if (this.expressions > head.exprNames.length) {
      throw new SequenceError(`The clip has ${this.expressions} expressions, the head ${head.exprNames.length}.`);
    }
    return Array.from({ length: this.expressions }, (_, i) => i);
  }

  /** Put the fractional frame `t`, held at both ends (of what has arrived), into `pose`; `columns` are this clip's for the pose's head. */
  sample(t: number, pose: Pose, columns: number[]): void {
    const last = this.arrived - 1;
    const at = Math.min(Math.max(t, 0), last);
    const first = Math.floor(at);
    const second = Math.min(first + 1, last);
    const f = at - first;
    pose.reset();
    for (const name of POSE_FIELDS) {
      if (name === "expr") continue;
      const mix = ROTATIONS.includes(name) ? spherical : linear;
      mix(this.fields[name], WIDTHS[name], first, second, f, pose[name]);
    }
    const expr = this.fields.expr;
    columns.forEach((column, i) => {
      pose.expr[column] = expr[first * this.expressions + i] * (1 - f) + expr[second * this.expressions + i] * f;
    });
    for (const [name, values] of this.joints) {
      const turned = new Float64Array(3);
      spherical(values, 3, first, second, f, turned);
      pose.joints.set(pose.head.jointNames.indexOf(name), turned);
    }
    for (const [name, values] of this.drivers) {
      const mixed = new Float64Array(this.widthOf(values));
      linear(values, mixed.length, first, second, f, mixed);
      pose.drivers.set(name, mixed);
    }
  }
}

function linear(v: Float64Array, width: number, first: number, second: number, f: number, out: Float64Array): void {
  for (let c = 0; c < width; c++) out[c] = v[first * width + c] * (1 - f) + v[second * width + c] * f;
}

function spherical(v: Float64Array, width: number, first: number, second: number, f: number, out: Float64Array): void {
  if (f === 0) {
    for (let c = 0; c < width; c++) out[c] = v[first * width + c];
    return;
  }
  for (let c = 0; c < width; c += 3) slerpAxisAngle(v, first * width + c, second * width + c, f, out, c);
}

/** Return the clip that a GLB's animation holds (`exporter/GLB.md`, 2). */
export function readClip(glb: Glb, clip: Json, spec: Json, head: Head): Sequence {
  const count = head.expressions.length;
  const lids = head.eyelids.length;
  const out = new Sequence(clip.frames, clip.fps, count);
  out.basis = head.edition;
  out.ranges = clip.ranges ?? {};
  const skin = glb.item("skins", spec.skin);
  const animation = glb.item("animations", clip.animation);
  const fieldOf: Record<number, [Float64Array, number, number]> = {};
  const { rotation, neck, jaw, eyes } = out.fields;
  const place = (role: keyof Head["roles"], field: Float64Array, width: number, at: number) => {
    const joint = head.roles[role];
    if (joint !== undefined) fieldOf[joint] = [field, width, at];
  };
  place("root", rotation, 3, 0);
  place("neck", neck, 3, 0);
  place("jaw", jaw, 3, 0);
  place("left_eye", eyes, 6, 0);
  place("right_eye", eyes, 6, 3);
  let place0: Float32Array | null = null;
  let turn0: Float32Array | null = null;
  for (const { sampler, target } of animation.channels ?? []) {
    const output = animation.samplers?.[sampler]?.output;
    if (target?.path === "weights" && target.node === spec.node) {
      const all = count + lids + head.correctives.length;
      const values = glb.floats(output, 1, clip.frames * all);
      for (let i = 0; i < clip.frames; i++) {
        for (let e = 0; e < count; e++) out.fields.expr[i * count + e] = values[i * all + e];
        for (let e = 0; e < lids; e++) out.fields.eyelids[2 * i + e] = values[i * all + count + e];
      }
      continue;
    }
    const joint = skin.joints.indexOf(target?.node);
    if (joint < 0) continue;
    if (target.path === "rotation") {
      const values = glb.floats(output, 4, clip.frames);
      let entry = fieldOf[joint];
      if (!entry) {
        const column = new Float64Array(clip.frames * 3);
        out.joints.set(head.jointNames[joint], column);
        entry = [column, 3, 0];
      }
      if (joint === 0) turn0 = values;
      const [field, width, at] = entry;
      for (let i = 0; i < clip.frames; i++) {
        const q = [values[4 * i + 3], values[4 * i], values[4 * i + 1], values[4 * i + 2]];
        quatToAxisAngle(q, 0, field, width * i + at);
      }
    } else if (target.path === "translation" && joint === 0) {
      place0 = glb.floats(output, 3, clip.frames);
    }
  }
  if (place0) readTranslation(out, head, place0, turn0);
  for (const [name, accessor] of Object.entries(clip.drivers ?? {})) {
    const values = glb.floats(accessor, 1);
    if (values.length % clip.frames) throw new SequenceError(`The clip's driver '${name}' does not fit its frames.`);
    out.drivers.set(name, Float64Array.from(values));
  }
  return out;
}

/** Joint 0's node stands at x = rest + m - R m + translation, with m its motion by expression and R its rotation. */
function readTranslation(out: Sequence, head: Head, place: Float32Array, turn: Float32Array | null): void {
  const count = head.expressions.length;
  const moved = new Float64Array(3);
  const matrix = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
  for (let i = 0; i < out.frames; i++) {
    moved.fill(0);
    for (let e = 0; head.jointExprdirs && e < count; e++) {
      for (let c = 0; c < 3; c++) moved[c] += head.jointExprdirs[3 * e + c] * out.fields.expr[i * count + e];
    }
    if (turn) quatToMatrix([turn[4 * i + 3], turn[4 * i], turn[4 * i + 1], turn[4 * i + 2]], 0, matrix, 0);
    for (let c = 0; c < 3; c++) {
      const turned = matrix[3 * c] * moved[0] + matrix[3 * c + 1] * moved[1] + matrix[3 * c + 2] * moved[2];
      out.fields.translation[3 * i + c] = place[3 * i + c] - head.restJoints[c] - moved[c] + turned;
    }
  }
}
