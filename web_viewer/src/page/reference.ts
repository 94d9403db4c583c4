/** Reference pictures to compare with: a `reference.json` beside them, or numbers in their names. Pure: no page. */

import type { Json } from "../avatar/glb.ts";
import { cameraOf, type PinholeCamera } from "../camera/camera.ts";
import { SequenceError } from "../errors.ts";

/** One picture, and what it shows. */
export interface Reference {
  name: string;
  /** Where its bytes come from. */
  source: string | Blob;
  /** Frame of the clip, fractions allowed. */
  frame: number;
  /** Null: the camera that everything was drawn with. */
  camera: PinholeCamera | null;
}

export interface References {
  pictures: Reference[];
  /** Of all pictures that have none of their own; null: the page's own. */
  camera: PinholeCamera | null;
  /** Display sRGB, 0..1. */
  background: [number, number, number];
  /** Metres. */
  near: number;
}

const WHITE: [number, number, number] = [1, 1, 1];
/** `formats.render.RenderOptions.near`. */
export const NEAR = 0.2;
const MOST = 100_000;

/**
 * Return what a parsed `flameport.reference/1` names: `pictures`, each with `file`, `frame` and perhaps a `camera`; `camera`,
 * `background` and `near` of all. `find` gives what a file name stands for. Throws `SequenceError`.
 */
export function referencesIn(json: Json, find: (file: string) => string | Blob | undefined): References {
  if (typeof json?.format !== "string" || json.format !== "flameport.reference/1") {
    throw new SequenceError(`reference.json has format “${json?.format}”; expected flameport.reference/1.`);
  }
  if (!Array.isArray(json.pictures) || !json.pictures.length || json.pictures.length > MOST) {
    throw new SequenceError("reference.json names no pictures.");
  }
  const pictures = json.pictures.map((entry: Json, i: number): Reference => {
    const { file, frame, camera } = entry ?? {};
    if (typeof file !== "string" || !(Number.isFinite(frame) && frame >= 0)) {
      throw new SequenceError(`reference.json: pictures[${i}] needs a file and a frame.`);
    }
    const source = find(file);
    if (source === undefined) throw new SequenceError(`reference.json names ${file}, which is not there.`);
    return { name: file, source, frame, camera: camera ? cameraOf(camera) : null };
  });
  const { background = WHITE, near = NEAR } = json;
  const color = Array.isArray(background) && background.length === 3 && background.every((x) => x >= 0 && x <= 1);
  if (!color || !(near > 0))
    throw new SequenceError("reference.json: background takes three numbers 0..1, near metres.");
  return { pictures, camera: json.camera ? cameraOf(json.camera) : null, background: background as never, near };
}

/** Return pictures as `flameport render` names them, 00012.png is frame 12; others count from 0 in the order of their names. */
export function referencesFrom(files: { name: string; source: string | Blob }[]): References {
  const sorted = [...files].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  const pictures = sorted.map(({ name, source }, i): Reference => {
    const digits = /(\d+)\.\w+$/.exec(name);
    return { name, source, frame: digits ? Number(digits[1]) : i, camera: null };
  });
  return { pictures, camera: null, background: WHITE, near: NEAR };
}
