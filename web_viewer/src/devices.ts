/** Choosing what to draw with at run time. */
import type { Avatar } from "./avatar/avatar.ts";
import type { AvatarRenderer, Device } from "./device.ts";
import { DeviceError } from "./errors.ts";
import { WebGLDevice } from "./gl/webgl_device.ts";
import type { WebGPUDevice } from "./gpu/index.ts";

export type Wanted = "auto" | "webgl2" | "webgpu";

/**
 * Return a device for a canvas. `auto` is WebGPU where a real card offers it and it draws all of the first avatar, else
 * WebGL2; later avatars that only WebGL2 draws are shown all the same. `webgpu` takes any adapter, and avatars that it draws;
 * throws `DeviceError` where there is none.
 */
export async function chooseDevice(canvas: HTMLCanvasElement, wanted: Wanted): Promise<Device> {
  if (wanted === "webgl2" || (wanted === "auto" && !("gpu" in navigator))) return new WebGLDevice(canvas);
  const { createWebGPUDevice, ...gpu } = await import("./gpu/index.ts");
  if (wanted === "webgpu") return createWebGPUDevice(canvas);
  const found = await createWebGPUDevice(canvas).catch(() => null);
  if (found && !found.isFallback) return new ChosenAtLoad(canvas, found, gpu);
  found?.dispose();
  return new WebGLDevice(canvas);
}

/** What the chunk of WebGPU brings besides. */
type Gpu = Pick<typeof import("./gpu/index.ts"), "supports" | "RelayDevice">;

/** A canvas gives one kind of context for good, so this takes it only when the first avatar is known. */
class ChosenAtLoad implements Device {
  onLost: (() => void) | null = null;
  onRestored: (() => void) | null = null;
  /** What the canvas is drawn on with. */
  private device: Device | null = null;
  /** Draws what WebGPU does not once the canvas is WebGPU's. */
  private relay: Device | null = null;
  /** What drew last. */
  private used: Device | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly card: WebGPUDevice,
    private readonly gpu: Gpu,
  ) {}

  get kind(): Device["kind"] {
    return this.used?.kind ?? "webgpu";
  }

  load(avatar: Avatar, exact: boolean): AvatarRenderer {
    const { card, gpu } = this;
    if (this.device && this.device !== card) return this.device.load(avatar, exact);
    if (!gpu.supports(avatar)) {
      try {
        const renderer = card.load(avatar, exact);
        this.device = this.use(card);
        return renderer;
      } catch (error) {
        // Too large for the card's buffers.
        if (!(error instanceof DeviceError)) throw error;
      }
    }
    if (this.device) {
      this.relay ??= new gpu.RelayDevice((picture) => card.show(picture));
      return this.use(this.relay).load(avatar, exact);
    }
    card.dispose();
    this.device = this.use(new WebGLDevice(this.canvas));
    return this.device.load(avatar, exact);
  }

  private use(device: Device): Device {
    // The card's loss is everybody's: it holds the canvas.
    const matters = () => device === this.used || device === this.card;
    device.onLost = () => matters() && this.onLost?.();
    device.onRestored = () => matters() && this.onRestored?.();
    this.used = device;
    return device;
  }

  dispose(): void {
    this.relay?.dispose();
    (this.device ?? this.card).dispose();
  }
}
