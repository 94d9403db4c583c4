/** The head of a GLB: a skinned mesh with morph targets, as tables (`exporter/GLB.md`, 1.1). */

import { AvatarFormatError } from "../errors.ts";
import { csrFromDense, csrFromInfluences, type Influences } from "../posing/skinning.ts";
import type { Head, Role } from "./avatar.ts";
import { choice, fail, integer, list, onePrimitive, text } from "./fields.ts";
import type { Glb, Json, SparseRows } from "./glb.ts";

/** Return the head that `spec` names. */
export function readHead(glb: Glb, spec: Json): Head {
  const primitive = onePrimitive(glb, spec.mesh, "head.mesh");
  const { attributes } = primitive;
  const stored = glb.count(attributes?.POSITION, 3);
  const vertexCount = integer(spec.vertexCount, "head.vertexCount", stored);
  const sources =
    stored > vertexCount ? glb.integers(spec.seamSources, 1, stored - vertexCount, vertexCount) : new Uint32Array(0);
  const places = readPlaces(glb, spec.vertexOrder, vertexCount);
  const faces = glb.integers(primitive.indices, 1, undefined, stored);
  for (let i = 0; i < faces.length; i++) {
    if (faces[i] >= vertexCount) faces[i] = sources[faces[i] - vertexCount];
    else if (places) faces[i] = places.order[faces[i]];
  }

  const skin = glb.item("skins", spec.skin);
  const joints = list(skin.joints, "skin.joints");
  const inverse = glb.floats(skin.inverseBindMatrices, 16, joints.length);
  const unit = unitOf(inverse);

  const names = list(glb.item("meshes", spec.mesh).extras?.targetNames ?? [], "targetNames").map((n) => text(n, "?"));
  const targets = list(primitive.targets ?? [], "targets").map((target) =>
    inMetres(glb.sparseRows(target.POSITION, stored, vertexCount), unit, places),
  );
  const count = integer(spec.expressions, "head.expressions", targets.length);
  const lids = integer(spec.eyelids ?? 0, "head.eyelids", 2);
  const correctives = integer(spec.correctives ?? 0, "head.correctives", 36);
  if (count + lids + correctives !== targets.length || lids === 1 || (correctives !== 0 && correctives !== 36)) {
    throw new AvatarFormatError(
      `The head says ${count} expressions, ${lids} eyelids, ${correctives} correctives; its mesh has ${targets.length} targets.`,
    );
  }

  const roles: Partial<Record<Role, number>> = {};
  for (const role of ["root", "neck", "jaw", "left_eye", "right_eye"] as const) {
    if (spec.jointRoles?.[role] !== undefined) {
      roles[role] = integer(spec.jointRoles[role], "head.jointRoles", joints.length - 1);
    }
  }
  const restJoints = new Float64Array(joints.length * 3);
  joints.forEach((_, j) => {
    for (let c = 0; c < 3; c++) restJoints[3 * j + c] = -inverse[16 * j + 12 + c];
  });
  const template = glb.floats(attributes.POSITION, 3).slice(0, 3 * vertexCount);
  for (let i = 0; i < template.length; i++) template[i] *= unit;
  return {
    edition: text(spec.edition, ""),
    contentHash: text(spec.contentHash, ""),
    vertexCount,
    faces,
    template: gather(template, 3, places),
    exprNames: targets.slice(0, count).map((_, i) => names[i] ?? `expr${String(i).padStart(3, "0")}`),
    expressions: targets.slice(0, count),
    eyelids: targets.slice(count, count + lids),
    correctives: targets.slice(count + lids),
    eyelidSpace: choice(spec.eyelidSpace ?? "rest", "head.eyelidSpace", ["rest", "posed"]),
    jointNames: joints.map((node, j) => text(glb.item("nodes", node).name, `joint${j}`)),
    parents: parentsOf(glb, joints),
    roles,
    restJoints,
    jointExprdirs: spec.jointExprdirs === undefined ? null : glb.floats(spec.jointExprdirs, 3, joints.length * count),
    weights: influencesIn(glb, spec, attributes, vertexCount, joints.length, joints.length, places).normalized(),
    arkitMap: spec.arkitMap === undefined ? null : glb.floats(spec.arkitMap, 1, 52 * (count + 14)),
    cornerUvs: null,
    vertexColors: null,
  };
}

/** Read what is only for those who show the head's mesh. */
export function readHeadSurface(glb: Glb, spec: Json, head: Head): void {
  const { attributes, indices } = onePrimitive(glb, spec.mesh, "head.mesh");
  const stored = glb.count(attributes.POSITION, 3);
  head.cornerUvs = cornerUvsOf(glb, attributes, stored, glb.integers(indices, 1, undefined, stored));
  if (attributes.COLOR_0 === undefined) return;
  const places = readPlaces(glb, spec.vertexOrder, head.vertexCount);
  const colors = glb.floats(attributes.COLOR_0, 3, stored);
  head.vertexColors = gather(colors, 3, places).slice(0, 3 * head.vertexCount);
}

