/** The head's UV layout: a map on it, its triangles, and where on it each Gaussian lies. */
import type { Avatar } from "../avatar/avatar.ts";
import { paintOf, uvsOf } from "../painting.ts";

export interface UvLook {
  image: boolean;
  gaussians: boolean;
  edges: boolean;
}

export class UvView {
  private places: (Float32Array | null)[] = [];
  private of: Avatar | null = null;

  constructor(private readonly canvas: HTMLCanvasElement) {}

  take(avatar: Avatar): void {
    this.of = avatar;
    this.places = avatar.layers.map((layer) => uvsOf(avatar.head, layer));
  }

  /** Draw it as large as it fits into a box of CSS pixels, in the map's shape; the colours are display sRGB. */
  draw(
    width: number,
    height: number,
    look: UvLook,
    colors: { ground: string; line: string },
    map: OffscreenCanvas | null,
  ): void {
    const { canvas, of } = this;
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const shape = map ? map.width / map.height : 1;
    const high = Math.max(64, Math.round(Math.min(height, width / shape) * ratio));
    const wide = Math.round(high * shape);
    if (canvas.width !== wide) canvas.width = wide;
    if (canvas.height !== high) canvas.height = high;
    canvas.style.width = `${wide / ratio}px`;
    canvas.style.height = `${high / ratio}px`;
    const context = canvas.getContext("2d");
    if (!context || !of) return;
    context.fillStyle = colors.ground;
    context.fillRect(0, 0, wide, high);
    if (look.image && map) context.drawImage(map, 0, 0, wide, high);
    if (look.gaussians) this.scatter(context, wide, high, ratio);
    const uv = of.head.cornerUvs;
    if (!look.edges || !uv) return;
    context.strokeStyle = colors.line;
    context.lineWidth = 0.5 * ratio;
    context.beginPath();
    for (let i = 0; i < uv.length; i += 6) {
      context.moveTo(uv[i] * wide, uv[i + 1] * high);
      context.lineTo(uv[i + 2] * wide, uv[i + 3] * high);
      context.lineTo(uv[i + 4] * wide, uv[i + 5] * high);
      context.closePath();
    }
    context.stroke();
  }

  private scatter(context: CanvasRenderingContext2D, wide: number, high: number, ratio: number): void {
    const size = Math.max(1, 1.25 * ratio);
    const paint = new Float64Array(3);
    this.of!.layers.forEach((layer, l) => {
      const uv = this.places[l];
      if (!uv) return;
      for (let i = 0; i < layer.count; i++) {
        paintOf(layer, i, "color", paint);
        const [r, g, b] = Array.from(paint, (x) => Math.round(255 * x));
        context.fillStyle = `rgb(${r} ${g} ${b} / ${Math.max(0.15, layer.opacities[i])})`;
        context.fillRect(uv[2 * i] * wide - size / 2, uv[2 * i + 1] * high - size / 2, size, size);
      }
    });
  }
}
