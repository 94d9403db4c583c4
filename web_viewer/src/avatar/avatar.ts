/** From a GLB with the `FLAMEPORT_avatar` extension (`exporter/GLB.md`) to typed tables. */

import { readClip, type Sequence } from "../driving/sequence.ts";
import { AvatarFormatError } from "../errors.ts";
import type { StrandDetail } from "../gl/strand_detail.ts";
import type { Channel } from "../posing/dynamics.ts";
import type { BoundLayer } from "../posing/rest.ts";
import type { Influences } from "../posing/skinning.ts";
import type { FRAMES } from "../posing/surface.ts";
import { choice, EXTENSION, fail, list, onePrimitive, SPLATS, text } from "./fields.ts";
import { Glb, type Json, type SparseRows } from "./glb.ts";
import { readHead, readHeadSurface } from "./head_file.ts";
import { baseColor } from "./image_file.ts";
import { readLayer, readLayerDetail } from "./splat_layers.ts";

/** Extensions a GLB may require and we read. */
const KNOWN = [
  EXTENSION,
  SPLATS,
  "KHR_mesh_quantization",
  "KHR_materials_unlit",
  "EXT_texture_webp",
  "KHR_texture_basisu",
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
  /** F * 3 * 2: texture coordinates of each triangle's corners, (0, 0) the image's top left; null without. */
  cornerUvs: Float32Array | null;
  /** V * 3, linear light as glTF has it; null without. */
  vertexColors: Float32Array | null;
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

/**
 * delta[n] = sum_k table[k][n] c_k; tables are stored k-major here, for the loops that read them.
 *
 * What a network moves has this form too: rank 1, c = 1, and tables that are `live`.
 */
export interface LinearDynamics {
  space: "canonical" | "posed";
  driver: string[];
  mean: Float32Array | null;
  rank: number;
  tables: Partial<Record<Channel, Float32Array>>;
  /** Name of the network that makes the coefficients, or, of live dynamics, the tables; null: the driver's numbers are c. */
  network: string | null;
  /** What makes the coefficients instead; absent: the network does, or the driver's numbers are c. */
  fitted?: CoefficientFunction;
  /** The tables are what the network said last: a renderer reads them again after every pose. */
  live: boolean;
}

/**
 * c = bias + linear y + outer tanh(inner y + innerBias), y the driver less its mean, held within low..high
 * (`formats.coefficient_function`). Matrices row after row.
 */
export interface CoefficientFunction {
  /** K * D. */
  linear: Float32Array;
  /** K. */
  bias: Float32Array;
  /** H * D; no numbers without a hidden layer, as in the two below. */
  inner: Float32Array;
  innerBias: Float32Array;
  /** K * H. */
  outer: Float32Array;
  /** D: what the function was fitted to. */
  low: Float32Array;
  high: Float32Array;
}

/** Strands as Gaussians, one per segment, strand after strand: what turns and stretches them (`formats.deform.deform_strands`). */
export interface Strands {
  /** M; each strand has `points` - 1 Gaussians. */
  count: number;
  points: number;
  /** Standard deviation along a segment, in its lengths. */
  segmentScale: number;
  /** N * 3: from a segment's first point to its second, in the binding's offset units. */
  steps: Float32Array;
  /** Chooses how many of them a view draws; brought by their reader, so that no other avatar loads it. */
  Detail: typeof StrandDetail;
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
  /**
   * Of strands; null of other layers. Their `quats` point +x along the local step, their `scales` are (`segmentScale` times
   * its length in the binding's offset units, width, width in metres): the offset's gain multiplies the first number only.
   */
  strands: Strands | null;
  /** N * C, what the decoder's feature image is drawn with: what its network said last. Null without. */
  features: Float32Array | null;
}

/** An image as the file holds it. */
export interface LayerImage {
  bytes: Uint8Array<ArrayBuffer>;
  type: "image/png" | "image/webp" | "image/ktx2";
}

/** BakedAvatar's shading: a small network per pixel mixes radiance bases (`formats.avatar.BasisMix`). */
export interface BasisMix {
  /** Name of the network that gives `shading_weights`. */
  network: string;
  bases: LayerImage[];
  features: LayerImage[];
  featureChannels: 1 | 3;
  featureCount: number;
  /** A feature is min + (max - min) byte / 255; `featureCount` numbers each. */
  featureMin: Float32Array;
  featureMax: Float32Array;
  /** Red is the layer's alpha; null of an opaque layer. */
  alpha: LayerImage | null;
  hidden: number;
  temperature: number;
  space: "view" | "world";
}

/** A textured mesh that rides the head with tables of its own; drawn in the avatar's order, innermost first. */
export interface MeshLayer {
  name: string;
  vertexCount: number;
  /** V * 3, rest space, metres; and unit normals. */
  vertices: Float32Array;
  normals: Float32Array;
  tables: SkinTables;
  /** Per vertex that is drawn (seams have several): which of V it is, and its texture coordinates (two numbers). */
  drawn: Uint32Array;
  uvs: Float32Array;
  /** Three drawn vertices each, counter-clockwise seen from outside. */
  triangles: Uint32Array;
  opaque: boolean;
  /** RGBA, display sRGB, straight alpha; where there is a `shading`, a fallback that nothing here draws. */
  texture: LayerImage | null;
  shading: BasisMix | null;
  /** Width and height of all its images. */
  imageSize: [number, number];
  /** Images that were replaced (`painting.ts`), by sampler and place. */
  painted: Map<string, ImageBitmap>;
}

/** A tensor that goes into or comes out of a network; null: any size will do. */
export interface Port {
  name: string;
  shape: (number | null)[];
}

/** An ONNX graph (`formats.avatar.Network`). */
export interface Network {
  name: string;
  onnx: Uint8Array<ArrayBuffer>;
  inputs: Port[];
  outputs: Port[];
  space: "canonical" | "posed";
}

/** The network that makes the picture out of a feature image. */
export interface Decoder {
  network: Network;
  /** Pixels of the picture for each pixel of the feature image, along an axis. */
  scale: number;
  /** C of the feature image. */
  channels: number;
}

export interface Avatar {
  name: string;
  grade: string;
  system: string;
  paper: string;
  licenseNotices: string[];
  head: Head;
  /** What the head's mesh is textured with, for those who show it; players do not. */
  headTexture: LayerImage | null;
  /** Everything that is drawn as Gaussians, strands too. */
  layers: Layer[];
  /** Innermost first. */
  meshes: MeshLayer[];
  networks: Map<string, Network>;
  decoder: Decoder | null;
  /** All Gaussians. */
  count: number;
  /** The clip that came with the avatar. */
  clip: Sequence | null;
  /** There while only what a first picture takes has come (`LoadOptions.first`). */
  partial?: true;
}

/** What reads mesh layers, strands and networks: `rare_layers.ts`, a chunk that most avatars never need. */
export type RareReaders = typeof import("./rare_layers.ts");

/** Tell whether reading a GLB takes the rare readers. */
export function needsRareReaders({ json }: Glb): boolean {
  const root = json?.extensions?.[EXTENSION];
  const layers = Array.isArray(root?.layers) ? root.layers : [];
  return root?.networks !== undefined || layers.some((entry: Json) => ["mesh", "strands"].includes(entry?.kind));
}

/** Return the avatar of splats in a GLB; `loadAvatar` reads every avatar. */
export function readAvatar(buffer: ArrayBuffer): Avatar {
  return readGlb(Glb.parse(buffer), null);
}

/** Return the avatar in a GLB; `rare` where `needsRareReaders`. */
export function readGlb(glb: Glb, rare: RareReaders | null): Avatar {
  const avatar = readFirst(glb, rare);
  readRest(glb, avatar, rare);
  return avatar;
}

/** Return what a first picture takes: the head, and Gaussians in their base colours. */
export function readFirst(glb: Glb, rare: RareReaders | null): Avatar {
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
  const layers: Layer[] = [];
  const meshes: MeshLayer[] = [];
  list(root.layers, "layers").forEach((entry, i) => {
    const kind = choice(entry?.kind, `layers[${i}].kind`, ["splats", "mesh", "strands"]);
    if (kind === "splats") layers.push(readLayer(glb, head, entry, i));
    else if (!rare) throw new AvatarFormatError(`layers[${i}] is of kind ${kind}, which loadAvatar reads.`);
    else if (kind === "mesh") meshes.push(rare.readMeshLayer(glb, root.head, head, entry, i));
    else layers.push(rare.readStrands(glb, head, entry, i));
  });
  const meta = root.meta ?? {};
  return {
    name: text(meta.name, "avatar"),
    grade: text(root.grade, ""),
    system: text(meta.system, ""),
    paper: text(meta.paper, ""),
    licenseNotices: list(meta.licenseNotices ?? [], "meta.licenseNotices").map((notice) => text(notice, "")),
    head,
    headTexture: null,
    layers,
    meshes,
    networks: new Map(),
    decoder: null,
    count: layers.reduce((sum, layer) => sum + layer.count, 0),
    clip: null,
    partial: true,
  };
}

/** Read everything else into an avatar of which `readFirst` made the beginning. */
export function readRest(glb: Glb, avatar: Avatar, rare: RareReaders | null): void {
  const root = glb.json.extensions[EXTENSION];
  const { head, layers, meshes } = avatar;
  let l = 0;
  root.layers.forEach((entry: Json, i: number) => {
    if (entry.kind === "splats") readLayerDetail(glb, entry, i, layers[l]);
    if (entry.kind !== "mesh") l++;
  });
  if (rare) {
    avatar.networks = rare.readNetworks(glb, root.networks);
    avatar.decoder = rare.joinNetworks(avatar.networks, head, layers, meshes, root);
  } else if (layers.some((layer) => layer.dynamics?.network) || root.decoder !== undefined) fail("networks");
  readHeadSurface(glb, root.head, head);
  avatar.headTexture = baseColor(glb, onePrimitive(glb, root.head.mesh, "head.mesh"));
  if (root.clip) avatar.clip = readClip(glb, root.clip, root.head, head);
  delete avatar.partial;
}
