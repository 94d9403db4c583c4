/** A map of the avatar that a person edits: what Gaussians are painted by, or an image of the head or of a mesh layer. */
import type { Avatar, Layer } from "../avatar/avatar.ts";
import { AvatarFormatError } from "../errors.ts";
import { ALBEDO, type PaintedMap, pixelsOf, remember, textureOf, textureSize, texturesOf, uvsOf } from "../painting.ts";
import type { Player } from "../player.ts";
import { type Touch, touchGaussians, touchPixels } from "./brush.ts";
import { fileName } from "./files.ts";
import { mapOf } from "./map_pixels.ts";

/** A map that can be edited: its name in the page's files, and in words. */
export interface MapName {
  id: string;
  label: string;
  /** `texture`: an image of `Player.setTexture` with the name `id`. */
  kind: PaintedMap | "texture";
}

/** How much wider or higher a picture may be than a map, as a share. */
const SKEW = 0.02;
/** Bytes of maps that `undo` keeps, and steps at most. */
const KEPT = 64 << 20;
const STEPS_BACK = 12;
const GRAY = [128, 128, 128, 255];

/** Return the maps of an avatar, those of its Gaussians first. */
export function mapsOf(avatar: Avatar): MapName[] {
  const placed = avatar.layers.some((layer) => uvsOf(avatar.head, layer));
  const own: MapName[] = [
    { id: "color", label: "Gaussians’ colour", kind: "color" },
    { id: "opacity", label: "Gaussians’ opacity", kind: "opacity" },
  ];
  const images = texturesOf(avatar).map(
    (id): MapName => ({ id, label: id === ALBEDO ? "Mesh’s albedo" : id, kind: "texture" }),
  );
  return [...(placed ? own : []), ...images];
}

/** Return the map that a file's name names, `anna-albedo.png`; null where it names none. */
export function mapNamed(avatar: Avatar, file: string): MapName | null {
  const name = file.toLowerCase().replace(/\.\w+$/, "");
  const end = ({ id }: MapName) => fileName(id).toLowerCase();
  return mapsOf(avatar).find((map) => name === end(map) || name.endsWith(`-${end(map)}`)) ?? null;
}

/** What a map was before a stroke. */
interface Before {
  data: Uint8ClampedArray;
  /** Of each layer that it paints. */
  values: Float32Array[];
}

export class EditedMap {
  /** What is seen of it. */
  readonly canvas: OffscreenCanvas;
  private readonly context: OffscreenCanvasRenderingContext2D;
  private readonly steps: Before[] = [];
  /** Layers of Gaussians that it paints, with their places. */
  private readonly painted: { layer: Layer; uvs: Float32Array }[];
  /** What the card does not show yet. */
  private readonly dirty = new Set<Layer>();
  private sending: Promise<void> | null = null;

  private constructor(
    private readonly player: Player,
    private readonly avatar: Avatar,
    readonly name: MapName,
    private pixels: ImageData,
  ) {
    this.canvas = new OffscreenCanvas(pixels.width, pixels.height);
    this.context = this.canvas.getContext("2d")!;
    this.painted = avatar.layers.flatMap((layer) => {
      const uvs = name.kind === "texture" ? null : uvsOf(avatar.head, layer);
      return uvs ? [{ layer, uvs }] : [];
    });
    for (const { layer } of this.painted) remember(layer);
    this.context.putImageData(pixels, 0, 0);
  }

  /** Open a map of the player's avatar, as it is shown now. */
  static async open(player: Player, name: MapName): Promise<EditedMap> {
    const avatar = player.avatar!;
    return new EditedMap(player, avatar, name, await pixelsNow(avatar, name));
  }

  get size(): [number, number] {
    return [this.pixels.width, this.pixels.height];
  }

  get canUndo(): boolean {
    return this.steps.length > 0;
  }

  /** Return the colour at a place, display sRGB bytes. */
  at(u: number, v: number): [number, number, number] {
    const { width, height, data } = this.pixels;
    const index = (x: number, size: number) => Math.min(Math.max(Math.floor(x * size), 0), size - 1);
    const i = 4 * (index(v, height) * width + index(u, width));
    return [data[i], data[i + 1], data[i + 2]];
  }

