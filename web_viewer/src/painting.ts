/**
 * Painting an avatar while it plays: colours and opacities of Gaussians from an image on the head's UV layout, the head's own
 * albedo, and the images of mesh layers. What is painted is the avatar's own data: every player that loads it later shows it.
 */
import type { Avatar, Head, Layer, LayerImage, MeshLayer } from "./avatar/avatar.ts";
import { imageSize } from "./avatar/image_size.ts";
import type { AvatarRenderer } from "./device.ts";
import { AvatarFormatError, DeviceError } from "./errors.ts";

/** What a map says about Gaussians: `color`, display sRGB; `opacity`, its red channel. */
export type PaintedMap = "color" | "opacity";

/** Pixels, RGBA bytes or 0..255, rows from the top. */
export interface Pixels {
  width: number;
  height: number;
  data: ArrayLike<number>;
}

const SH_C0 = 0.28209479177387814;
const COLOR_SPACE = { colorSpaceConversion: "none", premultiplyAlpha: "none" } as const;

/** The name that `Player.setTexture` has for the head's own image. */
export const ALBEDO = "albedo";
/** Pixels along an axis of an albedo where the file has none, and of any picture at most. */
const ALBEDO_SIZE = 1024;
const MOST = 8192;

/** What layers were before they were painted. */
const originals = new WeakMap<Layer, { opacities: Float32Array; sh: Float32Array }>();
/** Heads' images that were replaced. */
const albedos = new WeakMap<Avatar, ImageBitmap>();

/** Return the picture that took the place of the head's own image; null where none did. */
export function albedoOf(avatar: Avatar): ImageBitmap | null {
  return albedos.get(avatar) ?? null;
}

/**
 * Return where each Gaussian of a layer is on the head's UV layout, N * 2; null where the head has none, or where the layer
 * rides it by tables of its own.
 *
 * On triangles: the corners' coordinates at the Gaussian's place. On vertices: the vertex's, of the first triangle that has it.
 */
export function uvsOf(head: Head, layer: Layer): Float32Array | null {
  const { cornerUvs, faces, vertexCount } = head;
  const { binding, count } = layer;
  if (!cornerUvs) return null;
  const out = new Float32Array(2 * count);
  if (binding.kind === "face") {
    for (let i = 0; i < count; i++) {
      const [u, v] = [binding.barycentric[2 * i], binding.barycentric[2 * i + 1]];
      const at = 6 * binding.face[i];
      for (let c = 0; c < 2; c++) {
        out[2 * i + c] = u * cornerUvs[at + c] + v * cornerUvs[at + 2 + c] + (1 - u - v) * cornerUvs[at + 4 + c];
      }
    }
    return out;
  }
  if (!binding.vertex) return null;
  const corner = new Int32Array(vertexCount).fill(-1);
  for (let k = faces.length - 1; k >= 0; k--) corner[faces[k]] = k;
  for (let i = 0; i < count; i++) {
    const k = corner[binding.vertex[i]];
    if (k >= 0) out.set(cornerUvs.subarray(2 * k, 2 * k + 2), 2 * i);
  }
  return out;
}

/**
 * Paint a layer of Gaussians with a map, or, with null, make it again what the file says.
 *
 * The map is sampled bilinearly between texel centres, held at the borders. `color` becomes the colour seen from everywhere;
 * harmonics of higher degrees stay and are added to it, as they were to the colour before.
 */
export function paintGaussians(head: Head, layer: Layer, map: PaintedMap, pixels: Pixels | null): void {
  const before = remember(layer);
  const stride = 3 * (layer.degree + 1) ** 2;
  const uvs = uvsOf(head, layer);
  if (!uvs) throw new AvatarFormatError(`Layer “${layer.name}” has no place on the head's UV layout to be painted by.`);
  const sample = new Float64Array(3);
  for (let i = 0; i < layer.count; i++) {
    if (pixels) {
      look(pixels, uvs[2 * i], uvs[2 * i + 1], sample);
      setPaint(layer, i, map, sample);
    } else if (map === "opacity") layer.opacities[i] = before.opacities[i];
    else for (let c = 0; c < 3; c++) layer.sh[i * stride + c] = before.sh[i * stride + c];
  }
}

/** Keep what a layer is, before it is painted for the first time. */
export function remember(layer: Layer): { opacities: Float32Array; sh: Float32Array } {
  const before = originals.get(layer) ?? { opacities: layer.opacities.slice(), sh: layer.sh.slice() };
  originals.set(layer, before);
  return before;
}

