/** The map that an avatar's Gaussians make: their colours or opacities as an image on the head's UV layout. Pure: no page. */
import type { Avatar } from "../avatar/avatar.ts";
import { type PaintedMap, paintOf, uvsOf } from "../painting.ts";

/** Pixels along an axis, at most; and Gaussians beyond which it is that large. */
const SIZE = 1024;
const MANY = 30_000;
/** Least weight of a Gaussian among those in the same texel. */
const FAINT = 0.05;

/** A level of the pyramid: premultiplied red, green and blue, and the weight, for each texel. */
interface Level {
  size: number;
  texels: Float32Array;
}

/**
 * Return RGBA bytes of a square map, opaque: in each texel the mean of the Gaussians in it, weighted by their opacities; where
 * there are none, what is near, by pulling means up a pyramid of halves and pushing them down again (Gortler et al. 1996,
 * section 3.4). Null where no Gaussian has a place.
 */
export function mapOf(avatar: Avatar, map: PaintedMap): { size: number; data: Uint8ClampedArray<ArrayBuffer> } | null {
  const placed = avatar.layers.flatMap((layer) => {
    const uvs = uvsOf(avatar.head, layer);
    return uvs ? [{ layer, uvs }] : [];
  });
  if (!placed.length) return null;
  const size = placed.reduce((sum, { layer }) => sum + layer.count, 0) > MANY ? SIZE : SIZE / 2;
  const finest: Level = { size, texels: new Float32Array(4 * size * size) };
  const paint = new Float64Array(3);
  const column = (x: number) => Math.min(Math.max(Math.floor(x * size), 0), size - 1);
  for (const { layer, uvs } of placed) {
    for (let i = 0; i < layer.count; i++) {
      const at = 4 * (column(uvs[2 * i + 1]) * size + column(uvs[2 * i]));
      const weight = Math.max(layer.opacities[i], FAINT);
      paintOf(layer, i, map, paint);
      for (let c = 0; c < 3; c++) finest.texels[at + c] += weight * paint[c];
      finest.texels[at + 3] += weight;
    }
  }
  const levels = [finest];
  while (levels[levels.length - 1].size > 1) levels.push(pull(levels[levels.length - 1]));
  for (let i = levels.length - 2; i >= 0; i--) push(levels[i + 1], levels[i]);
  const data = new Uint8ClampedArray(4 * size * size);
  for (let i = 0; i < data.length; i += 4) {
    const weight = finest.texels[i + 3] || 1;
    for (let c = 0; c < 3; c++) data[i + c] = (255 * finest.texels[i + c]) / weight;
    data[i + 3] = 255;
  }
  return { size, data };
}

/** Return the level of half the size: sums over four texels, none of which counts for more than one. */
function pull({ size, texels }: Level): Level {
  const half = size / 2;
  const out = new Float32Array(4 * half * half);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const from = 4 * (y * size + x);
      const weight = texels[from + 3];
      if (!weight) continue;
      const share = Math.min(weight, 1) / weight;
      const to = 4 * ((y >> 1) * half + (x >> 1));
      for (let c = 0; c < 4; c++) out[to + c] += share * texels[from + c];
    }
  }
  return { size: half, texels: out };
}

/** Fill what is empty in a level with what the coarser one has there, between its four nearest texels. */
function push(coarse: Level, { size, texels }: Level): void {
  const most = coarse.size - 1;
  for (let y = 0; y < size; y++) {
    const [top, fy] = between(y, most);
    for (let x = 0; x < size; x++) {
      const at = 4 * (y * size + x);
      if (texels[at + 3]) continue;
      const [left, fx] = between(x, most);
      for (const [row, wy] of [
        [top, 1 - fy],
        [Math.min(top + 1, most), fy],
      ]) {
        for (const [column, wx] of [
          [left, 1 - fx],
          [Math.min(left + 1, most), fx],
        ]) {
          const from = 4 * (row * coarse.size + column);
          const share = (wx * wy) / (coarse.texels[from + 3] || 1);
          for (let c = 0; c < 4; c++) texels[at + c] += share * coarse.texels[from + c];
        }
      }
    }
  }
}

/** Return the coarser texel before texel `x`, and how far `x` is on the way to the next one. */
function between(x: number, most: number): [number, number] {
  const at = Math.min(Math.max((x + 0.5) / 2 - 0.5, 0), most);
  return [Math.floor(at), at - Math.floor(at)];
}
