/**
 * WebGL2 behind a canvas that is WebGPU's already: a canvas gives one kind of context for good, so what only WebGL2 draws is
 * drawn beside it and copied onto it.
 */
import type { Avatar } from "../avatar/avatar.ts";
import type { Background, View } from "../device.ts";
import type { GL } from "../gl/device.ts";
import { Renderer } from "../gl/renderer.ts";
import { WebGLDevice } from "../gl/webgl_device.ts";

/** Takes a picture onto the canvas that people see. */
export type Show = (picture: OffscreenCanvas) => void;

export class RelayDevice extends WebGLDevice {
  private readonly picture: OffscreenCanvas;

  constructor(private readonly show: Show) {
    const picture = new OffscreenCanvas(1, 1);
    super(picture);
    this.picture = picture;
  }

  override load(avatar: Avatar, exact: boolean): Renderer {
    return new RelayRenderer(this.gl, avatar, exact, this.picture, this.show);
  }

  override dispose(): void {
    super.dispose();
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

class RelayRenderer extends Renderer {
  constructor(
    gl: GL,
    avatar: Avatar,
    exact: boolean,
    private readonly canvas: OffscreenCanvas,
    private readonly show: Show,
  ) {
    super(gl, avatar, exact);
  }

  private fit({ width, height }: View): void {
    // Setting a size empties the picture.
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
  }

  override render(view: View, background: Background): void {
    this.fit(view);
    super.render(view, background);
  }

  override async readPixels(view: View, background: Background, half: boolean): Promise<Float32Array | Uint8Array> {
    this.fit(view);
    return super.readPixels(view, background, half);
  }

  protected override paint(
    view: View,
    background: Background,
    framebuffer: WebGLFramebuffer | null,
    now: boolean,
  ): void {
    super.paint(view, background, framebuffer, now);
    // Pictures that are read back (`now`) are not for people; a late one may be of a canvas that has grown meanwhile.
    const { width, height } = this.canvas;
    if (!framebuffer && !now && view.width === width && view.height === height) this.show(this.canvas);
  }
}
