/** The head's UV layout: its image, its triangles, and where on it each Gaussian lies. */
import type { Avatar } from "../avatar/avatar.ts";
import { decodeImage } from "../gl/image_array.ts";
import { uvsOf } from "../painting.ts";

export interface UvLook {
  image: boolean;
  gaussians: boolean;
  edges: boolean;
}

const SH_C0 = 0.28209479177387814;
/** CSS pixels that stay free around it. */
const ROOM = 32;

export class UvView {
  private image: ImageBitmap | null = null;
  private places: (Float32Array | null)[] = [];
  private of: Avatar | null = null;

  constructor(private readonly canvas: HTMLCanvasElement) {}

  /** Take an avatar. Tells what of it there is to show. */
  async follow(avatar: Avatar): Promise<{ image: boolean; gaussians: boolean; edges: boolean }> {
    if (avatar !== this.of) {
      this.of = avatar;
      this.image?.close();
      this.image = null;
      const { headTexture } = avatar;
      if (headTexture && headTexture.type !== "image/ktx2") this.image = await decodeImage(headTexture);
      this.places = avatar.layers.map((layer) => uvsOf(avatar.head, layer));
    }
    const edges = avatar.head.cornerUvs !== null;
    return { image: this.image !== null, gaussians: this.places.some(Boolean), edges };
  }

  /** Draw it as large as it fits into a box of CSS pixels; the colours are display sRGB. */
  draw(width: number, height: number, look: UvLook, colors: { ground: string; line: string }): void {
    const { canvas, of } = this;
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const side = Math.max(64, Math.round((Math.min(width, height) - ROOM) * ratio));
    canvas.width = side;
    canvas.height = side;
    canvas.style.width = canvas.style.height = `${side / ratio}px`;
    const context = canvas.getContext("2d");
    if (!context || !of) return;
    context.fillStyle = colors.ground;
    context.fillRect(0, 0, side, side);
    if (look.image && this.image) context.drawImage(this.image, 0, 0, side, side);
    if (look.gaussians) this.scatter(context, side, ratio);
    if (look.edges && of.head.cornerUvs) {
      context.strokeStyle = colors.line;
      context.lineWidth = 0.5 * ratio;
      context.beginPath();
      const uv = of.head.cornerUvs;
      for (let i = 0; i < uv.length; i += 6) {
        context.moveTo(uv[i] * side, uv[i + 1] * side);
        context.lineTo(uv[i + 2] * side, uv[i + 3] * side);
        context.lineTo(uv[i + 4] * side, uv[i + 5] * side);
        context.closePath();
      }
      context.stroke();
    }
  }

  private scatter(context: CanvasRenderingContext2D, side: number, ratio: number): void {
    const size = Math.max(1, 1.25 * ratio);
    this.of!.layers.forEach(({ sh, degree, opacities, count }, l) => {
      const uv = this.places[l];
      if (!uv) return;
      const stride = 3 * (degree + 1) ** 2;
      for (let i = 0; i < count; i++) {
        const [r, g, b] = [0, 1, 2].map((c) => Math.round(255 * (0.5 + SH_C0 * sh[stride * i + c])));
        context.fillStyle = `rgb(${r} ${g} ${b} / ${Math.max(0.15, opacities[i])})`;
        context.fillRect(uv[2 * i] * side - size / 2, uv[2 * i + 1] * side - size / 2, size, size);
      }
    });
  }
}
