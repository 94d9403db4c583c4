/** Clips: `flameport.sequence/1` JSON, ARKit tracks, and the clip inside a GLB; sampled as `formats.sequence` says. */
import { ARKIT_52, addArkit } from "./arkit.ts";
import type { Head } from "./avatar.ts";
import { cameraOf, type PinholeCamera } from "./camera.ts";
import { SequenceError } from "./errors.ts";
import type { Glb, Json } from "./glb.ts";
import { POSE_FIELDS, Pose, type PoseField } from "./pose.ts";
import { quatToAxisAngle, quatToMatrix, slerpAxisAngle } from "./rotations.ts";

const WIDTHS = { rotation: 3, neck: 3, jaw: 3, eyes: 6, eyelids: 2, translation: 3 } as const;
const ROTATIONS: readonly string[] = ["rotation", "neck", "jaw", "eyes"];
/** Numbers a clip may hold; some hours of talking. */
const LIMIT = 1 << 27;

/** T frames at a steady rate. Arrays are frame after frame. */
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

  constructor(
    readonly frames: number,
    readonly fps: number,
    readonly expressions: number,
  ) {
    if (!(frames >= 1)) throw new SequenceError("The clip has no frames.");
    if (!(fps > 0 && fps <= 1000)) throw new SequenceError(`The clip's fps is ${fps}; expected a rate up to 1000.`);
    if (frames * (expressions + 20) > LIMIT) throw new SequenceError("The clip is too long for this viewer.");
    const zeros = (width: number) => new Float64Array(frames * width);
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

  /** Seconds from the first frame to the last. */
  get duration(): number {
    return (this.frames - 1) / this.fps;
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

  /** Put the fractional frame `t`, held at both ends, into `pose`; `columns` are this clip's for the pose's head. */
  sample(t: number, pose: Pose, columns: number[]): void {
    const at = Math.min(Math.max(t, 0), this.frames - 1);
    const first = Math.floor(at);
    const second = Math.min(first + 1, this.frames - 1);
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
      const mixed = new Float64Array(values.length / this.frames);
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

/** Return the clip in parsed JSON: ours, or an ARKit track of names and weights. */
export function readSequence(json: Json, head: Head): Sequence {
  if (typeof json?.format === "string" && json.format.startsWith("flameport.sequence/")) return readOurs(json);
  const first = json?.frames?.[0];
  if (Array.isArray(json?.names) && Array.isArray(first?.weights ?? first)) return readArkit(json, head);
  throw new SequenceError(
    "This JSON is neither a flameport.sequence/1 clip nor an ARKit track (names, frames of weights).",
  );
}

function numbers(value: Json, width: number, where: string): number[] {
  if (!Array.isArray(value) || value.length !== width || !value.every((n) => Number.isFinite(n))) {
    throw new SequenceError(`${where}: expected ${width} numbers.`);
  }
  return value;
}

function readOurs(json: Json): Sequence {
  if (json.format.split("/")[1].split(".")[0] !== "1") {
    throw new SequenceError(`The clip is “${json.format}”; this viewer reads flameport.sequence/1. Update the viewer.`);
  }
  const frames: Json[] = Array.isArray(json.frames) ? json.frames : [];
  const names: string[] = json.expr_names ?? [];
  const width = json.expr_count ?? (names.length || Math.max(0, ...frames.map((frame) => frame.expr?.length ?? 0)));
  const out = new Sequence(frames.length, json.fps, width);
  Object.assign(out, {
    basis: json.basis ?? "",
    edition: json.edition ?? "",
    exprNames: names,
    ranges: json.ranges ?? {},
  });
  const named = (
    target: Map<string, Float64Array>,
    name: string,
    values: Json,
    i: number,
    size: number,
    where: string,
  ) => {
    const column = target.get(name) ?? new Float64Array(out.frames * size);
    target.set(name, column);
    column.set(numbers(values, column.length / out.frames, `${where}, ${name}`), (i * column.length) / out.frames);
  };
  // What a header announces may be left out of every frame, and is then zero.
  for (const name of json.joints ?? []) out.joints.set(name, new Float64Array(out.frames * 3));
  for (const [name, size] of Object.entries(json.drivers ?? {})) {
    out.drivers.set(name, new Float64Array(out.frames * (size as number)));
  }
  frames.forEach((frame, i) => {
    const where = `frame ${i}`;
    for (const name of POSE_FIELDS) {
      if (frame[name] === undefined) continue;
      const size = name === "expr" ? width : WIDTHS[name];
      out.fields[name].set(numbers(frame[name], size, `${where}, ${name}`), i * size);
    }
    for (const [name, values] of Object.entries(frame.joints ?? {})) named(out.joints, name, values, i, 3, where);
    for (const [name, values] of Object.entries(frame.drivers ?? {})) {
      named(out.drivers, name, values, i, (values as number[]).length, where);
    }
    if (frame.camera) {
      const [w, h] = numbers(frame.camera.size, 2, `${where}, camera.size`);
      out.cameras.push(cameraOf({ ...frame.camera, width: w, height: h }));
    }
  });
  return out;
}

/** ARKit's weights drive an ARKit head by name, and any other head through its `arkitMap`. */
function readArkit(json: Json, head: Head): Sequence {
  const byName = head.edition.startsWith("arkit");
  if (!byName && !head.arkitMap) throw new SequenceError("This avatar's head has no map from ARKit's weights.");
  const names: string[] = json.names;
  const known = byName ? head.exprNames : ARKIT_52;
  const rows = names.map((name) => known.indexOf(name));
  if (rows.every((row) => row < 0))
    throw new SequenceError(`None of the track's names is an ARKit shape: ${names[0]}, …`);
  const out = new Sequence(json.frames.length, json.fps ?? json.metadata?.fps ?? 30, head.exprNames.length);
  const pose = new Pose(head);
  json.frames.forEach((frame: Json, i: number) => {
    pose.reset();
    numbers(frame.weights ?? frame, names.length, `frame ${i}`).forEach((weight, k) => {
      if (rows[k] < 0) return;
      if (byName) pose.expr[rows[k]] = weight;
      else addArkit(pose, rows[k], weight);
    });
    for (const name of POSE_FIELDS) out.fields[name].set(pose[name], i * pose[name].length);
  });
  return out;
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
