/** Mesh layers of a GLB, and posing them (`exporter/GLB.md`, 1.4; `formats.deform.deform_mesh`). */
import type { BasisMix, Head, LayerImage, MeshLayer } from "./avatar.ts";
import { onOwnTables } from "./binding.ts";
import { AvatarFormatError } from "./errors.ts";
import { choice, EXTENSION, fail, integer, list, onePrimitive, text } from "./fields.ts";
import type { Glb, Json } from "./glb.ts";
import type { HeadPoser } from "./head.ts";
import { gather, influencesIn, inMetres, readPlaces, unitOf } from "./head_file.ts";
import { imageSize } from "./image_size.ts";
import type { Pose } from "./pose.ts";

const IMAGES = ["image/png", "image/webp", "image/ktx2"] as const;
/** Networks with more are not run per pixel. */
const MOST = 256;

/** Return the mesh layer that `entry` of `layers` names; `headSpec` is the head's own entry. */
export function readMeshLayer(glb: Glb, headSpec: Json, head: Head, entry: Json, index: number): MeshLayer {
  const where = `layers[${index}]`;
  const primitive = onePrimitive(glb, entry.mesh, `${where}.mesh`);
  const { attributes } = primitive;
  const own = primitive.extensions?.[EXTENSION] ?? fail(where);
  const stored = glb.count(attributes?.POSITION, 3);
  const vertexCount = integer(own.vertexCount, `${where}.vertexCount`, stored);
  const places = readPlaces(glb, own.vertexOrder, vertexCount);
  const drawn = Uint32Array.from({ length: stored }, (_, i) => (places && i < vertexCount ? places.order[i] : i));
  if (stored > vertexCount) {
    drawn.set(glb.integers(own.seamSources, 1, stored - vertexCount, vertexCount), vertexCount);
  }
  const triangles = glb.integers(primitive.indices, 1, undefined, stored);
  if (triangles.length % 3) fail(`${where}.mesh`);

  const joints = head.parents.length;
  const skin = glb.item("skins", glb.item("nodes", entry.node).skin);
  const named = list(skin.joints, `${where}.skin`).length;
  if (named < joints || named > joints + 1) fail(`${where}.skin`);
  const unit = unitOf(glb.floats(glb.item("skins", headSpec.skin).inverseBindMatrices, 16, joints));
  const targets = list(primitive.targets ?? [], `${where}.targets`).map((target) =>
    inMetres(glb.sparseRows(target.POSITION, stored, vertexCount), unit, places),
  );
  const [e, l] = [head.expressions.length, head.eyelids.length];
  if (targets.length !== e + l + head.correctives.length) {
    throw new AvatarFormatError(
      `${where}: its mesh has ${targets.length} targets, the head ${e + l + head.correctives.length}.`,
    );
  }
  const vertices = glb.floats(attributes.POSITION, 3).slice(0, 3 * vertexCount);
  for (let i = 0; i < vertices.length; i++) vertices[i] *= unit;
  const normals = glb.floats(attributes.NORMAL, 3, stored).subarray(0, 3 * vertexCount);
  const opaque = own.opaque === true;
  const shading = own.shading === undefined ? null : readShading(glb, own.shading, `${where}.shading`, opaque);
  const texture = baseColor(glb, primitive);
  if (!shading && !texture) fail(`${where}.baseColorTexture`);
  return {
    name: text(entry.name, `layer ${index}`),
    vertexCount,
    vertices: gather(vertices, 3, places),
    normals: unitRows(gather(normals, 3, places)),
    tables: {
      expressions: targets.slice(0, e),
      eyelids: targets.slice(e, e + l),
      correctives: targets.slice(e + l),
      weights: influencesIn(glb, own, attributes, vertexCount, joints, named, places),
    },
    drawn,
    uvs: glb.floats(attributes.TEXCOORD_0, 2, stored),
    triangles,
    opaque,
    texture,
    shading,
    imageSize: imageSize(shading ? shading.bases[0] : texture!),
    painted: new Map(),
  };
}

