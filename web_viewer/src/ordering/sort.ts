/**
 * Back to front by view depth: a radix sort of two passes of 12 bits, or, where depths span a metre or more, of three and 31
 * bits. Up to a hundred metres its steps are then at most 0.06 micrometres, as those of float32 centres a metre away. Keys of
 * 16 bits swap neighbours a few micrometres apart, which shows where both are large: 52 dB instead of 69 on such a frame.
 * Passes of 16 bits miss the cache: half as fast.
 */

const BUCKETS = 1 << 12;
const REST = BUCKETS - 1;
const LEVELS = 2 ** 24 - 1;
const DEEP_LEVELS = 2 ** 31 - 1;
/** Metres. */
const DEEP = 1;
/** Ids up to this one share a number with what is left of a key. */
const PLACES = (1 << 20) - 1;

export class DepthSorter {
  private readonly low = new Uint32Array(BUCKETS);
  private readonly middle = new Uint32Array(BUCKETS);
  private readonly high = new Uint32Array(1 << 7);
  private depths = new Float64Array(0);
  private keys = new Uint32Array(0);
  private places = new Uint32Array(0);
  private otherKeys = new Uint32Array(0);
  private otherPlaces = new Uint32Array(0);

  /**
   * Write the ids of Gaussians beyond `near` to `order`, farthest first, and return how many there are.
   *
   * `ids` are the valid indices into `centers` (x, y, z each); `axis` and `offset` give view depth = axis . p + offset.
   * Of equally deep ones the first id is nearer, as in `formats.render`.
   */
  sort(
    centers: Float32Array,
    ids: Uint32Array,
    axis: readonly [number, number, number],
    offset: number,
    near: number,
    order: Uint32Array,
  ): number {
    const n = ids.length;
    this.reserve(n);
    const { low, middle, high, keys, places, otherKeys, otherPlaces, depths } = this;
    const ax = axis[0];
    const ay = axis[1];
    const az = axis[2];
    let nearest = Number.POSITIVE_INFINITY;
    let farthest = Number.NEGATIVE_INFINITY;
    let shown = 0;
    // From the last to the first: every pass keeps the order of equal keys.
    for (let i = n - 1; i >= 0; i--) {
      const p = 3 * ids[i];
      const z = ax * centers[p] + ay * centers[p + 1] + az * centers[p + 2] + offset;
      if (z > near) {
        depths[shown] = z;
        places[shown++] = ids[i];
        if (z < nearest) nearest = z;
        if (z > farthest) farthest = z;
      }
    }
    if (!(farthest >= nearest)) return 0;
    const deep = farthest - nearest >= DEEP;
    const scale = (deep ? DEEP_LEVELS : LEVELS) / Math.max(farthest - nearest, 1e-9);
    low.fill(0);
    middle.fill(0);
    high.fill(0);
    for (let k = 0; k < shown; k++) {
      const key = ((farthest - depths[k]) * scale) | 0;
      keys[k] = key;
      low[key & REST]++;
      middle[(key >>> 12) & REST]++;
    }
    if (deep) for (let k = 0; k < shown; k++) high[keys[k] >>> 24]++;
    toStarts(low);
    toStarts(middle);
    if (!deep && centers.length <= 3 * PLACES) {
      // What is left of a key and its place fit into one number.
      for (let k = 0; k < shown; k++) {
        const key = keys[k];
        otherKeys[low[key & REST]++] = ((key & ~REST) << 8) | places[k];
      }
      for (let k = 0; k < shown; k++) {
        const both = otherKeys[k];
        order[middle[both >>> 20]++] = both & PLACES;
      }
      return shown;
    }
    for (let k = 0; k < shown; k++) {
      const key = keys[k];
      const to = low[key & REST]++;
      otherKeys[to] = key;
      otherPlaces[to] = places[k];
    }
    if (!deep) {
      for (let k = 0; k < shown; k++) order[middle[otherKeys[k] >>> 12]++] = otherPlaces[k];
      return shown;
    }
    toStarts(high);
    for (let k = 0; k < shown; k++) {
      const key = otherKeys[k];
      const to = middle[(key >>> 12) & REST]++;
      keys[to] = key;
      places[to] = otherPlaces[k];
    }
    for (let k = 0; k < shown; k++) order[high[keys[k] >>> 24]++] = places[k];
    return shown;
  }

  private reserve(n: number): void {
    if (this.keys.length >= n) return;
    this.depths = new Float64Array(n);
    this.keys = new Uint32Array(n);
    this.places = new Uint32Array(n);
    this.otherKeys = new Uint32Array(n);
    this.otherPlaces = new Uint32Array(n);
  }
}

/** Turn counts into where each bucket starts. */
function toStarts(counts: Uint32Array): void {
  let start = 0;
  for (let k = 0; k < counts.length; k++) {
    const count = counts[k];
    counts[k] = start;
    start += count;
  }
}