/** Write what a map says about Gaussian `i`, 0..1: its colour without what depends on where it is seen from, or its opacity thrice. */
export function paintOf({ sh, opacities, degree }: Layer, i: number, map: PaintedMap, out: Float64Array): void {
  const at = 3 * (degree + 1) ** 2 * i;
  for (let c = 0; c < 3; c++) out[c] = map === "opacity" ? opacities[i] : 0.5 + SH_C0 * sh[at + c];
}

/** Take what a map says about Gaussian `i`; the inverse of `paintOf`. */
export function setPaint({ sh, opacities, degree }: Layer, i: number, map: PaintedMap, paint: ArrayLike<number>): void {
  const at = 3 * (degree + 1) ** 2 * i;
  if (map === "opacity") opacities[i] = paint[0];
  else for (let c = 0; c < 3; c++) sh[at + c] = (paint[c] - 0.5) / SH_C0;
}

/** Write red, green and blue, 0..1, of an image at (u, v), as `formats.mesh_shading.sample_bilinear`. */
function look({ width, height, data }: Pixels, u: number, v: number, out: Float64Array): void {
  const [x, y] = [u * width - 0.5, v * height - 0.5];
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [fx, fy] = [x - left, y - top];
  const clip = (n: number, most: number) => Math.min(Math.max(n, 0), most - 1);
  const [x0, x1] = [clip(left, width), clip(left + 1, width)];
  const [y0, y1] = [clip(top, height), clip(top + 1, height)];
  for (let c = 0; c < 3; c++) {
    const upper = data[4 * (y0 * width + x0) + c] * (1 - fx) + data[4 * (y0 * width + x1) + c] * fx;
    const lower = data[4 * (y1 * width + x0) + c] * (1 - fx) + data[4 * (y1 * width + x1) + c] * fx;
    out[c] = (upper * (1 - fy) + lower * fy) / 255;
  }
}