function unitRows(rows: Float32Array): Float32Array {
  const out = rows.slice();
  for (let i = 0; i < out.length; i += 3) {
    const length = Math.hypot(out[i], out[i + 1], out[i + 2]) || 1;
    for (let c = 0; c < 3; c++) out[i + c] /= length;
  }
  return out;
}

function readShading(glb: Glb, spec: Json, where: string, opaque: boolean): BasisMix {
  choice(spec.kind, `${where}.kind`, ["basis-mix"]);
  const pictures = (name: string) => list(spec[name], `${where}.${name}`).map((i) => image(glb, i, `${where}.${name}`));
  const bases = pictures("bases");
  const features = pictures("features");
  const featureCount = integer(spec.featureCount, `${where}.featureCount`, MOST);
  const featureChannels = spec.featureChannels === 1 || spec.featureChannels === 3 ? spec.featureChannels : 0;
  if (!featureChannels || features.length !== Math.ceil(featureCount / featureChannels)) fail(`${where}.features`);
  if (bases.length < 1 || bases.length > MOST) fail(`${where}.bases`);
  const range = (name: "min" | "max", fallback: number) => {
    const values = spec.featureRange?.[name] ?? Array(featureCount).fill(fallback);
    const good = Array.isArray(values) && values.length === featureCount && values.every(Number.isFinite);
    return good ? Float32Array.from(values) : fail(`${where}.featureRange`);
  };
  const temperature = Number.isFinite(spec.temperature) ? spec.temperature : fail(`${where}.temperature`);
  return {
    network: typeof spec.network === "string" ? spec.network : fail(`${where}.network`),
    bases,
    features,
    featureChannels: featureChannels as 1 | 3,
    featureCount,
    featureMin: range("min", 0),
    featureMax: range("max", 1),
    alpha: opaque ? null : image(glb, spec.alpha, `${where}.alpha`),
    hidden: integer(spec.hidden, `${where}.hidden`, MOST),
    temperature,
    space: choice(spec.space, `${where}.space`, ["view", "world"]),
  };
}

/** Return the image that a primitive is textured with; null without. */
export function baseColor(glb: Glb, primitive: Json): LayerImage | null {
  if (primitive.material === undefined) return null;
  const index = glb.item("materials", primitive.material).pbrMetallicRoughness?.baseColorTexture?.index;
  if (index === undefined) return null;
  const { source, extensions = {} } = glb.item("textures", index);
  const other = extensions.EXT_texture_webp ?? extensions.KHR_texture_basisu;
  return image(glb, other?.source ?? source, "baseColorTexture");
}

function image(glb: Glb, index: Json, where: string): LayerImage {
  const { bufferView, mimeType } = glb.item("images", index);
  return { bytes: glb.bytes(bufferView, where), type: choice(mimeType, where, IMAGES) };
}

/** Poses one mesh layer again and again without allocating. */
export class MeshPoser {
  /** V * 3, world space; and unit normals. */
  readonly vertices: Float64Array;
  readonly normals: Float64Array;
  private readonly linear: Float64Array;
  private readonly place: (pose: Pose, out: Float64Array) => void;

  constructor(
    private readonly layer: MeshLayer,
    poser: HeadPoser,
  ) {
    this.vertices = new Float64Array(3 * layer.vertexCount);
    this.normals = new Float64Array(3 * layer.vertexCount);
    this.linear = new Float64Array(9 * layer.vertexCount);
    this.place = onOwnTables(layer.tables, poser, Float64Array.from(layer.vertices), this.linear);
  }

  pose(pose: Pose): void {
    this.place(pose, this.vertices);
    const { linear: m, normals } = this;
    const rest = this.layer.normals;
    for (let i = 0, k = 0; i < normals.length; i += 3, k += 9) {
      const [a, b, c] = [rest[i], rest[i + 1], rest[i + 2]];
      const x = m[k] * a + m[k + 1] * b + m[k + 2] * c;
      const y = m[k + 3] * a + m[k + 4] * b + m[k + 5] * c;
      const z = m[k + 6] * a + m[k + 7] * b + m[k + 8] * c;
      const length = Math.max(Math.sqrt(x * x + y * y + z * z), 1e-20);
      normals[i] = x / length;
      normals[i + 1] = y / length;
      normals[i + 2] = z / length;
    }
  }
}
