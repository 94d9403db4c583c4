/** From a GLB with the `FLAMEPORT_avatar` extension (`exporter/GLB.md`) to typed tables. */
import { AvatarFormatError } from "./errors.ts";
import { Glb, type Json, type SparseRows } from "./glb.ts";
import { type BoundLayer, undoBinding } from "./rest.ts";
import { readClip, type Sequence } from "./sequence.ts";
import { csrFromDense, csrFromInfluences, type Influences } from "./skinning.ts";

const EXTENSION = "FLAMEPORT_avatar";
const SPLATS = "KHR_gaussian_splatting";
/** Extensions a GLB may require and we read. */
const KNOWN = [EXTENSION, SPLATS, "KHR_mesh_quantization", "KHR_materials_unlit", "EXT_texture_webp"];

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
  frame: "face" | "vertex" | "none";
  offsetScale: "none" | "edge_height" | "double_area";
  splatScale: "none" | "edge_height" | "log_area_ratio";
  canonical: Float32Array | null;
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

export const CHANNELS = { means: 3, rotvecs: 3, log_scales: 3, opacity_logits: 1, rgb: 3 } as const;
export type Channel = keyof typeof CHANNELS;

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

function fail(field: string): never {
  throw new AvatarFormatError(`${EXTENSION}: '${field}' is missing or has the wrong type. Export the avatar again.`);
}

function text(value: Json, fallback: string): string {
  return typeof value === "string" ? value : fallback;
}

function list(value: Json, field: string): Json[] {
  return Array.isArray(value) ? value : fail(field);
}

function integer(value: Json, field: string, high: number): number {
  return Number.isInteger(value) && value >= 0 && value <= high ? value : fail(field);
}

function choice<T extends string>(value: Json, field: string, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw new AvatarFormatError(`${EXTENSION}: '${field}' is “${value}”; this viewer knows ${allowed.join(", ")}.`);
}

function onePrimitive(glb: Glb, mesh: Json, field: string): Json {
  const primitives = list(glb.item("meshes", mesh).primitives, field);
  return primitives.length === 1 ? primitives[0] : fail(field);
}

// --- Head ------------------------------------------------------------------------------------------------------------

