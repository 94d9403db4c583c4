/** Choosing what to draw with at run time. */
import type { Avatar } from "./avatar.ts";
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
    if (this.device && this.kind === "webgpu" && reason) {
      throw new DeviceError(`${reason} Show it on a canvas of its own, or choose WebGL2 from the start.`);
    }
    this.device ??= this.take(reason === null);
    return this.device.load(avatar, exact);
  }

  private take(gpu: boolean): Device {
    if (!gpu) this.card.dispose();
    const device = gpu ? this.card : new WebGLDevice(this.canvas);
    device.onLost = () => this.onLost?.();
    device.onRestored = () => this.onRestored?.();
    return device;
  }

  dispose(): void {
    (this.device ?? this.card).dispose();
  }
}
