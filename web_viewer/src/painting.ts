/**
 * Painting an avatar while it plays: colours and opacities of Gaussians from an image on the head's UV layout, and the images
 * of mesh layers. What is painted is the avatar's own data: every player that loads it later shows it.
 */
import type { Avatar, Head, Layer, MeshLayer } from "./avatar/avatar.ts";
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

/** What layers were before they were painted. */
const originals = new WeakMap<Layer, { opacities: Float32Array; sh: Float32Array }>();

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
  const before = originals.get(layer) ?? { opacities: layer.opacities.slice(), sh: layer.sh.slice() };
  originals.set(layer, before);
  const stride = 3 * (layer.degree + 1) ** 2;
  const uvs = uvsOf(head, layer);
  if (!uvs) throw new AvatarFormatError(`Layer “${layer.name}” has no place on the head's UV layout to be painted by.`);
  const sample = new Float64Array(3);
  for (let i = 0; i < layer.count; i++) {
    if (pixels) look(pixels, uvs[2 * i], uvs[2 * i + 1], sample);
    if (map === "opacity") layer.opacities[i] = pixels ? sample[0] : before.opacities[i];
    else {
      for (let c = 0; c < 3; c++) {
        const at = i * stride + c;
        layer.sh[at] = pixels ? (sample[c] - 0.5) / SH_C0 : before.sh[at];
      }
    }
  }
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
export async function pixelsOf(picture: ImageBitmapSource): Promise<Pixels> {
  if (picture instanceof ImageData) return picture;
  const bitmap = await createImageBitmap(picture, COLOR_SPACE);
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new DeviceError("This browser cannot read the pixels of a picture.");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/**
 * Return the names of the images that mesh layers have: `LAYER` of one that is textured; `LAYER/base0` and on, `LAYER/alpha`,
 * `LAYER/features0` and on of one that is shaded.
 */
export function texturesOf(avatar: Avatar): string[] {
  return avatar.meshes.flatMap((mesh) => {
    const mix = mesh.shading;
    if (!mix) return [mesh.name];
    const some = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${mesh.name}/${what}${i}`);
    return [
      ...some("base", mix.bases.length),
      ...(mix.alpha ? [`${mesh.name}/alpha`] : []),
      ...some("features", mix.features.length),
    ];
  });
}

/** Where one of `texturesOf` is: the mesh layer, the sampler's name in its shader, and which image of it. */
export function findTexture(avatar: Avatar, name: string): { mesh: MeshLayer; sampler: string; index: number } {
  for (const mesh of avatar.meshes) {
    const part = name === mesh.name ? "" : name.startsWith(`${mesh.name}/`) ? name.slice(mesh.name.length + 1) : null;
    const match = part === null ? null : /^(base|features|alpha|)(\d*)$/.exec(part);
    if (!match || !texturesOf(avatar).includes(name)) continue;
    const sampler = { base: "bases", features: "features", alpha: "shade", "": "painted" }[match[1]]!;
    return { mesh, sampler, index: Number(match[2] || 0) };
  }
  throw new AvatarFormatError(
    `The avatar has no texture “${name}”; it has ${texturesOf(avatar).join(", ") || "none"}.`,
  );
}

/** Replace an image of a mesh layer; it is scaled to the size of the one it replaces. */
export async function paintTexture(
  avatar: Avatar,
  renderer: AvatarRenderer,
  name: string,
  picture: ImageBitmapSource,
): Promise<void> {
  const { mesh, sampler, index } = findTexture(avatar, name);
  if (!renderer.setTexture) throw new DeviceError("What draws this avatar cannot change its textures.");
  const [width, height] = mesh.imageSize;
  const scaled = await createImageBitmap(picture, {
    ...COLOR_SPACE,
    resizeWidth: width,
    resizeHeight: height,
    resizeQuality: "high",
  });
  const key = `${sampler}/${index}`;
  mesh.painted.get(key)?.close();
  mesh.painted.set(key, scaled);
  await renderer.setTexture(avatar.meshes.indexOf(mesh), sampler, index, scaled);
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
