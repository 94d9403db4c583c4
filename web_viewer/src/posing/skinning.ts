/** Linear blend skinning with only the influences that are not zero. */

/** Joint influences of many points, row after row. */
export class Influences {
  constructor(
    readonly starts: Uint32Array,
    readonly joints: Uint16Array,
    readonly weights: Float64Array,
  ) {}

  get rows(): number {
    return this.starts.length - 1;
  }

  /** Return the same influences with each row's weights divided by their sum. */
  normalized(): Influences {
    const weights = this.weights.slice();
    for (let i = 0; i < this.rows; i++) {
      let sum = 0;
      for (let k = this.starts[i]; k < this.starts[i + 1]; k++) sum += weights[k];
      for (let k = this.starts[i]; k < this.starts[i + 1]; k++) weights[k] /= sum || 1;
    }
    return new Influences(this.starts, this.joints, weights);
  }

  /** Tell whether every row has influences, which then sum to 1 when `normalized`. */
  get reachesAll(): boolean {
    for (let i = 0; i < this.rows; i++) {
      let sum = 0;
      for (let k = this.starts[i]; k < this.starts[i + 1]; k++) sum += this.weights[k];
      if (!(sum > 0.5)) return false;
    }
    return true;
  }

  /** Return what each row lacks to 1: a ghost bone that stays put. */
  missing(): Float64Array {
    const missing = new Float64Array(this.rows);
    for (let i = 0; i < this.rows; i++) {
      let rest = 1;
      for (let k = this.starts[i]; k < this.starts[i + 1]; k++) rest -= this.weights[k];
      missing[i] = Math.abs(rest) < 1e-5 ? 0 : rest;
    }
    return missing;
  }

  /** Return the largest number of influences a row has. */
  widest(): number {
    let most = 0;
    for (let i = 0; i < this.rows; i++) most = Math.max(most, this.starts[i + 1] - this.starts[i]);
    return most;
  }
}

/** Return influences from dense weights, `rows` times `joints`. */
export function csrFromDense(dense: Float32Array, rows: number, joints: number): Influences {
  const starts = new Uint32Array(rows + 1);
  const ids: number[] = [];
  const weights: number[] = [];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < joints; j++) {
      const w = dense[i * joints + j];
      if (w !== 0) {
        ids.push(j);
        weights.push(w);
      }
    }
    starts[i + 1] = ids.length;
  }
  return new Influences(starts, Uint16Array.from(ids), Float64Array.from(weights));
}

/** Return influences of the first `rows` vertices from glTF's JOINTS_n and WEIGHTS_n, four per set. */
export function csrFromInfluences(sets: { joints: Uint32Array; weights: Float32Array }[], rows: number): Influences {
  const starts = new Uint32Array(rows + 1);
  const ids: number[] = [];
  const weights: number[] = [];
  for (let i = 0; i < rows; i++) {
    for (const set of sets) {
      for (let k = 4 * i; k < 4 * i + 4; k++) {
        if (set.weights[k] !== 0) {
          ids.push(set.joints[k]);
          weights.push(set.weights[k]);
        }
      }
    }
    starts[i + 1] = ids.length;
  }
  return new Influences(starts, Uint16Array.from(ids), Float64Array.from(weights));
}

/** Of a matrix's twelve numbers; far below float32's steps a metre away. */
const ALIKE = 1e-12;

/** Tell whether all joints (twelve numbers each) move as one, as on a head that only changes its expression. */
export function moveAsOne(matrices: Float64Array): boolean {
  for (let i = 12; i < matrices.length; i++) if (!(Math.abs(matrices[i] - matrices[i % 12]) <= ALIKE)) return false;
  return true;
}

/** Write points moved by one matrix, twelve numbers, to `out`. */
export function moveAll(points: Float64Array, matrix: Float64Array, out: Float64Array): void {
  const [a, b, c, l, d, f, e, m, g, h, k, n] = matrix;
  for (let p = 0; p < points.length; p += 3) {
    const x = points[p];
    const y = points[p + 1];
    const z = points[p + 2];
    out[p] = a * x + b * y + c * z + l;
    out[p + 1] = d * x + f * y + e * z + m;
    out[p + 2] = g * x + h * y + k * z + n;
  }
}

/**
 * Write skinned points to `out`, and the blended 3x3 (nine numbers a row) to `linear` when it is given.
 *
 * `matrices` are rest-to-world, twelve row-major numbers a joint; `missing` is `Influences.missing()` or null when rows
 * sum to 1.
 */
export function skin(
  rest: Float64Array,
  influences: Influences,
  matrices: Float64Array,
  missing: Float64Array | null,
  out: Float32Array | Float64Array,
  linear: Float64Array | null = null,
): void {
  const { starts, joints, weights } = influences;
  const rows = influences.rows;
  for (let i = 0; i < rows; i++) {
    let a = missing ? missing[i] : 0;
    let f = a;
    let k = a;
    let b = 0;
    let c = 0;
    let d = 0;
    let e = 0;
    let g = 0;
    let h = 0;
    let l = 0;
    let m = 0;
    let n = 0;
    for (let s = starts[i], end = starts[i + 1]; s < end; s++) {
      const w = weights[s];
      const o = joints[s] * 12;
      a += w * matrices[o];
      b += w * matrices[o + 1];
      c += w * matrices[o + 2];
      l += w * matrices[o + 3];
      d += w * matrices[o + 4];
      f += w * matrices[o + 5];
      e += w * matrices[o + 6];
      m += w * matrices[o + 7];
      g += w * matrices[o + 8];
      h += w * matrices[o + 9];
      k += w * matrices[o + 10];
      n += w * matrices[o + 11];
    }
    const p = 3 * i;
    const x = rest[p];
    const y = rest[p + 1];
    const z = rest[p + 2];
    out[p] = a * x + b * y + c * z + l;
    out[p + 1] = d * x + f * y + e * z + m;
    out[p + 2] = g * x + h * y + k * z + n;
    if (linear) {
      const q = 9 * i;
      linear[q] = a;
      linear[q + 1] = b;
      linear[q + 2] = c;
      linear[q + 3] = d;
      linear[q + 4] = f;
      linear[q + 5] = e;
      linear[q + 6] = g;
      linear[q + 7] = h;
      linear[q + 8] = k;
    }
  }
}
