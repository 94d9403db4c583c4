/** A canvas's WebGPU device, or one without a canvas, whose pictures are read back. */
/// <reference types="@webgpu/types" />
import type { Avatar } from "../avatar/avatar.ts";
import type { AvatarRenderer, Device } from "../device.ts";
import { DeviceError } from "../errors.ts";
import { Memory } from "./memory.ts";
import { type Host, Renderer, type Surface } from "./renderer.ts";
import { supports } from "./supports.ts";

/** Milliseconds to wait before asking again for a card that was lost. */
const PATIENCE = [0, 500, 2000, 8000];

export class WebGPUDevice implements Device, Host {
  readonly kind = "webgpu";
  onLost: (() => void) | null = null;
  onRestored: (() => void) | null = null;
  private readonly memories = new Set<Memory>();
  private context: GPUCanvasContext | null = null;
  private offscreen: GPUTexture | null = null;
  private fault: DeviceError | null = null;
  private disposed = false;

  private constructor(
    private readonly canvas: HTMLCanvasElement | OffscreenCanvas | null,
    /** The card as it is now; another one after a loss. */
    public card: GPUDevice,
    /** Whether the browser draws on the processor. */
    readonly isFallback: boolean,
  ) {
    this.watch(card);
  }

  /** Return a device for a canvas, which it takes at the first `load`; null: offscreen only. Throws `DeviceError`. */
  static async create(canvas: HTMLCanvasElement | OffscreenCanvas | null): Promise<WebGPUDevice> {
    const { card, isFallback } = await request();
    return new WebGPUDevice(canvas, card, isFallback);
  }

  /** Bytes of all avatars' buffers on the card. */
  get bytes(): number {
    let sum = 0;
    for (const memory of this.memories) sum += memory.bytes;
    return sum;
  }

  /** How many buffers are alive. */
  get buffers(): number {
    let sum = 0;
    for (const memory of this.memories) sum += memory.count;
    return sum;
  }

  load(avatar: Avatar, exact: boolean): AvatarRenderer {
    const reason = supports(avatar);
    if (reason) throw new DeviceError(reason);
    this.check();
    const memory = new Memory(this.card);
    this.memories.add(memory);
    try {
      const renderer = new Renderer(memory, this, avatar, exact);
      // Last, so that a canvas is still free where the avatar is too large for the card.
      this.takeCanvas();
      return renderer;
    } catch (error) {
      memory.dispose();
      this.memories.delete(memory);
      throw error;
    }
  }

  private takeCanvas(): void {
    const { canvas } = this;
    if (!canvas) return;
    this.context ??= canvas.getContext("webgpu") as GPUCanvasContext | null;
    if (!this.context) throw new DeviceError("The canvas is drawn on with something else than WebGPU already.");
    const format = navigator.gpu.getPreferredCanvasFormat();
    const usage = GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_DST;
    this.context.configure({ device: this.card, format, alphaMode: "premultiplied", usage });
  }

  surface(width: number, height: number): Surface {
    if (this.context) {
      const format = navigator.gpu.getPreferredCanvasFormat();
      const texture = this.context.getCurrentTexture();
      return { texture, view: texture.createView(), format };
    }
    const format = "rgba8unorm";
    if (this.offscreen?.width !== width || this.offscreen.height !== height) {
      this.offscreen?.destroy();
      const usage = GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_DST | GPUTextureUsage.COPY_SRC;
      this.offscreen = this.card.createTexture({ size: [width, height], format, usage });
    }
    return { texture: this.offscreen, view: this.offscreen.createView(), format };
  }

  /** Show a picture that something else has drawn, premultiplied. */
  show(picture: OffscreenCanvas): void {
    this.check();
    const { width, height } = picture;
    const { texture } = this.surface(width, height);
    this.card.queue.copyExternalImageToTexture({ source: picture }, { texture, premultipliedAlpha: true }, [
      width,
      height,
    ]);
  }

  check(): void {
    const { fault } = this;
    this.fault = null;
    if (fault) throw fault;
  }

  released(memory: Memory): void {
    this.memories.delete(memory);
  }

  private watch(card: GPUDevice): void {
    card.addEventListener("uncapturederror", ({ error }) => {
      this.fault ??= new DeviceError(`The graphics driver refused something: ${error.message}`);
    });
    card.lost.then(() => this.recover());
  }

  private async recover(): Promise<void> {
    if (this.disposed) return;
    this.forget();
    this.onLost?.();
    for (const wait of PATIENCE) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      const found = await request().catch(() => null);
      if (this.disposed) found?.card.destroy();
      if (this.disposed) return;
      if (!found) continue;
      this.card = found.card;
      this.watch(found.card);
      this.onRestored?.();
      return;
    }
  }

  private forget(): void {
    for (const memory of [...this.memories]) memory.dispose();
    this.memories.clear();
    this.offscreen?.destroy();
    this.offscreen = null;
    this.fault = null;
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.forget();
    this.context?.unconfigure();
    this.card.destroy();
  }
}

/** Return a card with the largest buffers it can have: dynamics and harmonics of many Gaussians need them. */
async function request(): Promise<{ card: GPUDevice; isFallback: boolean }> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new DeviceError("This browser cannot draw with WebGPU. Use WebGL2, or another browser.");
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  const card = await adapter.requestDevice({ requiredLimits: { maxStorageBufferBindingSize, maxBufferSize } });
  // Older browsers say it on the adapter itself.
  const said = (adapter as unknown as { isFallbackAdapter?: boolean }).isFallbackAdapter;
  return { card, isFallback: adapter.info?.isFallbackAdapter ?? said ?? false };
}
