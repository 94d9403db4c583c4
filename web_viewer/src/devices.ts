/** Choosing what to draw with at run time. */
import type { Avatar } from "./avatar/avatar.ts";
import type { AvatarRenderer, Device } from "./device.ts";
import { DeviceError } from "./errors.ts";
import { WebGLDevice } from "./gl/webgl_device.ts";
import type { WebGPUDevice } from "./gpu/index.ts";

export type Wanted = "auto" | "webgl2" | "webgpu";

/**
 * Return a device for a canvas. `auto` is WebGPU where a real card offers it and it draws all of the first avatar, else
 * WebGL2. `webgpu` takes any adapter; throws `DeviceError` where there is none.
 */
export async function chooseDevice(canvas: HTMLCanvasElement, wanted: Wanted): Promise<Device> {
  if (wanted === "webgl2" || (wanted === "auto" && !("gpu" in navigator))) return new WebGLDevice(canvas);
  const { createWebGPUDevice, supports } = await import("./gpu/index.ts");
  if (wanted === "webgpu") return createWebGPUDevice(canvas);
  const found = await createWebGPUDevice(canvas).catch(() => null);
  if (found && !found.isFallback) return new ChosenAtLoad(canvas, found, supports);
  found?.dispose();
  return new WebGLDevice(canvas);
}

/** A canvas gives one kind of context for good, so this takes it only when the first avatar is known. */
class ChosenAtLoad implements Device {
  onLost: (() => void) | null = null;
  onRestored: (() => void) | null = null;
  private device: Device | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly card: WebGPUDevice,
    private readonly supports: (avatar: Avatar) => string | null,
  ) {}

  get kind(): Device["kind"] {
    return this.device?.kind ?? "webgpu";
  }

  load(avatar: Avatar, exact: boolean): AvatarRenderer {
    const reason = this.supports(avatar);
    if (this.device) {
      if (reason && this.kind === "webgpu") throw new DeviceError(`${reason} Load it first, or choose WebGL2.`);
      return this.device.load(avatar, exact);
    }
    if (!reason) {
      try {
        const renderer = this.card.load(avatar, exact);
        this.take(this.card);
        return renderer;
      } catch (error) {
        // Too large for the card's buffers.
        if (!(error instanceof DeviceError)) throw error;
      }
    }
    this.card.dispose();
    return this.take(new WebGLDevice(this.canvas)).load(avatar, exact);
  }

  private take(device: Device): Device {
    device.onLost = () => this.onLost?.();
    device.onRestored = () => this.onRestored?.();
    this.device = device;
    return device;
  }

  dispose(): void {
    (this.device ?? this.card).dispose();
  }
}
