/**
 * Back to front by view depth: a radix sort of 32-bit depths in three passes of 11, 11 and 10 bits, about a millisecond for
 * 65 000 Gaussians. Keys of 16 bits would be faster, but swap neighbours a few micrometres apart, which shows where both
 * are large: 52 dB instead of 69 on such a frame. Two passes of 16 bits miss the cache: half as fast.
 */

const BUCKETS = 1 << 11;
const LEVELS = 2 ** 32 - 1;

export class DepthSorter {
  private readonly low = new Uint32Array(BUCKETS);
  private readonly middle = new Uint32Array(BUCKETS);
  private readonly high = new Uint32Array(BUCKETS);
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
    const [ax, ay, az] = axis;
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
    const scale = LEVELS / Math.max(farthest - nearest, 1e-9);
    low.fill(0);
    middle.fill(0);
    high.fill(0);
    for (let k = 0; k < shown; k++) {
      const key = Math.min((farthest - depths[k]) * scale, LEVELS) >>> 0;
      keys[k] = key;
      low[key & 0x7ff]++;
      middle[(key >>> 11) & 0x7ff]++;
      high[key >>> 22]++;
    }
    toStarts(low);
    toStarts(middle);
    toStarts(high);
    for (let k = 0; k < shown; k++) {
      const key = keys[k];
      const to = low[key & 0x7ff]++;
      otherKeys[to] = key;
      otherPlaces[to] = places[k];
    }
    for (let k = 0; k < shown; k++) {
      const key = otherKeys[k];
      const to = middle[(key >>> 11) & 0x7ff]++;
      keys[to] = key;
      places[to] = otherPlaces[k];
    }
    for (let k = 0; k < shown; k++) order[high[keys[k] >>> 22]++] = places[k];
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
  for (let k = 0; k < BUCKETS; k++) {
    const count = counts[k];
    counts[k] = start;
    start += count;
  }
}