  /** A stroke begins: `undo` goes back to here. */
  begin(): void {
    const values = this.painted.map(({ layer }) => this.valuesOf(layer).slice());
    this.steps.push({ data: this.pixels.data.slice(), values });
    const bytes = values.reduce((sum, { byteLength }) => sum + byteLength, this.pixels.data.length);
    const most = Math.min(STEPS_BACK, Math.max(1, Math.floor(KEPT / bytes)));
    while (this.steps.length > most) this.steps.shift();
  }

  private valuesOf(layer: Layer): Float32Array {
    return this.name.kind === "opacity" ? layer.opacities : layer.sh;
  }

  /** Let the brush touch it. */
  touch(touches: Touch[]): void {
    const { pixels, context, name } = this;
    for (const touch of touches) {
      const { left, top, right, bottom } = touchPixels(pixels, touch);
      if (right > left && bottom > top) context.putImageData(pixels, 0, 0, left, top, right - left, bottom - top);
      for (const { layer, uvs } of this.painted) {
        if (touchGaussians(layer, uvs, name.kind as PaintedMap, touch, pixels.width / pixels.height))
          this.dirty.add(layer);
      }
    }
  }

  /** Show what was touched since the last time. */
  async show(): Promise<void> {
    for (const layer of this.dirty) this.player.repaint(this.avatar.layers.indexOf(layer));
    this.dirty.clear();
    if (this.name.kind !== "texture") return;
    // While one image is on its way, the next waits: nobody sees those in between.
    const before = this.sending;
    if (before) {
      await before;
      if (this.sending !== before) return this.sending ?? undefined;
    }
    const sending = this.player.setTexture(this.name.id, this.pixels);
    this.sending = sending;
    await sending.finally(() => {
      if (this.sending === sending) this.sending = null;
    });
  }

  /** Go back to before the last stroke. */
  async undo(): Promise<void> {
    const before = this.steps.pop();
    if (!before) return;
    this.pixels.data.set(before.data);
    this.context.putImageData(this.pixels, 0, 0);
    this.painted.forEach(({ layer }, l) => {
      this.valuesOf(layer).set(before.values[l]);
      this.dirty.add(layer);
    });
    await this.show();
  }

  /** Put a picture in its place. Throws where the picture cannot be meant for it. */
  async replace(file: File): Promise<void> {
    const picture = await pixelsOf(file);
    const [width, height] = this.size;
    const skew = Math.abs(Math.log((picture.width * height) / (picture.height * width)));
    if (skew > SKEW) {
      throw new AvatarFormatError(
        `${file.name} is ${picture.width} x ${picture.height}, the map ${width} x ${height}: a picture on the head's texture layout ` +
          "has the layout's shape. Save the map, change that picture, and drop it here.",
      );
    }
    this.begin();
    const { kind, id } = this.name;
    if (kind === "texture") await this.player.setTexture(id, picture);
    else await this.player.setMap(kind, picture);
    this.context.drawImage(await createImageBitmap(picture), 0, 0, width, height);
    this.pixels = this.context.getImageData(0, 0, width, height);
  }

  /** Make it again what the file says. */
  async reset(): Promise<void> {
    const { kind, id } = this.name;
    if (kind === "texture") await this.player.setTexture(id, null);
    else await this.player.setMap(kind, null);
    this.steps.length = 0;
    this.pixels = await pixelsNow(this.avatar, this.name);
    this.context.putImageData(this.pixels, 0, 0);
  }

  /** Return it as a PNG. */
  save(): Promise<Blob> {
    return this.canvas.convertToBlob({ type: "image/png" });
  }
}

/** Return the pixels of a map as the avatar has it now. */
async function pixelsNow(avatar: Avatar, { id, kind }: MapName): Promise<ImageData> {
  if (kind !== "texture") {
    const { size, data } = mapOf(avatar, kind)!;
    return new ImageData(data, size, size);
  }
  const image = await textureOf(avatar, id);
  if (image) {
    const pixels = await pixelsOf(image);
    if (image instanceof ImageBitmap) image.close();
    return pixels;
  }
  const [width, height] = textureSize(avatar, id);
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < data.length; i += 4) data.set(GRAY, i);
  return new ImageData(data, width, height);
}
