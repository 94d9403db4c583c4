/** `flameport.sequence/1` as JSON, read frame by frame or whole, and written; and ARKit tracks of names and weights. */

import type { Head } from "../avatar/avatar.ts";
import type { Json } from "../avatar/glb.ts";
import { cameraOf } from "../camera/camera.ts";
import { SequenceError } from "../errors.ts";
import { POSE_FIELDS, WIDTHS } from "../posing/pose.ts";
import { ARKIT_52 } from "./arkit.ts";
import { fitted, type Told } from "./arkit_clip.ts";
import { Sequence } from "./sequence.ts";

/** Tell whether parsed JSON, or the header of one, is a sequence of ours. */
export function isOurs(json: Json): boolean {
  return typeof json?.format === "string" && json.format.startsWith("flameport.sequence/");
}

/**
 * Return the clip in parsed JSON, as `head` can play it: ours, or an ARKit track of names and weights.
 * ARKit's weights drive an ARKit head by name, and any other head through its `arkitMap`.
 */
export function readSequence(json: Json, head: Head, told?: Told): Sequence {
  return fitted(readUnfitted(json, head), head, told);
}

/** Return the clip in parsed JSON in its own coefficients. */
export function readUnfitted(json: Json, head: Head): Sequence {
  return isOurs(json) ? readOurs(json) : readArkit(json, head);
}

function readOurs(json: Json): Sequence {
  const frames: Json[] = Array.isArray(json.frames) ? json.frames : [];
  const longest = frames.reduce((most, frame) => Math.max(most, frame?.expr?.length ?? 0), 0);
  const reader = new FrameReader(json, json.frame_count ?? frames.length, longest);
  frames.forEach((frame, i) => {
    reader.read(frame, i);
  });
  reader.finish(frames.length);
  return reader.sequence;
}

/** Reads the frames of one clip, in order, after its header. */
export class FrameReader {
  readonly sequence: Sequence;
  /** It does not say how many frames will come. */
  readonly open: boolean;

  /** Without `frames`, the header's `frame_count`, or as many as come; without `expressions`, what the header says. */
  constructor(header: Json, frames: number | null = header.frame_count ?? null, expressions = 0) {
    if (header.format.split("/")[1].split(".")[0] !== "1") {
      throw new SequenceError(
        `The clip is “${header.format}”; this viewer reads flameport.sequence/1. Update the viewer.`,
      );
    }
    const names: string[] = header.expr_names ?? [];
    const width = header.expr_count ?? (names.length || expressions);
    if (!Number.isInteger(width) || width < 0 || !(frames === null || Number.isInteger(frames))) {
      throw new SequenceError("The clip's counts must be whole numbers.");
    }
    this.open = frames === null;
    this.sequence = new Sequence(frames, header.fps, width);
    this.sequence.basis = header.basis ?? "";
    this.sequence.edition = header.edition ?? "";
    this.sequence.exprNames = names;
    this.sequence.ranges = header.ranges ?? {};
    // What a header announces may be left out of every frame, and is then zero.
    for (const name of header.joints ?? []) this.sequence.column("joints", name, 3);
    for (const [name, size] of Object.entries(header.drivers ?? {})) {
      this.sequence.column("drivers", name, size as number);
    }
    this.checkRanges(frames ?? Number.POSITIVE_INFINITY);
  }

  /** Put frame `i` where it belongs. Throws `SequenceError` and leaves the frames before as they are. */
  read(frame: Json, i: number): void {
    const { sequence } = this;
    const where = `frame ${i}`;
    if (!this.open && i >= sequence.frames)
      throw new SequenceError(`${where}: the clip says it has ${sequence.frames} frames.`);
    sequence.makeRoom(i);
    if (typeof frame !== "object" || frame === null) throw new SequenceError(`${where}: expected an object.`);
    for (const name of POSE_FIELDS) {
      if (frame[name] === undefined) continue;
      const size = name === "expr" ? sequence.expressions : WIDTHS[name];
      sequence.fields[name].set(numbers(frame[name], size, `${where}, ${name}`), i * size);
    }
    for (const group of ["joints", "drivers"] as const) {
      for (const [name, values] of Object.entries(frame[group] ?? {})) {
        const column = sequence.column(group, name, group === "joints" ? 3 : ((values as number[])?.length ?? 0));
        const size = sequence.widthOf(column);
        column.set(numbers(values, size, `${where}, ${name}`), i * size);
      }
    }
    if (frame.camera) {
      const [w, h] = numbers(frame.camera.size, 2, `${where}, camera.size`);
      sequence.cameras.push(cameraOf({ ...frame.camera, width: w, height: h }));
    }
  }

