/**
 * Where Gaussians are: centres of a layer on the posed head, as `formats.deform.bind_to_faces` and `bind_to_skin` define
 * them. This is the only place in the player that computes centres: the depth order needs them here, and the graphics
 * card takes the same float32 numbers. Rotations, scales and colours are in `gl/splat_shader.ts`.
 */
import type { FaceBinding, Head, Layer, SkinBinding, SkinTables } from "../avatar/avatar.ts";
import { addDeltas } from "./dynamics.ts";
import { addAll, addTurned, type HeadPoser } from "./head.ts";
import type { Pose } from "./pose.ts";
import { sumFloor } from "./rest.ts";
import { Influences, skin } from "./skinning.ts";
import { FRAME, triangleFrame, vertexNormals } from "./surface.ts";

export interface Centers {
  /** Write N * 3 world-space centres for the head's present pose; `coefficients` drive the layer's dynamics. */
  place(pose: Pose, coefficients: Float64Array | null, out: Points): void;
}

/** Return what places the centres of `layer`. */
export function centersOf(layer: Layer, poser: HeadPoser): Centers {
  const table = layer.dynamics?.tables.means;
  const posed = layer.dynamics?.space === "posed";
  const still = layer.means;
  const moving = table && !posed ? Float64Array.from(still) : null;
  const local = moving ?? still;
  const { binding } = layer;
  const inner =
    binding.kind === "face"
      ? onFaces(binding, poser, local, moving !== null)
      : binding.vertex
        ? onVertices(binding.vertex, poser, local, moving !== null)
        : onOwnTables(binding.own!, poser, local);
  return {
    place(pose, coefficients, out) {
      if (table && coefficients && moving) {
        moving.set(still);
        addDeltas(table, coefficients, moving);
      }
      inner(pose, out);
      if (table && coefficients && posed) addDeltas(table, coefficients, out as Float64Array);
    },
  };
}

/** N * 3: in float64 where something is added to them. */
export type Points = Float32Array | Float64Array;

export type Place = (pose: Pose, out: Points) => void;

function onFaces(binding: FaceBinding, poser: HeadPoser, local: Points, moves: boolean): Place {
  const { face, barycentric, frame, offsetScale } = binding;
  const { faces } = poser.head;
  const root = poser.rootRotation;
  const floor = sumFloor(binding);
  const { used, starts, ids } = byFace(face, faces.length / 3);
  // Laid out as they are read, but for offsets that move.
  const weights = gather(barycentric, 2, ids);
  const offsets = moves ? null : gather(local, 3, ids);
  const f = new Float64Array(FRAME);
  const normals = frame === "vertex" ? new Float64Array(poser.vertices.length) : null;
  const gainAt = offsetScale === "edge_height" ? 9 : offsetScale === "double_area" ? 10 : -1;
  const framed = frame === "face" || gainAt >= 0;
  // What an offset is turned by, row-major.
  const turn = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
  return (_, out) => {
    const v = poser.vertices;
    if (normals) vertexNormals(v, faces, normals, floor);
    if (frame !== "face" && frame !== "none" && !normals) turn.set(root);
    const from = offsets ?? local;
    // Triangle by triangle: what belongs to one is read and worked out once for all its Gaussians.
    for (let t = 0; t < used.length; t++) {
      const corner = 3 * used[t];
      const a = 3 * faces[corner];
      const b = 3 * faces[corner + 1];
      const c = 3 * faces[corner + 2];
      let gain = 1;
      if (framed) {
        triangleFrame(v, faces[corner], faces[corner + 1], faces[corner + 2], f, 0);
        if (gainAt >= 0) gain = f[gainAt];
      }
      const m = frame === "face" ? f : turn;
      const m0 = gain * m[0];
      const m1 = gain * m[1];
      const m2 = gain * m[2];
      const m3 = gain * m[3];
      const m4 = gain * m[4];
      const m5 = gain * m[5];
      const m6 = gain * m[6];
      const m7 = gain * m[7];
      const m8 = gain * m[8];
      const cx = v[c];
      const cy = v[c + 1];
      const cz = v[c + 2];
      const ax = v[a] - cx;
      const ay = v[a + 1] - cy;
      const az = v[a + 2] - cz;
      const bx = v[b] - cx;
      const by = v[b + 1] - cy;
      const bz = v[b + 2] - cz;
      const end = starts[t + 1];
      for (let k = starts[t]; k < end; k++) {
        const o = 3 * ids[k];
        const u = weights[2 * k];
        const w = weights[2 * k + 1];
        const p = offsets ? 3 * k : o;
        const x = from[p];
        const y = from[p + 1];
        const z = from[p + 2];
        if (normals) {
          const s = 1 - u - w;
          const nx = u * normals[a] + w * normals[b] + s * normals[c];
          const ny = u * normals[a + 1] + w * normals[b + 1] + s * normals[c + 1];
          const nz = u * normals[a + 2] + w * normals[b + 2] + s * normals[c + 2];
          const far = (gain * y) / Math.max(Math.sqrt(nx * nx + ny * ny + nz * nz), 1e-20);
          out[o] = cx + u * ax + w * bx + far * nx;
          out[o + 1] = cy + u * ay + w * by + far * ny;
          out[o + 2] = cz + u * az + w * bz + far * nz;
        } else {
          out[o] = cx + u * ax + w * bx + m0 * x + m1 * y + m2 * z;
          out[o + 1] = cy + u * ay + w * by + m3 * x + m4 * y + m5 * z;
          out[o + 2] = cz + u * az + w * bz + m6 * x + m7 * y + m8 * z;
        }
      }
    }
  };
}

