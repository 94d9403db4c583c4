/** A canvas's WebGL2 context. */
import type { Avatar } from "../avatar/avatar.ts";
import type { AvatarRenderer, Device } from "../device.ts";
import { DeviceError } from "../errors.ts";
import { type GL, wholly } from "./device.ts";
import { Renderer } from "./renderer.ts";

export class WebGLDevice implements Device {
  readonly kind = "webgl2";
  onLost: (() => void) | null = null;
  onRestored: (() => void) | null = null;
  protected readonly gl: GL;

  constructor(private readonly canvas: HTMLCanvasElement | OffscreenCanvas) {
    const wanted = { antialias: false, alpha: true, premultipliedAlpha: true, depth: false };
    const gl = canvas.getContext("webgl2", wanted) as GL | null;
    if (!gl)
      throw new DeviceError("This browser cannot draw with WebGL2. Update it, or switch on hardware acceleration.");
    this.gl = gl;
    canvas.addEventListener("webglcontextlost", this.lost);
    canvas.addEventListener("webglcontextrestored", this.restored);
  }

  load(avatar: Avatar, exact: boolean): AvatarRenderer {
    return wholly(() => new Renderer(this.gl, avatar, exact));
  }

  dispose(): void {
    this.canvas.removeEventListener("webglcontextlost", this.lost);
    this.canvas.removeEventListener("webglcontextrestored", this.restored);
  }

  private readonly lost = (event: Event): void => {
    event.preventDefault();
    this.onLost?.();
  };

  private readonly restored = (): void => this.onRestored?.();
}
