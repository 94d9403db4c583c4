/**
 * Where Gaussians are: centres of a layer on the posed head, as `formats.deform.bind_to_faces` and `bind_to_skin` define
 * them. This is the only place in the player that computes centres: the depth order needs them here, and the graphics
 * card takes the same float32 numbers. Rotations, scales and colours are in `gl/splat_shader.ts`.
 */
import type { FaceBinding, Head, Layer, SkinBinding, SkinTables } from "./avatar.ts";
import { addDeltas } from "./dynamics.ts";
import { addAll, addTurned, gatherDense, type HeadPoser } from "./head.ts";
import type { Pose } from "./pose.ts";
import { sumFloor } from "./rest.ts";
import { Influences, skin } from "./skinning.ts";
import { FRAME, triangleFrame, vertexNormals } from "./surface.ts";

export interface Centers {
  /** Write N * 3 world-space centres for the head's present pose; `coefficients` drive the layer's dynamics. */
  place(pose: Pose, coefficients: Float64Array | null, out: Float64Array): void;
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
      ? onFaces(binding, poser, local)
      : binding.vertex
        ? onVertices(binding.vertex, poser, local)
        : onOwnTables(binding.own!, poser, local);
  return {
    place(pose, coefficients, out) {
      if (table && coefficients && moving) {
        moving.set(still);
        addDeltas(table, coefficients, moving);
      }
      inner(pose, out);
      if (table && coefficients && posed) addDeltas(table, coefficients, out);
    },
  };
}

/** N * 3: as the file has them, or in float64 where dynamics add to them. */
type Points = Float32Array | Float64Array;

export type Place = (pose: Pose, out: Float64Array) => void;

function onFaces(binding: FaceBinding, poser: HeadPoser, local: Points): Place {
  const { barycentric, frame, offsetScale } = binding;
  const { faces } = poser.head;
  const root = poser.rootRotation;
  const floor = sumFloor(binding);
  const { used, starts, members } = byFace(binding.face, faces.length / 3);
  const axes = new Float64Array(FRAME);
  const normals = frame === "vertex" ? new Float64Array(poser.vertices.length) : null;
  const gainAt = offsetScale === "edge_height" ? 9 : offsetScale === "double_area" ? 10 : -1;
  const framed = frame === "face" || gainAt >= 0;
  return (_, out) => {
    const v = poser.vertices;
    if (normals) vertexNormals(v, faces, normals, floor);
    for (let k = 0; k < used.length; k++) {
      const corner = 3 * used[k];
      const a = 3 * faces[corner];
      const b = 3 * faces[corner + 1];
      const c = 3 * faces[corner + 2];
      if (framed) triangleFrame(v, faces[corner], faces[corner + 1], faces[corner + 2], axes, 0);
      const gain = gainAt < 0 ? 1 : axes[gainAt];
      const turn = frame === "face" ? axes : frame === "none" ? IDENTITY : root;
      const m0 = gain * turn[0];
      const m1 = gain * turn[1];
      const m2 = gain * turn[2];
      const m3 = gain * turn[3];
      const m4 = gain * turn[4];
      const m5 = gain * turn[5];
      const m6 = gain * turn[6];
      const m7 = gain * turn[7];
      const m8 = gain * turn[8];
      // From the third corner to the others.
      const cx = v[c];
      const cy = v[c + 1];
      const cz = v[c + 2];
      const ax = v[a] - cx;
      const ay = v[a + 1] - cy;
      const az = v[a + 2] - cz;
      const bx = v[b] - cx;
      const by = v[b + 1] - cy;
      const bz = v[b + 2] - cz;
      for (let m = starts[k], end = starts[k + 1]; m < end; m++) {
        const i = members[m];
        const o = 3 * i;
        const u = barycentric[2 * i];
        const w = barycentric[2 * i + 1];
        const x = local[o];
        const y = local[o + 1];
        const z = local[o + 2];
        const px = cx + u * ax + w * bx;
        const py = cy + u * ay + w * by;
        const pz = cz + u * az + w * bz;
        if (normals) {
          const t = 1 - u - w;
          const nx = u * normals[a] + w * normals[b] + t * normals[c];
          const ny = u * normals[a + 1] + w * normals[b + 1] + t * normals[c + 1];
          const nz = u * normals[a + 2] + w * normals[b + 2] + t * normals[c + 2];
          const along = (gain * y) / Math.max(Math.sqrt(nx * nx + ny * ny + nz * nz), 1e-20);
          out[o] = px + along * nx;
          out[o + 1] = py + along * ny;
          out[o + 2] = pz + along * nz;
        } else {
          out[o] = px + m0 * x + m1 * y + m2 * z;
          out[o + 1] = py + m3 * x + m4 * y + m5 * z;
          out[o + 2] = pz + m6 * x + m7 * y + m8 * z;
        }
      }
    }
  };
}

const IDENTITY = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);

/** Return the faces that Gaussians are on, and face by face which ones: from `starts[k]` on in `members` those of `used[k]`. */
function byFace(face: Uint32Array, faces: number): Record<"used" | "starts" | "members", Uint32Array> {
  const counts = new Uint32Array(faces);
  for (const f of face) counts[f]++;
  const used = Uint32Array.from({ length: faces }, (_, f) => f).filter((f) => counts[f] > 0);
  const starts = new Uint32Array(used.length + 1);
  // From here on `counts` is where the next of a face goes.
  used.forEach((f, k) => {
    starts[k + 1] = starts[k] + counts[f];
    counts[f] = starts[k];
  });
  const members = new Uint32Array(face.length);
  face.forEach((f, i) => {
    members[counts[f]++] = i;
  });
  return { used, starts, members };
}

/** A Gaussian moves with its vertex, and its offset from it turns with the vertex's blended joint rotation. */
function onVertices(vertex: Uint32Array, poser: HeadPoser, local: Points): Place {
  const { template } = poser.head;
  poser.linear ??= new Float64Array(poser.head.vertexCount * 9);
  const linear = poser.linear;
  return (_, out) => {
    const v = poser.vertices;
    for (let i = 0, o = 0; i < vertex.length; i++, o += 3) {
      const a = 3 * vertex[i];
      const m = 9 * vertex[i];
      const x = local[o] - template[a];
      const y = local[o + 1] - template[a + 1];
      const z = local[o + 2] - template[a + 2];
      out[o] = v[a] + linear[m] * x + linear[m + 1] * y + linear[m + 2] * z;
      out[o + 1] = v[a + 1] + linear[m + 3] * x + linear[m + 4] * y + linear[m + 5] * z;
      out[o + 2] = v[a + 2] + linear[m + 6] * x + linear[m + 7] * y + linear[m + 8] * z;
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
  for (const directions of [own.expressions, own.correctives]) gatherDense(directions);
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
