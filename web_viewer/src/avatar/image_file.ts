/** Images that a GLB holds. */
import type { LayerImage } from "./avatar.ts";
import { choice } from "./fields.ts";
import type { Glb, Json } from "./glb.ts";

const IMAGES = ["image/png", "image/webp", "image/ktx2"] as const;

/** Return the image that a primitive is textured with; null without. */
export function baseColor(glb: Glb, primitive: Json): LayerImage | null {
  if (primitive.material === undefined) return null;
  const index = glb.item("materials", primitive.material).pbrMetallicRoughness?.baseColorTexture?.index;
  if (index === undefined) return null;
  const { source, extensions = {} } = glb.item("textures", index);
  const other = extensions.EXT_texture_webp ?? extensions.KHR_texture_basisu;
  return imageAt(glb, other?.source ?? source, "baseColorTexture");
}

/** Return entry `index` of the file's images. */
export function imageAt(glb: Glb, index: Json, where: string): LayerImage {
  const { bufferView, mimeType } = glb.item("images", index);
  return { bytes: glb.bytes(bufferView, where), type: choice(mimeType, where, IMAGES) };
}
