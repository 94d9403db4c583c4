/** How much of a GLB a first picture takes; `exporter/glb_order.py` puts that at the front. */
import { EXTENSION, SPLATS } from "./fields.ts";
import type { Glb, Json } from "./glb.ts";

const MESHOPT = "EXT_meshopt_compression";
const HEAD = ["seamSources", "vertexOrder", "jointExprdirs", "lbsWeights", "arkitMap"];
const LAYER = [
  "POSITION",
  ...["ROTATION", "SCALE", "OPACITY", "SH_DEGREE_0_COEF_0"].map((name) => `${SPLATS}:${name}`),
];
const BINDING = ["face", "barycentric", "offset", "canonicalVertices", "localRotation", "vertex"];
const TABLES = ["exprdirs", "posedirs", "eyeliddirs", "lbsWeights"];

/**
 * Return where in the file the last byte of a first picture is, as its JSON has it. No more than a guess: reading may find
 * that it takes more, and a stranger's JSON may break this in any way.
 */
export function firstBytes({ json, binaryAt }: Glb): number {
  let end = 0;
  const bytes = (index: Json) => {
    if (index === undefined) return;
    const view = json.bufferViews[index];
    const { byteOffset = 0, byteLength } = view.extensions?.[MESHOPT] ?? view;
    end = Math.max(end, byteOffset + byteLength);
  };
  const numbers = (index: Json) => {
    if (index === undefined) return;
    const { bufferView, sparse } = json.accessors[index];
    bytes(bufferView);
    bytes(sparse?.indices.bufferView);
    bytes(sparse?.values.bufferView);
  };
  const named = (entry: Json, names: string[]) => {
    for (const name of names) numbers(entry?.[name]);
  };
  const primitiveOf = (mesh: Json) => json.meshes[mesh].primitives[0];
  const { head, layers } = json.extensions[EXTENSION];
  const { attributes, indices, targets = [] } = primitiveOf(head.mesh);
  numbers(indices);
  for (const name of Object.keys(attributes)) if (/^(POSITION|JOINTS|WEIGHTS)/.test(name)) numbers(attributes[name]);
  for (const target of targets) numbers(target.POSITION);
  numbers(json.skins[head.skin].inverseBindMatrices);
  named(head, HEAD);
  for (const { mesh } of layers) {
    const primitive = primitiveOf(mesh);
    const { order, binding } = primitive.extensions[SPLATS].extensions[EXTENSION];
    named(primitive.attributes, LAYER);
    numbers(order);
    named(binding, binding.tables ? [...BINDING, "lbsWeights"] : [...BINDING, ...TABLES]);
    named(binding.tables, ["coefficients", "basis"]);
  }
  return binaryAt + end;
}