/** Return the pixels of a picture, as it is stored. */
export async function pixelsOf(picture: ImageBitmapSource): Promise<ImageData> {
  if (picture instanceof ImageData) return picture;
  const bitmap = await bitmapOf(picture);
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new DeviceError("This browser cannot read the pixels of a picture.");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/** Decode a picture without a colour conversion, and scale it where a size is asked for. */
async function bitmapOf(picture: ImageBitmapSource, size?: [number, number]): Promise<ImageBitmap> {
  const scaled = size && { resizeWidth: size[0], resizeHeight: size[1], resizeQuality: "high" as const };
  const bitmap = await createImageBitmap(picture, { ...COLOR_SPACE, ...scaled }).catch(() => {
    const name = picture instanceof File ? picture.name : "This";
    throw new AvatarFormatError(`${name} is no picture that this browser reads; save it as PNG, JPEG or WebP.`);
  });
  if (Math.max(bitmap.width, bitmap.height) > MOST) {
    const told = `${bitmap.width} x ${bitmap.height}`;
    bitmap.close();
    throw new AvatarFormatError(`A picture of ${told} pixels is too large for a map; scale it to at most ${MOST}.`);
  }
  return bitmap;
}

/**
 * Return the names of the images that can be replaced: `albedo`, the head's own, where it has texture coordinates; of mesh
 * layers `LAYER`, of one that is textured, and `LAYER/base0` and on, `LAYER/alpha`, `LAYER/features0` and on of one that is shaded.
 */
export function texturesOf(avatar: Avatar): string[] {
  const layers = avatar.meshes.flatMap((mesh) => {
    const mix = mesh.shading;
    if (!mix) return [mesh.name];
    const some = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${mesh.name}/${what}${i}`);
    return [
      ...some("base", mix.bases.length),
      ...(mix.alpha ? [`${mesh.name}/alpha`] : []),
      ...some("features", mix.features.length),
    ];
  });
  return avatar.head.cornerUvs && !layers.includes(ALBEDO) ? [ALBEDO, ...layers] : layers;
}

/** Where an image of `texturesOf` is: the mesh layer, the sampler's name in its shader, which image of it, and the file's own. */
export interface TexturePlace {
  mesh: MeshLayer;
  sampler: string;
  index: number;
  image: LayerImage;
}

/** Return where an image of a mesh layer is. */
export function findTexture(avatar: Avatar, name: string): TexturePlace {
  for (const mesh of avatar.meshes) {
    const part = name === mesh.name ? "" : name.startsWith(`${mesh.name}/`) ? name.slice(mesh.name.length + 1) : null;
    const match = part === null ? null : /^(base|features|alpha|)(\d*)$/.exec(part);
    if (!match || !texturesOf(avatar).includes(name)) continue;
    const sampler = { base: "bases", features: "features", alpha: "shade", "": "painted" }[match[1]]!;
    const index = Number(match[2] || 0);
    const mix = mesh.shading;
    const image = { base: mix?.bases[index], features: mix?.features[index], alpha: mix?.alpha, "": mesh.texture };
    return { mesh, sampler, index, image: image[match[1] as keyof typeof image]! };
  }
  throw new AvatarFormatError(
    `The avatar has no texture “${name}”; it has ${texturesOf(avatar).join(", ") || "none"}.`,
  );
}

/** Return an image of the avatar as it is shown now, and null where the file has none: an albedo that nobody painted yet. */
export async function textureOf(avatar: Avatar, name: string): Promise<ImageBitmap | ImageData | null> {
  const { decodeOne } = await import("./gl/image_array.ts");
  const found = isAlbedo(avatar, name) ? null : findTexture(avatar, name);
  const painted = found ? found.mesh.painted.get(`${found.sampler}/${found.index}`) : albedoOf(avatar);
  // The caller may close what it gets.
  if (painted) return createImageBitmap(painted, COLOR_SPACE);
  const image = found ? found.image : avatar.headTexture;
  return image && decodeOne(image);
}

function isAlbedo(avatar: Avatar, name: string): boolean {
  return name === ALBEDO && texturesOf(avatar)[0] === ALBEDO;
}

/** Return width and height of an image of the avatar. */
export function textureSize(avatar: Avatar, name: string): [number, number] {
  if (!isAlbedo(avatar, name)) return findTexture(avatar, name).mesh.imageSize;
  return avatar.headTexture ? imageSize(avatar.headTexture) : [ALBEDO_SIZE, ALBEDO_SIZE];
}

/** Replace an image; it is scaled to the size of the one it replaces. Null: the one that the file has again. */
export async function paintTexture(
  avatar: Avatar,
  renderer: AvatarRenderer,
  name: string,
  picture: ImageBitmapSource | null,
): Promise<void> {
  const size = textureSize(avatar, name);
  if (isAlbedo(avatar, name)) {
    const scaled = picture && (await bitmapOf(picture, size));
    albedoOf(avatar)?.close();
    if (scaled) albedos.set(avatar, scaled);
    else albedos.delete(avatar);
    return;
  }
  const { mesh, sampler, index, image } = findTexture(avatar, name);
  if (!renderer.setTexture) throw new DeviceError("What draws this avatar cannot change its textures.");
  const { decodeOne } = await import("./gl/image_array.ts");
  const own = picture ? null : await decodeOne(image);
  const scaled = await bitmapOf(picture ?? own!, size);
  if (own instanceof ImageBitmap) own.close();
  const key = `${sampler}/${index}`;
  mesh.painted.get(key)?.close();
  if (picture) mesh.painted.set(key, scaled);
  else mesh.painted.delete(key);
  await renderer.setTexture(avatar.meshes.indexOf(mesh), sampler, index, scaled);
  if (!picture) scaled.close();
}

/** Paint one layer of Gaussians, or all that have a place on the UV layout, and show it. */
export async function paintMap(
  avatar: Avatar,
  renderer: AvatarRenderer,
  map: PaintedMap,
  picture: ImageBitmapSource | null,
  name: string | null,
): Promise<void> {
  const pixels = picture && (await pixelsOf(picture));
  if (!renderer.repaint) throw new DeviceError("What draws this avatar cannot change its colours.");
  const chosen = avatar.layers.filter((layer) => (name === null ? uvsOf(avatar.head, layer) : layer.name === name));
  if (!chosen.length) {
    throw new AvatarFormatError(
      name === null ? "The avatar's Gaussians have no place on a UV layout." : `The avatar has no Gaussians “${name}”.`,
    );
  }
  for (const layer of chosen) {
    paintGaussians(avatar.head, layer, map, pixels);
    renderer.repaint(avatar.layers.indexOf(layer));
  }
}
