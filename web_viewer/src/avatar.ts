/** From a GLB with the `FLAMEPORT_avatar` extension (`exporter/GLB.md`) to typed tables. */
import type { Channel } from "./dynamics.ts";
import { AvatarFormatError } from "./errors.ts";
import { choice, EXTENSION, fail, integer, list, onePrimitive, SPLATS, text } from "./fields.ts";
import { Glb, type Json, type SparseRows } from "./glb.ts";
import type { BoundLayer } from "./rest.ts";
import { readClip, type Sequence } from "./sequence.ts";
import { csrFromDense, csrFromInfluences, type Influences } from "./skinning.ts";
import { readLayer } from "./splat_layers.ts";
import type { FRAMES } from "./surface.ts";

/** Extensions a GLB may require and we read. */
const KNOWN = [
  EXTENSION,
  SPLATS,
  "KHR_mesh_quantization",
  "KHR_materials_unlit",
  "EXT_texture_webp",
  "EXT_meshopt_compression",
];

export type Role = "root" | "neck" | "jaw" | "left_eye" | "right_eye";

/** The head: blendshapes and a skeleton. Metres; matches `formats.head_model.HeadModel` without identity. */
export interface Head {
  edition: string;
  contentHash: string;
  vertexCount: number;
  faces: Uint32Array;
  template: Float32Array;
  exprNames: string[];
  expressions: SparseRows[];
  eyelids: SparseRows[];
  /** Entries of (R - I), row-major, of neck, jaw, left eye, right eye. */
  correctives: SparseRows[];
  eyelidSpace: "rest" | "posed";
  jointNames: string[];
  parents: Int32Array;
  roles: Partial<Record<Role, number>>;
  restJoints: Float64Array;
  /** J * E * 3, joint-major; null when joints do not move with expression. */
  jointExprdirs: Float32Array | null;
  weights: Influences;
  /** 52 rows of E + 14; null when unknown. */
  arkitMap: Float32Array | null;
}

export interface FaceBinding {
  kind: "face";
  face: Uint32Array;
  /** Two weights per Gaussian; the third makes the sum 1. */
  barycentric: Float32Array;
  frame: (typeof FRAMES)[number];
  offsetScale: "none" | "edge_height" | "double_area";
  splatScale: "none" | "edge_height" | "log_area_ratio";
  canonical: Float32Array | null;
  /** Metres in the unit that frame `vertex` and `log_area_ratio` compute in. */
  unit: number;
}

/** Own tables of a skin binding that shares no head vertices. */
export interface SkinTables {
  expressions: SparseRows[];
  correctives: SparseRows[];
  eyelids: SparseRows[];
  weights: Influences;
}

export interface SkinBinding {
  kind: "skin";
  /** Head vertices whose tables are shared; null when `own` is there. */
  vertex: Uint32Array | null;
  own: SkinTables | null;
  rotation: "none" | "skin" | "surface";
}

/** delta[n] = sum_k table[k][n] c_k; tables are stored k-major here, for the loops that read them. */
export interface LinearDynamics {
  space: "canonical" | "posed";
  driver: string[];
  mean: Float32Array | null;
  rank: number;
  tables: Partial<Record<Channel, Float32Array>>;
}

/** Gaussians in the binding's local space: means (offsets on faces), quats wxyz, linear scales. */
export interface Layer extends BoundLayer {
  name: string;
  count: number;
  opacities: Float32Array;
  /** N * K * 3, DC first. */
  sh: Float32Array;
  degree: number;
  /** Which Gaussian of the avatar each one is, where the file lists them in another order. */
  order: Uint32Array | null;
  shFrame: "world" | "head";
  dynamics: LinearDynamics | null;
}

export interface Avatar {
  name: string;
  grade: string;
  system: string;
  paper: string;
  licenseNotices: string[];
  head: Head;
  layers: Layer[];
  /** All Gaussians. */
  count: number;
  /** The clip that came with the avatar. */
  clip: Sequence | null;
}