  /** Say that every frame has been read: `count` of them. */
  finish(count: number): void {
    const { sequence } = this;
    const announced = sequence.frames;
    sequence.frames = count;
    sequence.arrived = count;
    if (!count) throw new SequenceError("The clip has no frames.");
    this.checkRanges(count);
    if (announced !== count && !this.open) {
      throw new SequenceError(`The clip says it has ${announced} frames, and holds ${count}. Was it cut off?`);
    }
  }

  private checkRanges(frames: number): void {
    for (const [name, range] of Object.entries(this.sequence.ranges)) {
      const [first, end] = numbers(range, 2, `range “${name}”`);
      if (!(Number.isInteger(first) && Number.isInteger(end) && first >= 0 && first < end && end <= frames)) {
        throw new SequenceError(`The clip's range “${name}”, ${first}..${end}, is not inside its ${frames} frames.`);
      }
    }
  }
}

function numbers(value: Json, width: number, where: string): number[] {
  if (!Array.isArray(value) || value.length !== width || !value.every((n) => Number.isFinite(n))) {
    throw new SequenceError(`${where}: expected ${width} numbers.`);
  }
  return value;
}

/** Return an ARKit track as a clip of weights, with the names that the head knows. */
function readArkit(json: Json, head: Head): Sequence {
  const first = json?.frames?.[0];
  if (!Array.isArray(json?.names) || !Array.isArray(first?.weights ?? first)) {
    throw new SequenceError(
      "This JSON is neither a flameport.sequence/1 clip nor an ARKit track (names, frames of weights).",
    );
  }
  const names: string[] = json.names;
  const known = head.edition.startsWith("arkit") ? head.exprNames : ARKIT_52;
  const columns = names.flatMap((name, i) => (known.includes(name) ? [i] : []));
  if (!columns.length) throw new SequenceError(`None of the track's names is an ARKit shape: ${names[0]}, …`);
  const out = new Sequence(json.frames.length, json.fps ?? json.metadata?.fps ?? 30, columns.length);
  out.basis = "arkit";
  out.exprNames = columns.map((i) => names[i]);
  json.frames.forEach((frame: Json, i: number) => {
    const weights = numbers(frame?.weights ?? frame, names.length, `frame ${i}`);
    columns.forEach((column, k) => {
      out.fields.expr[i * columns.length + k] = weights[column];
    });
  });
  return out;
}

/**
 * Return a clip as JSON text, header and frames on lines of their own, so that it can be streamed. What is zero throughout a
 * field of a frame is left out. Reading it gives the same numbers to the bit; Python reads them as float32.
 */
export function writeSequence(sequence: Sequence): string {
  const { frames, fps, basis, edition, exprNames, expressions, ranges, joints, drivers, fields, cameras } = sequence;
  const header: Json = { format: "flameport.sequence/1", basis, fps, frame_count: frames, expr_count: expressions };
  if (edition) header.edition = edition;
  if (exprNames.length) header.expr_names = exprNames;
  if (Object.keys(ranges).length) header.ranges = ranges;
  if (joints.size) header.joints = [...joints.keys()];
  if (drivers.size) {
    header.drivers = Object.fromEntries([...drivers].map(([name, column]) => [name, sequence.widthOf(column)]));
  }
  const row = (column: Float64Array, i: number): number[] | undefined => {
    const width = sequence.widthOf(column);
    const values = [...column.subarray(i * width, (i + 1) * width)];
    return values.every((value) => Object.is(value, 0)) ? undefined : values;
  };
  const group = (columns: Map<string, Float64Array>, i: number) => {
    const entries = [...columns].map(([name, column]) => [name, row(column, i)]).filter(([, values]) => values);
    return entries.length ? Object.fromEntries(entries) : undefined;
  };
  const lines = Array.from({ length: frames }, (_, i) => {
    const frame: Json = Object.fromEntries(POSE_FIELDS.map((name) => [name, row(fields[name], i)]));
    frame.joints = group(joints, i);
    frame.drivers = group(drivers, i);
    const camera = cameras[i];
    if (camera) frame.camera = cameraJson(camera);
    return negativeZeros(frame);
  });
  const keys = Object.entries(header).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)},\n`);
  return `{\n${keys.join("")}"frames": [\n${lines.join(",\n")}\n]\n}\n`;
}

/** JSON.stringify writes -0 as 0. */
function negativeZeros(frame: Json): string {
  return JSON.stringify(frame, (_, value) => (Object.is(value, -0) ? "\u0000-0" : value)).replaceAll(
    '"\\u0000-0"',
    "-0",
  );
}

function cameraJson(camera: Sequence["cameras"][number]): Json {
  const { fx, fy, cx, cy, rotation: r, translation: t, width, height } = camera;
  return {
    K: [
      [fx, 0, cx],
      [0, fy, cy],
      [0, 0, 1],
    ],
    world_to_camera: [...[0, 1, 2].map((i) => [r[3 * i], r[3 * i + 1], r[3 * i + 2], t[i]]), [0, 0, 0, 1]],
    size: [width, height],
  };
}
