/**
 * Level of detail of strands: where more segments than pixels lie on a patch of the picture, every second or fourth strand is
 * drawn, as much wider as covers the same (`gl/splat_shader.ts`). A card that is asked for exact pictures draws all of them.
 */
import type { Avatar, Layer } from "../avatar/avatar.ts";
import type { View } from "../device.ts";
import { WIDTH } from "./device.ts";

/** Segments for each pixel of a layer's silhouette from which on half, and a quarter, of the strands are drawn. */
const HALF = 8;
const QUARTER = 32;

export class StrandDetail {
  /** Per layer: every how many'th strand is drawn. */
  readonly levels: number[];
  private ids: Uint32Array;

  constructor(
    private readonly avatar: Avatar,
    /** Rows of the tables where each layer starts. */
    private readonly starts: readonly number[],
    private readonly all: Uint32Array,
  ) {
    this.levels = avatar.layers.map(() => 1);
    this.ids = all;
  }

  /** Return the ids to draw in a view; `centers` are padded like the tables. */
  choose(view: View, centers: Float32Array): Uint32Array {
    let changed = false;
    this.avatar.layers.forEach((layer, l) => {
      if (!layer.strands) return;
      const crowd = layer.count / silhouette(layer, view, centers, 3 * WIDTH * this.starts[l]);
      // Wider apart going back than coming, so that a slow camera does not make it flicker.
      const now = this.levels[l];
      const margin = (level: number, from: number) => crowd > from * (now >= level ? 0.8 : 1);
      const level = margin(4, QUARTER) ? 4 : margin(2, HALF) ? 2 : 1;
      changed ||= level !== now;
      this.levels[l] = level;
    });
    if (changed) this.ids = this.thinned();
    return this.ids;
  }

  private thinned(): Uint32Array {
    if (this.levels.every((level) => level === 1)) return this.all;
    const kept: number[] = [];
    let at = 0;
    this.avatar.layers.forEach((layer, l) => {
      const segments = layer.strands ? layer.strands.points - 1 : 1;
      for (let i = 0; i < layer.count; i++, at++) {
        if (Math.floor(i / segments) % this.levels[l] === 0) kept.push(this.all[at]);
      }
    });
    return Uint32Array.from(kept);
  }
}

/** Return about how many pixels a layer's strands cover: the ball around their middle, on the picture. */
function silhouette(layer: Layer, view: View, centers: Float32Array, start: number): number {
  const middle = [0, 0, 0];
  const step = Math.max(1, Math.floor(layer.count / 256));
  let n = 0;
  for (let i = 0; i < layer.count; i += step, n++) for (let c = 0; c < 3; c++) middle[c] += centers[start + 3 * i + c];
  let square = 0;
  for (let i = 0; i < layer.count; i += step) {
    for (let c = 0; c < 3; c++) square += (centers[start + 3 * i + c] - middle[c] / n) ** 2;
  }
  const [x, y, z] = middle.map((sum) => sum / n);
  const r = view.rotation;
  const depth = Math.max(r[6] * x + r[7] * y + r[8] * z + view.translation[2], view.near);
  const radius = (Math.sqrt(square / n) * view.intrinsics[0]) / depth;
  return Math.max(Math.PI * radius * radius, 1e-3);
}
