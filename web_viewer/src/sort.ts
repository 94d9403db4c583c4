/** Back to front by view depth: a 16-bit counting sort, well below a millisecond for 20 000 Gaussians. */

const BUCKETS = 1 << 16;

export class DepthSorter {
  private readonly counts = new Uint32Array(BUCKETS + 1);
  private keys = new Uint16Array(0);
  private depths = new Float32Array(0);

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
    if (this.keys.length < n) {
      this.keys = new Uint16Array(n);
      this.depths = new Float32Array(n);
    }
    const { counts, keys, depths } = this;
    const [ax, ay, az] = axis;
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < n; i++) {
      const p = 3 * ids[i];
      const z = ax * centers[p] + ay * centers[p + 1] + az * centers[p + 2] + offset;
      depths[i] = z;
      if (z > near) {
        if (z < low) low = z;
        if (z > high) high = z;
      }
    }
    if (!(high >= low)) return 0;
    const scale = (BUCKETS - 1) / Math.max(high - low, 1e-9);
    counts.fill(0);
    let shown = 0;
    for (let i = 0; i < n; i++) {
      if (!(depths[i] > near)) continue;
      const key = Math.min(((high - depths[i]) * scale) | 0, BUCKETS - 1);
      keys[i] = key;
      counts[key + 1]++;
      shown++;
    }
    for (let k = 0; k < BUCKETS; k++) counts[k + 1] += counts[k];
    for (let i = n - 1; i >= 0; i--) {
      if (depths[i] > near) order[counts[keys[i]]++] = ids[i];
    }
    return shown;
  }
}