function parentsOf(glb: Glb, joints: Json[]): Int32Array {
  const place = new Map(joints.map((node, j) => [node, j]));
  const parents = new Int32Array(joints.length).fill(-1);
  joints.forEach((node, j) => {
    for (const child of glb.item("nodes", node).children ?? []) {
      const k = place.get(child);
      if (k === undefined) continue;
      if (k <= j)
        throw new AvatarFormatError("The head's joints are not in order: a parent must come before its children.");
      parents[k] = j;
    }
  });
  return parents;
}

/** Return the texture coordinates of each triangle's corners, before seam copies become what they repeat. */
function cornerUvsOf(glb: Glb, attributes: Json, stored: number, faces: Uint32Array): Float32Array | null {
  if (attributes.TEXCOORD_0 === undefined) return null;
  const uvs = glb.floats(attributes.TEXCOORD_0, 2, stored);
  const out = new Float32Array(2 * faces.length);
  faces.forEach((vertex, i) => {
    out.set(uvs.subarray(2 * vertex, 2 * vertex + 2), 2 * i);
  });
  return out;
}

/**
 * Return the joint influences of a skinned mesh's first `vertices`: exact ones where the extension has them.
 *
 * JOINTS_n may name joints below `named`; those from `joints` on never move, and are left out.
 */
export function influencesIn(
  glb: Glb,
  spec: Json,
  attributes: Json,
  vertices: number,
  joints: number,
  named: number,
  places: Places | null,
): Influences {
  if (spec.lbsWeights !== undefined) {
    const dense = glb.floats(spec.lbsWeights, 1, vertices * joints);
    return csrFromDense(gather(dense, joints, places), vertices, joints);
  }
  const sets = [];
  for (let i = 0; attributes[`JOINTS_${i}`] !== undefined; i++) {
    const ids = glb.integers(attributes[`JOINTS_${i}`], 4, undefined, named);
    const weights = glb.floats(attributes[`WEIGHTS_${i}`], 4, ids.length / 4);
    if (ids.length < 4 * vertices) fail(`JOINTS_${i}`);
    for (let k = 0; k < ids.length; k++) if (ids[k] >= joints) weights[k] = 0;
    sets.push({ joints: gather(ids, 4, places), weights: gather(weights, 4, places) });
  }
  return csrFromInfluences(sets, vertices);
}

// --- Grade small -----------------------------------------------------------------------------------------------------

/** How vertices are stored: vertex `order[i]` is stored at i; vertex v is stored at `place[v]`. */
export interface Places {
  order: Uint32Array;
  place: Uint32Array;
}

export function readPlaces(glb: Glb, accessor: Json, count: number): Places | null {
  if (accessor === undefined) return null;
  const order = glb.integers(accessor, 1, count, count);
  const place = new Uint32Array(count).fill(count);
  order.forEach((vertex, i) => {
    if (place[vertex] !== count) fail("head.vertexOrder");
    place[vertex] = i;
  });
  return { order, place };
}

/** Return rows of `width` numbers as the head counts its vertices. */
export function gather<T extends Float32Array | Uint32Array>(values: T, width: number, places: Places | null): T {
  if (!places) return values;
  const out = values.slice(0, places.place.length * width) as T;
  places.order.forEach((vertex, i) => {
    for (let c = 0; c < width; c++) out[vertex * width + c] = values[i * width + c];
  });
  return out;
}

/** Return what makes metres of POSITION and of deltas: the inverse bind matrices hold it, and nothing else beside places. */
export function unitOf(inverse: Float32Array): number {
  const unit = inverse[0];
  if (!(unit > 0 && unit < 1e6)) fail("skin.inverseBindMatrices");
  for (let i = 0; i < inverse.length; i++) {
    const [row, column] = [i % 4, (i % 16) >> 2];
    if (row < 3 && column < 3 && Math.abs(inverse[i] - (row === column ? unit : 0)) > 1e-6 * unit) {
      fail("skin.inverseBindMatrices");
    }
  }
  return unit;
}

export function inMetres(direction: SparseRows, unit: number, places: Places | null): SparseRows {
  const values = unit === 1 ? direction.values : direction.values.map((value) => value * unit);
  if (!places) return { rows: direction.rows, values };
  if (direction.rows === null) return { rows: null, values: gather(values, 3, places) };
  return { rows: direction.rows.map((row) => places.order[row]), values };
}