function readHead(glb: Glb, spec: Json): Head {
  const primitive = onePrimitive(glb, spec.mesh, "head.mesh");
  const { attributes } = primitive;
  const stored = glb.count(attributes?.POSITION, 3);
  const vertexCount = integer(spec.vertexCount, "head.vertexCount", stored);
  const sources =
    stored > vertexCount ? glb.integers(spec.seamSources, 1, stored - vertexCount, vertexCount) : new Uint32Array(0);
  const faces = glb.integers(primitive.indices, 1, undefined, stored);
  for (let i = 0; i < faces.length; i++) if (faces[i] >= vertexCount) faces[i] = sources[faces[i] - vertexCount];

  const names = list(glb.item("meshes", spec.mesh).extras?.targetNames ?? [], "targetNames").map((n) => text(n, "?"));
  const targets = list(primitive.targets ?? [], "targets").map((target) =>
    glb.sparseRows(target.POSITION, stored, vertexCount),
  );
  const count = integer(spec.expressions, "head.expressions", targets.length);
  const lids = integer(spec.eyelids ?? 0, "head.eyelids", 2);
  const correctives = integer(spec.correctives ?? 0, "head.correctives", 36);
  if (count + lids + correctives !== targets.length || lids === 1 || (correctives !== 0 && correctives !== 36)) {
    throw new AvatarFormatError(
      `The head says ${count} expressions, ${lids} eyelids, ${correctives} correctives; its mesh has ${targets.length} targets.`,
    );
  }

  const skin = glb.item("skins", spec.skin);
  const joints = list(skin.joints, "skin.joints");
  const roles: Partial<Record<Role, number>> = {};
  for (const role of ["root", "neck", "jaw", "left_eye", "right_eye"] as const) {
    if (spec.jointRoles?.[role] !== undefined) {
      roles[role] = integer(spec.jointRoles[role], "head.jointRoles", joints.length - 1);
    }
  }
  const inverse = glb.floats(skin.inverseBindMatrices, 16, joints.length);
  const restJoints = new Float64Array(joints.length * 3);
  joints.forEach((_, j) => {
    for (let c = 0; c < 3; c++) restJoints[3 * j + c] = -inverse[16 * j + 12 + c];
  });
  return {
    edition: text(spec.edition, ""),
    contentHash: text(spec.contentHash, ""),
    vertexCount,
    faces,
    template: glb.floats(attributes.POSITION, 3).slice(0, 3 * vertexCount),
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
    weights: headWeights(glb, spec, attributes, vertexCount, joints.length),
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

function headWeights(glb: Glb, spec: Json, attributes: Json, vertices: number, joints: number): Influences {
  let influences: Influences;
  if (spec.lbsWeights !== undefined) {
    influences = csrFromDense(glb.floats(spec.lbsWeights, 1, vertices * joints), vertices, joints);
  } else {
    const sets = [];
    for (let i = 0; attributes[`JOINTS_${i}`] !== undefined; i++) {
      sets.push({
        joints: glb.integers(attributes[`JOINTS_${i}`], 4, undefined, joints),
        weights: glb.floats(attributes[`WEIGHTS_${i}`], 4),
      });
    }
    influences = csrFromInfluences(sets, vertices);
  }
  return influences.normalized();
}

// --- Layers ----------------------------------------------------------------------------------------------------------

function readLayer(glb: Glb, head: Head, entry: Json, index: number): Layer {
  choice(entry?.kind, `layers[${index}].kind`, ["splats"]);
  const primitive = onePrimitive(glb, entry.mesh, `layers[${index}].mesh`);
  const { attributes } = primitive;
  const splats = primitive.extensions?.[SPLATS];
  const own = splats?.extensions?.[EXTENSION] ?? fail(`layers[${index}]`);
  if (splats.colorSpace !== undefined) choice(splats.colorSpace, "colorSpace", ["srgb_rec709_display"]);
  const count = glb.count(attributes.POSITION, 3);
  const name = (attribute: string) => attributes[`${SPLATS}:${attribute}`];
  const binding = readBinding(glb, head, own.binding ?? fail("binding"), count);
  const rotations = glb.floats(name("ROTATION"), 4, count);
  const quats = new Float32Array(4 * count);
  for (let i = 0; i < count; i++) {
    quats.set([rotations[4 * i + 3], rotations[4 * i], rotations[4 * i + 1], rotations[4 * i + 2]], 4 * i);
  }
  const offset = own.binding.offset;
  const means =
    binding.kind === "skin"
      ? glb.floats(attributes.POSITION, 3)
      : offset === undefined
        ? new Float32Array(3 * count)
        : glb.floats(offset, 3, count);
  const scales = glb.floats(name("SCALE"), 3, count);
  const { sh, degree } = readHarmonics(glb, name, count);
  const layer: Layer = {
    name: text(entry.name, `layer ${index}`),
    count,
    binding,
    means,
    quats,
    scales,
    opacities: glb.floats(name("OPACITY"), 1, count),
    sh,
    degree,
    shFrame: choice(own.shFrame ?? "world", "shFrame", ["world", "head"]),
    dynamics: own.dynamics ? readDynamics(glb, own.dynamics, count) : null,
  };
  undoBinding(layer, head);
  return layer;
}

function readHarmonics(
  glb: Glb,
  name: (attribute: string) => Json,
  count: number,
): { sh: Float32Array; degree: number } {
  let degree = 0;
  while (degree < 3 && name(`SH_DEGREE_${degree + 1}_COEF_0`) !== undefined) degree++;
  const k = (degree + 1) ** 2;
  const sh = new Float32Array(count * k * 3);
  for (let band = 0, at = 0; band <= degree; band++) {
    for (let m = 0; m <= 2 * band; m++, at++) {
      const values = glb.floats(name(`SH_DEGREE_${band}_COEF_${m}`), 3, count);
      for (let i = 0; i < count; i++) {
        for (let c = 0; c < 3; c++) sh[(i * k + at) * 3 + c] = values[3 * i + c];
      }
    }
  }
  return { sh, degree };
}

function readBinding(glb: Glb, head: Head, spec: Json, count: number): FaceBinding | SkinBinding {
  if (choice(spec.kind, "binding.kind", ["face", "skin"]) === "face") {
    const canonical = spec.canonicalVertices;
    const binding: FaceBinding = {
      kind: "face",
      face: glb.integers(spec.face, 1, count, head.faces.length / 3),
      barycentric: glb.floats(spec.barycentric, 2, count),
      frame: choice(spec.frame, "binding.frame", ["face", "vertex", "none"]),
      offsetScale: choice(spec.offsetScale, "binding.offsetScale", ["none", "edge_height", "double_area"]),
      splatScale: choice(spec.splatScale, "binding.splatScale", ["none", "edge_height", "log_area_ratio"]),
      canonical: canonical === undefined ? null : glb.floats(canonical, 3, head.vertexCount),
    };
    const needs = binding.frame === "vertex" || binding.splatScale === "log_area_ratio";
    return needs && !binding.canonical ? fail("binding.canonicalVertices") : binding;
  }
  const rotation = choice(spec.rotation ?? "none", "binding.rotation", ["none", "skin", "surface"]);
  if (spec.sharesVertices === true) {
    if (count !== head.vertexCount) fail("binding.sharesVertices");
    return { kind: "skin", vertex: Uint32Array.from({ length: count }, (_, i) => i), own: null, rotation };
  }
  if (spec.vertex !== undefined) {
    return { kind: "skin", vertex: glb.integers(spec.vertex, 1, count, head.vertexCount), own: null, rotation };
  }
  if (rotation === "surface") fail("binding.rotation");
  const joints = head.parents.length;
  const own: SkinTables = {
    expressions: directions(glb, spec.exprdirs, count, head.expressions.length),
    correctives: directions(glb, spec.posedirs, count, 36),
    eyelids: directions(glb, spec.eyeliddirs, count, 2),
    weights: csrFromDense(glb.floats(spec.lbsWeights, 1, count * joints), count, joints),
  };
  return { kind: "skin", vertex: null, own, rotation };
}

/** Split K * N rows into K directions of N. */
function directions(glb: Glb, accessor: Json, count: number, most: number): SparseRows[] {
  if (accessor === undefined) return [];
  const values = glb.floats(accessor, 3);
  const k = values.length / (3 * count);
  if (!Number.isInteger(k) || k > most) fail("binding's own blendshapes");
  return Array.from({ length: k }, (_, i) => ({
    rows: null,
    values: values.subarray(3 * count * i, 3 * count * (i + 1)),
  }));
}

function readDynamics(glb: Glb, spec: Json, count: number): LinearDynamics {
  const rank = integer(spec.rank, "dynamics.rank", 4096);
  const tables: Partial<Record<Channel, Float32Array>> = {};
  for (const [name, accessor] of Object.entries(spec.tables ?? fail("dynamics.tables"))) {
    const channel = choice(name, "dynamics.tables", Object.keys(CHANNELS) as Channel[]);
    const width = CHANNELS[channel];
    const values = glb.floats(accessor, 1, count * rank * width);
    const turned = new Float32Array(values.length);
    for (let i = 0, at = 0; i < count; i++) {
      for (let k = 0; k < rank; k++) {
        for (let c = 0; c < width; c++, at++) turned[(k * count + i) * width + c] = values[at];
      }
    }
    tables[channel] = turned;
  }
  return {
    space: choice(spec.space, "dynamics.space", ["canonical", "posed"]),
    driver: list(spec.driver, "dynamics.driver").map((name) => text(name, "")),
    mean: spec.driverMean === undefined ? null : glb.floats(spec.driverMean, 1),
    rank,
    tables,
  };
}
