/** Mesh layers of a GLB (`exporter/GLB.md`, 1.4). */

import { AvatarFormatError } from "../errors.ts";
import type { BasisMix, Head, MeshLayer } from "./avatar.ts";
import { choice, EXTENSION, fail, integer, list, onePrimitive, text } from "./fields.ts";
import type { Glb, Json } from "./glb.ts";
import { gather, influencesIn, inMetres, readPlaces, unitOf } from "./head_file.ts";
import { baseColor, imageAt } from "./image_file.ts";
import { imageSize } from "./image_size.ts";

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
  const pictures = (name: string) =>
    list(spec[name], `${where}.${name}`).map((i) => imageAt(glb, i, `${where}.${name}`));
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
    alpha: opaque ? null : imageAt(glb, spec.alpha, `${where}.alpha`),
    hidden: integer(spec.hidden, `${where}.hidden`, MOST),
    temperature,
    space: choice(spec.space, `${where}.space`, ["view", "world"]),
  };
}
