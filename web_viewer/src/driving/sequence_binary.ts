/** `flameport.sequence/1` as bytes (`formats/SPEC.md`, 3.2): the JSON header, then float32 blocks. */

import type { Json } from "../avatar/glb.ts";
import { cameraOf } from "../camera/camera.ts";
import { SequenceError } from "../errors.ts";
import { POSE_FIELDS, WIDTHS } from "../posing/pose.ts";
import type { Sequence } from "./sequence.ts";
import { FrameReader } from "./sequence_json.ts";

const MAGIC = 0x51535046; // "FPSQ", little-endian
const FIXED = 16;
const HEADER_LIMIT = 16 << 20;

/** Tell whether bytes are a binary sequence; four are enough to know. */
export function isBinarySequence(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === MAGIC;
}

/** Return the clip in a binary sequence, in its own basis. Throws `SequenceError`. */
export function readBinarySequence(bytes: Uint8Array): Sequence {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < FIXED || !isBinarySequence(bytes)) throw new SequenceError("This is not a binary sequence.");
  const version = view.getUint32(4, true);
  if (version !== 1) {
    throw new SequenceError(`The binary clip has version ${version}; this viewer reads 1. Update the viewer.`);
  }
  const length = view.getUint32(8, true);
  if (length > Math.min(HEADER_LIMIT, bytes.length - FIXED)) throw new SequenceError("The binary clip is cut off.");
  const header = parse(bytes.subarray(FIXED, FIXED + length));
  if (!(header.frame_count >= 1) || !Number.isInteger(header.expr_count)) {
    throw new SequenceError("The binary clip's header needs frame_count and expr_count.");
  }
  const reader = new FrameReader(header);
  const { sequence } = reader;
  const frames = sequence.frames;
  const cameras = new Map<string, Float64Array>();
  const target = (name: string): [Float64Array | null, number] => {
    const [group, inner] = [name.split(".", 1)[0], name.slice(name.indexOf(".") + 1)];
    if (group === name) {
      const field = POSE_FIELDS.find((each) => each === name);
      if (!field) return [null, 0];
      return [sequence.fields[field], field === "expr" ? sequence.expressions : WIDTHS[field]];
    }
    if (group === "cameras" && inner in CAMERA_WIDTHS) {
      const width = CAMERA_WIDTHS[inner as keyof typeof CAMERA_WIDTHS];
      cameras.set(inner, new Float64Array(frames * width));
      return [cameras.get(inner)!, width];
    }
    const column = group === "joints" || group === "drivers" ? sequence[group].get(inner) : undefined;
    return [column ?? null, column ? sequence.widthOf(column) : 0];
  };
  let at = FIXED + length;
  const seen = new Set<string>();
  for (const block of Array.isArray(header.blocks) ? header.blocks : []) {
    const name = String(block?.name);
    const shape: number[] = Array.isArray(block?.shape) ? block.shape : [];
    const count = shape.reduce((product, n) => product * n, 1);
    if (!shape.length || !shape.every((n) => Number.isInteger(n) && n >= 0) || seen.has(name)) {
      throw new SequenceError(`The binary clip's block “${name}” is there twice, or has no shape.`);
    }
    seen.add(name);
    if (4 * count > bytes.length - at) throw new SequenceError(`The binary clip is cut off in block “${name}”.`);
    if (name !== "shape") {
      const [column, width] = count ? target(name) : [null, 0];
      if (count && (!column || shape[0] !== frames || count !== frames * width)) {
        throw new SequenceError(`The binary clip's block “${name}” has shape ${shape.join(" x ")}, not its frames'.`);
      }
      for (let i = 0; i < count; i++) column![i] = view.getFloat32(at + 4 * i, true);
      if (column?.some((value) => !Number.isFinite(value))) {
        throw new SequenceError(`The binary clip's block “${name}” holds what is not a number.`);
      }
    }
    at += 4 * count;
  }
  if (at !== bytes.length) throw new SequenceError(`${bytes.length - at} bytes follow the binary clip's last block.`);
  if (cameras.size) readCameras(sequence, cameras);
  reader.finish(frames);
  return sequence;
}

const CAMERA_WIDTHS = { K: 9, world_to_camera: 16, size: 2 } as const;

function parse(bytes: Uint8Array): Json {
  let header: Json;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new SequenceError("The binary clip's header is not JSON.");
  }
  if (typeof header?.format !== "string" || !header.format.startsWith("flameport.sequence/")) {
    throw new SequenceError("The binary clip's header is not one of flameport.sequence/1.");
  }
  return header;
}

function readCameras(sequence: Sequence, columns: Map<string, Float64Array>): void {
  if (columns.size !== 3) throw new SequenceError("The binary clip has some of the three camera blocks, not all.");
  const matrix = (values: Float64Array, size: number) =>
    Array.from({ length: size }, (_, i) => [...values.subarray(size * i, size * (i + 1))]);
  for (let i = 0; i < sequence.frames; i++) {
    const of = (name: keyof typeof CAMERA_WIDTHS) =>
      columns.get(name)!.subarray(i * CAMERA_WIDTHS[name], (i + 1) * CAMERA_WIDTHS[name]);
    const [width, height] = of("size");
    sequence.cameras.push(
      cameraOf({ K: matrix(of("K"), 3), world_to_camera: matrix(of("world_to_camera"), 4), width, height }),
    );
  }
}
