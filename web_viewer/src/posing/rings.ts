/** What lies around each vertex of a mesh, as tables for `gl/vertex_pass.ts`. */
import { matrixToQuat } from "./rotations.ts";

/** First and past-the-last of each vertex's faces in `corners`, and the three vertices of each, as texels of four. */
export function ringsOf(faces: Uint32Array, count: number): { spans: Uint32Array; corners: Uint32Array } {
  const starts = startsOf(faces, count);
  const spans = new Uint32Array(4 * count);
  for (let v = 0; v < count; v++) spans.set([starts[v], starts[v + 1]], 4 * v);
  const corners = new Uint32Array(4 * faces.length);
  const next = starts.slice();
  for (let f = 0; f < faces.length; f += 3) {
    for (let k = 0; k < 3; k++) corners.set(faces.subarray(f, f + 3), 4 * next[faces[f + k]]++);
  }
  return { spans, corners };
}

function startsOf(faces: Uint32Array, count: number): Uint32Array {
  const starts = new Uint32Array(count + 1);
  for (const v of faces) starts[v + 1]++;
  for (let v = 0; v < count; v++) starts[v + 1] += starts[v];
  return starts;
}

export interface Fans {
  /**
   * Per vertex: its part of `chain`, its neighbour at the longest edge, and (as a float's bits) the sum of squared edges of
   * its faces in square millimetres, negative where they have no area. Empty parts: no faces.
   */
  spans: Uint32Array;
  /**
   * Neighbours in the order they lie in: the edge to each on the canonical mesh (floats' bits, millimetres), then its number
   * times 8, plus 2 for each face that has it, plus 1 where no face lies between it and the one before.
   */
  chain: Uint32Array;
  /** Canonical frames, quaternions wxyz: normal, longest edge made square to it, their cross product. */
  frames: Float32Array;
}

/** Return each vertex's fans: one-rings as chains of neighbours, so that each is visited once and not once a face. */
export function fansOf(canonical: Float32Array, faces: Uint32Array, count: number): Fans {
  const starts = startsOf(faces, count);
  // Each face as the edge that lies across from the vertex.
  const from = new Uint32Array(faces.length);
  const to = new Uint32Array(faces.length);
  const next = starts.slice();
  for (let f = 0; f < faces.length; f += 3) {
    for (let k = 0; k < 3; k++) {
      const at = next[faces[f + k]]++;
      from[at] = faces[f + ((k + 1) % 3)];
      to[at] = faces[f + ((k + 2) % 3)];
    }
  }
  const spans = new Uint32Array(4 * count);
  const squares = new Float32Array(spans.buffer);
  const frames = new Float32Array(4 * count);
  // Every face adds one neighbour, or two where a chain starts.
  let chain = new Uint32Array(4 * (faces.length + count + 64));
  let floats = new Float32Array(chain.buffer);
  let at = 0;
  const put = (vertex: number, neighbour: number, faces: number, first: boolean) => {
    if (4 * at === chain.length) {
      const longer = new Uint32Array(2 * chain.length);
      longer.set(chain);
      chain = longer;
      floats = new Float32Array(chain.buffer);
    }
    for (let c = 0; c < 3; c++) {
      floats[4 * at + c] = 1e3 * (canonical[3 * neighbour + c] - canonical[3 * vertex + c]);
    }
    chain[4 * at + 3] = neighbour * 8 + 2 * faces + (first ? 1 : 0);
    at++;
  };
  const done = new Uint8Array(faces.length);
  const quat = new Float64Array(4);
  for (let v = 0; v < count; v++) {
    const begin = starts[v];
    const end = starts[v + 1];
    frames[4 * v] = 1;
    if (begin === end) continue;
    spans[4 * v] = at;
    for (let left = end - begin; left > 0; ) {
      let k = firstOf(from, to, done, begin, end);
      put(v, from[k], 1, true);
      for (;;) {
        done[k] = 1;
        left--;
        const tip = to[k];
        const follower = nextOf(from, done, begin, end, tip);
        put(v, tip, follower < 0 ? 1 : 2, false);
        if (follower < 0) break;
        k = follower;
      }
    }
    spans[4 * v + 1] = at;
    const { square, longest } = frameAt(canonical, v, from, to, begin, end, quat);
    if (square === 0) spans[4 * v + 1] = spans[4 * v];
    spans[4 * v + 2] = longest;
    squares[4 * v + 3] = square;
    frames.set(quat, 4 * v);
  }
  return { spans, chain: chain.slice(0, Math.max(4, 4 * at)), frames };
}

