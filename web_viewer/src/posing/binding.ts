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
      if (table && coefficients && posed) addDeltas(table, coefficients, out as Float64Array);
    },
  };
}

/** N * 3: in float64 where something is added to them. */
export type Points = Float32Array | Float64Array;

export type Place = (pose: Pose, out: Points) => void;

function onFaces(binding: FaceBinding, poser: HeadPoser, local: Points): Place {
  const { face, barycentric, frame, offsetScale } = binding;
  const { faces } = poser.head;
  const root = poser.rootRotation;
  const floor = sumFloor(binding);
  const used = Uint32Array.from(new Set(face)).sort();
  const frames = new Float64Array((faces.length / 3) * FRAME);
  const normals = frame === "vertex" ? new Float64Array(poser.vertices.length) : null;
  const gainAt = offsetScale === "edge_height" ? 9 : offsetScale === "double_area" ? 10 : -1;
  const framed = frame === "face" || gainAt >= 0;
  return (_, out) => {
    const v = poser.vertices;
    if (framed) {
      for (const f of used) triangleFrame(v, faces[3 * f], faces[3 * f + 1], faces[3 * f + 2], frames, f * FRAME);
    }
    if (normals) vertexNormals(v, faces, normals, floor);
    for (let i = 0, o = 0; i < face.length; i++, o += 3) {
      const f = face[i];
      const a = 3 * faces[3 * f];
      const b = 3 * faces[3 * f + 1];
      const c = 3 * faces[3 * f + 2];
      const u = barycentric[2 * i];
      const w = barycentric[2 * i + 1];
      const t = 1 - u - w;
      const at = f * FRAME;
      const gain = gainAt < 0 ? 1 : frames[at + gainAt];
      let x = gain * local[o];
      let y = gain * local[o + 1];
      let z = gain * local[o + 2];
      if (normals) {
        let nx = u * normals[a] + w * normals[b] + t * normals[c];
        let ny = u * normals[a + 1] + w * normals[b + 1] + t * normals[c + 1];
        let nz = u * normals[a + 2] + w * normals[b + 2] + t * normals[c + 2];
        const length = Math.max(Math.sqrt(nx * nx + ny * ny + nz * nz), 1e-20);
        nx /= length;
        ny /= length;
        nz /= length;
        x = y * nx;
        z = y * nz;
        y *= ny;
      } else if (frame === "face") {
        const p = frames[at] * x + frames[at + 1] * y + frames[at + 2] * z;
        const q = frames[at + 3] * x + frames[at + 4] * y + frames[at + 5] * z;
        z = frames[at + 6] * x + frames[at + 7] * y + frames[at + 8] * z;
        x = p;
        y = q;
      } else if (frame !== "none") {
        const p = root[0] * x + root[1] * y + root[2] * z;
        const q = root[3] * x + root[4] * y + root[5] * z;
        z = root[6] * x + root[7] * y + root[8] * z;
        x = p;
        y = q;
      }
      out[o] = u * v[a] + w * v[b] + t * v[c] + x;
      out[o + 1] = u * v[a + 1] + w * v[b + 1] + t * v[c + 1] + y;
      out[o + 2] = u * v[a + 2] + w * v[b + 2] + t * v[c + 2] + z;
    }
  };
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
