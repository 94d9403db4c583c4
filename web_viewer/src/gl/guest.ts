/** Working on a WebGL2 context that somebody else draws with, such as three.js. */
import type { Avatar } from "../avatar/avatar.ts";
import type { View } from "../device.ts";
import { DeviceError } from "../errors.ts";
import type { GL } from "./device.ts";
import { Renderer } from "./renderer.ts";

/** Distances of the host's projection, metres of view depth. */
export interface ClipDepths {
  near: number;
  far: number;
}

/** Pixels of the host's framebuffer, from its lower left corner. */
export interface Viewport {
  x: number;
  y: number;
  width: number;
  height: number;
}

/**
 * Do `work` on a context in any state: what could change its results is set to what it needs first.
 *
 * Left as it was: the bound framebuffer. Left at GL's defaults: scissor, stencil and depth test, culling, polygon offset,
 * colour mask, blend equation, pixel unpacking, vertex array, pixel buffer. Left changed: program, textures of the first
 * units and the active one, samplers there unbound, blending and its function, viewport. A host that remembers state has
 * to forget it (three.js: `renderer.resetState()`).
 */
export function asGuest(gl: GL, work: () => void): void {
  const framebuffer = gl.getParameter(gl.FRAMEBUFFER_BINDING) as WebGLFramebuffer | null;
  const off = [gl.SCISSOR_TEST, gl.STENCIL_TEST, gl.DEPTH_TEST, gl.CULL_FACE, gl.POLYGON_OFFSET_FILL];
  for (const test of [...off, gl.RASTERIZER_DISCARD, gl.SAMPLE_ALPHA_TO_COVERAGE]) gl.disable(test);
  gl.colorMask(true, true, true, true);
  gl.blendEquation(gl.FUNC_ADD);
  gl.bindVertexArray(null);
  gl.bindBuffer(gl.PIXEL_UNPACK_BUFFER, null);
  const zero = [
    gl.UNPACK_FLIP_Y_WEBGL,
    gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL,
    gl.UNPACK_ROW_LENGTH,
    gl.UNPACK_IMAGE_HEIGHT,
  ];
  for (const name of [...zero, gl.UNPACK_SKIP_ROWS, gl.UNPACK_SKIP_PIXELS, gl.UNPACK_SKIP_IMAGES])
    gl.pixelStorei(name, 0);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
  for (let unit = 0; unit < UNITS; unit++) gl.bindSampler(unit, null);
  try {
    work();
  } finally {
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
  }
}

/** Draws an avatar inside somebody else's scene, on their context. */
export class GuestRenderer extends Renderer {
  constructor(gl: GL, avatar: Avatar, exact: boolean) {
    if (avatar.decoder) {
      throw new DeviceError(
        "An avatar with an image decoder makes its own picture, background and all: no part of a scene.",
      );
    }
    asGuest(gl, () => {});
    super(gl, avatar, exact);
  }

  protected override upload(): void {
    asGuest(this.gl, () => super.upload());
  }

  override repaint(layer: number): void {
    asGuest(this.gl, () => super.repaint(layer));
  }

  /**
   * Draw over what the bound framebuffer holds.
   *
   * Each Gaussian is tested, LEQUAL, against the depth buffer that is there, at its centre's view depth under a
   * perspective projection with these clip depths; nothing is written to it. Colours are display sRGB, blended
   * premultiplied. The state it leaves is what `asGuest` says.
   */
  paintInto(view: View, clip: ClipDepths, viewport: Viewport): void {
    const { gl } = this;
    const meshes = this.extras?.meshes;
    asGuest(gl, () => {
      this.arrange(view, true);
      meshes?.arrange(view);
    });
    const { near, far } = clip;
    const { x, y, width, height } = viewport;
    gl.viewport(x, y, width, height);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    gl.depthMask(false);
    const [scale, offset] = [(far + near) / (far - near), (2 * far * near) / (far - near)];
    meshes?.paintInto(view, x, y, scale, offset);
    this.ellipsesOnto(view, scale, offset);
    gl.disable(gl.DEPTH_TEST);
    gl.depthMask(true);
  }
}

/** More samplers than any of our programs has. */
const UNITS = 16;