/** Return a face that no other one leads to, or any that is left: rings that close start anywhere. */
function firstOf(from: Uint32Array, to: Uint32Array, done: Uint8Array, begin: number, end: number): number {
  let any = -1;
  for (let k = begin; k < end; k++) {
    if (done[k]) continue;
    if (any < 0) any = k;
    let led = false;
    for (let j = begin; j < end && !led; j++) led = !done[j] && j !== k && to[j] === from[k];
    if (!led) return k;
  }
  return any;
}

function nextOf(from: Uint32Array, done: Uint8Array, begin: number, end: number, tip: number): number {
  for (let k = begin; k < end; k++) if (!done[k] && from[k] === tip) return k;
  return -1;
}

const frame = new Float64Array(9);

/** Write the canonical frame of a vertex; return its squared edges (negative: no area) and the longest one's end. */
function frameAt(
  p: Float32Array,
  v: number,
  from: Uint32Array,
  to: Uint32Array,
  begin: number,
  end: number,
  out: Float64Array,
): { square: number; longest: number } {
  const x = p[3 * v];
  const y = p[3 * v + 1];
  const z = p[3 * v + 2];
  let square = 0;
  let longest = from[begin];
  let most = 0;
  let nx = 0;
  let ny = 0;
  let nz = 0;
  for (let k = begin; k < end; k++) {
    const i = 3 * from[k];
    const j = 3 * to[k];
    const ax = 1e3 * (p[i] - x);
    const ay = 1e3 * (p[i + 1] - y);
    const az = 1e3 * (p[i + 2] - z);
    const bx = 1e3 * (p[j] - x);
    const by = 1e3 * (p[j + 1] - y);
    const bz = 1e3 * (p[j + 2] - z);
    const a = ax * ax + ay * ay + az * az;
    square += a + bx * bx + by * by + bz * bz;
    nx += ay * bz - az * by;
    ny += az * bx - ax * bz;
    nz += ax * by - ay * bx;
    if (a > most) {
      most = a;
      longest = from[k];
    }
  }
  const length = Math.sqrt(nx * nx + ny * ny + nz * nz);
  const flat = !(length > 1e-14);
  const n = flat ? [0, 0, 1] : [nx / length, ny / length, nz / length];
  let t = [0, 1, 2].map((c) => p[3 * longest + c] - [x, y, z][c]);
  let along = t[0] * n[0] + t[1] * n[1] + t[2] * n[2];
  t = t.map((value, c) => value - along * n[c]);
  let size = Math.hypot(t[0], t[1], t[2]);
  if (size < 1e-12) {
    t = Math.abs(n[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0];
    along = t[0] * n[0] + t[1] * n[1];
    t = t.map((value, c) => value - along * n[c]);
    size = Math.hypot(t[0], t[1], t[2]);
  }
  t = t.map((value) => value / size);
  const b = [n[1] * t[2] - n[2] * t[1], n[2] * t[0] - n[0] * t[2], n[0] * t[1] - n[1] * t[0]];
  for (let r = 0; r < 3; r++) {
    frame[3 * r] = n[r];
    frame[3 * r + 1] = t[r];
    frame[3 * r + 2] = b[r];
  }
  matrixToQuat(frame, 0, out, 0);
  return { square: flat ? -square : square, longest };
}