/** Return the avatar in a GLB. */
export function readAvatar(buffer: ArrayBuffer): Avatar {
  const glb = Glb.parse(buffer);
  const root = glb.json.extensions?.[EXTENSION];
  if (!root) {
    throw new AvatarFormatError("This GLB holds no flameport avatar. Make one with “flameport export X.avatar glb”.");
  }
  if (typeof root.version !== "string" || root.version.split(".")[0] !== "1") {
    throw new AvatarFormatError(`The avatar has version ${root.version}; this viewer reads 1. Update the viewer.`);
  }
  for (const name of glb.json.extensionsRequired ?? []) {
    if (!KNOWN.includes(name)) {
      throw new AvatarFormatError(
        `The GLB needs ${name}, which this viewer does not read; export it with --grade plain.`,
      );
    }
  }
  const head = readHead(glb, root.head ?? fail("head"));
  const layers = list(root.layers, "layers").map((entry, i) => readLayer(glb, head, entry, i));
  const meta = root.meta ?? {};
  return {
    name: text(meta.name, "avatar"),
    grade: text(root.grade, ""),
    system: text(meta.system, ""),
    paper: text(meta.paper, ""),
    licenseNotices: list(meta.licenseNotices ?? [], "meta.licenseNotices").map((notice) => text(notice, "")),
    head,
    layers,
    count: layers.reduce((sum, layer) => sum + layer.count, 0),
    clip: root.clip ? readClip(glb, root.clip, root.head, head) : null,
  };
}

// --- Head ------------------------------------------------------------------------------------------------------------

function readHead(glb: Glb, spec: Json): Head {
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
    weights: headWeights(glb, spec, attributes, vertexCount, joints.length, places),
    arkitMap: spec.arkitMap === undefined ? null : glb.floats(spec.arkitMap, 1, 52 * (count + 14)),
  };
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

function headWeights(
  glb: Glb,
  spec: Json,
  attributes: Json,
  vertices: number,
  joints: number,
  places: Places | null,
): Influences {
  let influences: Influences;
  if (spec.lbsWeights !== undefined) {
    const dense = glb.floats(spec.lbsWeights, 1, vertices * joints);
    influences = csrFromDense(gather(dense, joints, places), vertices, joints);
  } else {
    const sets = [];
    for (let i = 0; attributes[`JOINTS_${i}`] !== undefined; i++) {
      sets.push({
        joints: gather(glb.integers(attributes[`JOINTS_${i}`], 4, undefined, joints), 4, places),
        weights: gather(glb.floats(attributes[`WEIGHTS_${i}`], 4), 4, places),
      });
    }
    influences = csrFromInfluences(sets, vertices);
  }
  return influences.normalized();
}

// --- Grade small -----------------------------------------------------------------------------------------------------

/** How vertices are stored: vertex `order[i]` is stored at i; vertex v is stored at `place[v]`. */
interface Places {
  order: Uint32Array;
  place: Uint32Array;
}

function readPlaces(glb: Glb, accessor: Json, count: number): Places | null {
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
function gather<T extends Float32Array | Uint32Array>(values: T, width: number, places: Places | null): T {
  if (!places) return values;
  const out = values.slice(0, places.place.length * width) as T;
  places.order.forEach((vertex, i) => {
    for (let c = 0; c < width; c++) out[vertex * width + c] = values[i * width + c];
  });
  return out;
}

/** Return what makes metres of POSITION and of deltas: the inverse bind matrices hold it, and nothing else beside places. */
function unitOf(inverse: Float32Array): number {
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

function inMetres(direction: SparseRows, unit: number, places: Places | null): SparseRows {
  const values = unit === 1 ? direction.values : direction.values.map((value) => value * unit);
  if (!places) return { rows: direction.rows, values };
  if (direction.rows === null) return { rows: null, values: gather(values, 3, places) };
  return { rows: direction.rows.map((row) => places.order[row]), values };
}