function gather<T extends Points>(rows: T, width: number, ids: Uint32Array): T {
  const out = rows.slice(0, width * ids.length) as T;
  for (let k = 0, o = 0; k < ids.length; k++) for (let c = 0; c < width; c++) out[o++] = rows[width * ids[k] + c];
  return out;
}

/** Sort Gaussians by their triangle: those of `used[t]` are `ids[starts[t]]` to `ids[starts[t + 1] - 1]`. */
function byFace(face: Uint32Array, count: number): { used: Uint32Array; starts: Uint32Array; ids: Uint32Array } {
  const ends = new Uint32Array(count + 1);
  for (const f of face) ends[f + 1]++;
  const used = new Uint32Array(ends.reduce((sum, n) => sum + (n > 0 ? 1 : 0), 0));
  const starts = new Uint32Array(used.length + 1);
  let t = 0;
  for (let f = 0; f < count; f++) {
    if (ends[f + 1]) {
      used[t] = f;
      starts[t + 1] = starts[t] + ends[f + 1];
      t++;
    }
    ends[f + 1] += ends[f];
  }
  const ids = new Uint32Array(face.length);
  for (let i = 0; i < face.length; i++) ids[ends[face[i]]++] = i;
  return { used, starts, ids };
}

/** A Gaussian moves with its vertex, and its offset from it turns with the vertex's blended joint rotation. */
function onVertices(vertex: Uint32Array, poser: HeadPoser, local: Points, moves: boolean): Place {
  const { template } = poser.head;
  poser.linear ??= new Float64Array(poser.head.vertexCount * 9);
  const { linear, matrices } = poser;
  const one = new Float64Array(9);
  const offsets = new Float64Array(3 * vertex.length);
  const measure = () => {
    for (let i = 0, o = 0; i < vertex.length; i++) {
      for (let c = 0; c < 3; c++, o++) offsets[o] = local[o] - template[3 * vertex[i] + c];
    }
  };
  measure();
  return (_, out) => {
    const v = poser.vertices;
    if (moves) measure();
    const step = poser.asOne ? 0 : 9;
    const turns = poser.asOne ? one : linear;
    for (let r = 0; r < 9; r++) one[r] = matrices[4 * Math.floor(r / 3) + (r % 3)];
    for (let i = 0, o = 0; i < vertex.length; i++, o += 3) {
      const a = 3 * vertex[i];
      const m = step * vertex[i];
      const x = offsets[o];
      const y = offsets[o + 1];
      const z = offsets[o + 2];
      out[o] = v[a] + turns[m] * x + turns[m + 1] * y + turns[m + 2] * z;
      out[o + 1] = v[a + 1] + turns[m + 3] * x + turns[m + 4] * y + turns[m + 5] * z;
      out[o + 2] = v[a + 2] + turns[m + 6] * x + turns[m + 7] * y + turns[m + 8] * z;
    }
  };
}

/**
 * Return what deforms points with tables of their own like vertices; `linear`, nine numbers a point, gets the blended joint
 * rotation when it is given.
 */
export function onOwnTables(
  own: SkinTables,
  poser: HeadPoser,
  local: Points,
  linear: Float64Array | null = null,
): Place {
  const rest = Float64Array.from(local);
  const missing = own.weights.missing();
  const atRest = poser.head.eyelidSpace === "rest";
  return (pose, out) => {
    rest.set(local);
    addAll(rest, own.expressions, pose.expr);
    if (poser.feature.length) addAll(rest, own.correctives, poser.feature);
    if (atRest) addAll(rest, own.eyelids, pose.eyelids);
    skin(rest, own.weights, poser.matrices, missing, out, linear);
    if (!atRest) addTurned(out, own.eyelids, pose.eyelids, poser.rootRotation);
  };
}

/** Return the joint influences of each Gaussian of a skin binding. */
export function influencesOf(binding: SkinBinding, head: Head): Influences {
  if (binding.own) return binding.own.weights;
  const { starts, joints, weights } = head.weights;
  const vertex = binding.vertex!;
  const to = new Uint32Array(vertex.length + 1);
  vertex.forEach((v, i) => {
    to[i + 1] = to[i] + starts[v + 1] - starts[v];
  });
  const ids = new Uint16Array(to[vertex.length]);
  const values = new Float64Array(to[vertex.length]);
  vertex.forEach((v, i) => {
    ids.set(joints.subarray(starts[v], starts[v + 1]), to[i]);
    values.set(weights.subarray(starts[v], starts[v + 1]), to[i]);
  });
  return new Influences(to, ids, values);
}
