/** Working on a WebGL2 context that somebody else draws with, such as three.js. */
import type { GL } from "./device.ts";

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

/** More samplers than any of our programs has. */
const UNITS = 16;
