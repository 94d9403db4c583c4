/** Pictures of what is shown. */
import { ViewerError } from "../errors.ts";
import type { Player } from "../player.ts";
import { rgbOf } from "./backgrounds.ts";
import { Darkroom } from "./darkroom.ts";

/** Pixels along an axis, at most. */
const MOST = 8192;

/**
 * Return what is shown as a PNG, `scale` times its size; with a transparent background, or over the stage's own.
 *
 * The canvas holds colours multiplied by alpha; a PNG does not.
 */
export async function pictureOf(
  player: Player,
  stage: HTMLElement,
  near: number,
  { transparent, scale }: { transparent: boolean; scale: number },
): Promise<Blob> {
  const { canvas, avatar } = player;
  const camera = player.getCamera();
  const pose = player.getPose();
  if (!avatar || !camera || !pose) throw new ViewerError("Load an avatar first.");
  const flat = stage.dataset.ground === "flat" && !transparent ? rgbOf(stage.style.getPropertyValue("--flat")) : null;
  const most = Math.min(scale, MOST / Math.max(canvas.width, canvas.height));
  const [width, height] = [canvas.width, canvas.height].map((side) => Math.max(1, Math.round(side * most)));
  const darkroom = new Darkroom(avatar, near);
  let data: Uint8ClampedArray<ArrayBuffer>;
  try {
    data = await darkroom.take({ width, height, camera, background: flat, pose });
  } finally {
    darkroom.dispose();
  }
  for (let i = 0; i < data.length; i += 4) {
    const a = data[i + 3] / 255;
    if (a > 0 && a < 1) for (let c = 0; c < 3; c++) data[i + c] = Math.round(data[i + c] / a);
  }
  const out = new OffscreenCanvas(width, height);
  const context = out.getContext("2d")!;
  context.putImageData(new ImageData(data, width, height), 0, 0);
  if (!transparent && stage.dataset.ground === "studio") {
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = studio(context, width, height, getComputedStyle(stage));
    context.fillRect(0, 0, width, height);
  }
  return out.convertToBlob({ type: "image/png" });
}

/** The stage's own light, as its style has it. */
function studio(
  context: OffscreenCanvasRenderingContext2D,
  w: number,
  h: number,
  style: CSSStyleDeclaration,
): CanvasGradient {
  const light = context.createRadialGradient(w / 2, 0.42 * h, 0, w / 2, 0.42 * h, 0.75 * Math.hypot(w, h));
  light.addColorStop(0, style.getPropertyValue("--stage-in").trim());
  light.addColorStop(1, style.getPropertyValue("--stage-out").trim());
  return light;
}
