/** A round brush on a map: what it does to the map's pixels, and to the Gaussians that lie under it. Pure: no page. */
import type { Layer } from "../avatar/avatar.ts";
import { type PaintedMap, paintOf, setPaint } from "../painting.ts";

/** One touch of the brush. Places are texture coordinates; the radius is a share of the map's width. */
export interface Touch {
  u: number;
  v: number;
  radius: number;
  /** How much of what is there it covers in its middle, 0..1. */
  strength: number;
  /** Display sRGB, 0..1. */
  rgb: [number, number, number];
}

/** Columns and rows of a map, ends excluded. */
export interface Region {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Share of the radius that is covered wholly. */
const CORE = 0.5;

/** Return how much the brush covers at a distance from its middle, in radii: whole in its core, soft at its rim. */
export function cover(distance: number): number {
  const t = Math.min(Math.max((1 - distance) / (1 - CORE), 0), 1);
  return t * t * (3 - 2 * t);
}

/** Touch the pixels of a map; returns the part that may have changed. */
export function touchPixels({ width, height, data }: ImageData, { u, v, radius, strength, rgb }: Touch): Region {
  const [x, y, r] = [u * width - 0.5, v * height - 0.5, radius * width];
  const region = {
    left: Math.max(0, Math.ceil(x - r)),
    top: Math.max(0, Math.ceil(y - r)),
    right: Math.min(width, Math.floor(x + r) + 1),
    bottom: Math.min(height, Math.floor(y + r) + 1),
  };
  for (let row = region.top; row < region.bottom; row++) {
    for (let column = region.left; column < region.right; column++) {
      const share = strength * cover(Math.hypot(column - x, row - y) / r);
      if (!share) continue;
      const at = 4 * (row * width + column);
      for (let c = 0; c < 3; c++) data[at + c] += share * (255 * rgb[c] - data[at + c]);
      data[at + 3] += share * (255 - data[at + 3]);
    }
  }
  return region;
}

/**
 * Touch the Gaussians of a layer; `aspect` is the map's width over its height. Tells whether any lies under the brush.
 *
 * What covers a colour covers it from everywhere: harmonics of higher degrees fade as much.
 */
export function touchGaussians(
  layer: Layer,
  uvs: Float32Array,
  map: PaintedMap,
  touch: Touch,
  aspect: number,
): boolean {
  const { u, v, radius, strength, rgb } = touch;
  const paint = new Float64Array(3);
  const stride = 3 * (layer.degree + 1) ** 2;
  let any = false;
  for (let i = 0; i < layer.count; i++) {
    const distance = Math.hypot(uvs[2 * i] - u, (uvs[2 * i + 1] - v) / aspect) / radius;
    if (distance >= 1) continue;
    const share = strength * cover(distance);
    paintOf(layer, i, map, paint);
    for (let c = 0; c < 3; c++) paint[c] += share * (rgb[c] - paint[c]);
    setPaint(layer, i, map, paint);
    if (map === "color") for (let k = 3; k < stride; k++) layer.sh[stride * i + k] *= 1 - share;
    any = true;
  }
  return any;
}

/** Return the touches from one place to another, near enough to each other to look like a line; without the first. */
export function line(from: Touch, to: Touch): Touch[] {
  const steps = Math.max(1, Math.ceil(Math.hypot(to.u - from.u, to.v - from.v) / (0.25 * to.radius)));
  return Array.from({ length: Math.min(steps, 400) }, (_, i) => {
    const f = (i + 1) / Math.min(steps, 400);
    return { ...to, u: from.u + f * (to.u - from.u), v: from.v + f * (to.v - from.v) };
  });
}
