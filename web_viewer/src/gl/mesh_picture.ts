/**
 * All mesh layers of an avatar as one picture that lies under the Gaussians (`formats.render`, steps 1 and 2), drawn into a
 * half-float target with a depth buffer: the canvas has none, and eight bits would be rounded once per layer.
 */
import type { Avatar } from "../avatar/avatar.ts";
import type { Background, View } from "../device.ts";
import { DeviceError } from "../errors.ts";
import type { PosedAvatar } from "../posing/posed_avatar.ts";
import { FULLSCREEN, type GL, Program } from "./device.ts";
import { depthProgram, MeshLayerOnCard } from "./mesh_layer.ts";

const COPY = "uniform sampler2D under;out vec4 o;void main(){o=texelFetch(under,ivec2(gl_FragCoord.xy),0);}";

/** Into a scene: the depth of the nearest layer, under the scene's projection. */
const COPY_WITH_DEPTH = `
uniform sampler2D under,depth;
uniform vec2 corner,clip;
uniform float near;
out vec4 o;
void main(){
  ivec2 p=ivec2(gl_FragCoord.xy-corner);
  o=texelFetch(under,p,0);
  float d=texelFetch(depth,p,0).x;
  if(d>=1.)discard;
  gl_FragDepth=.5+.5*(clip.x-clip.y*(1.-d)/near);
}`;

const NOTHING: Background = { rgb: [0, 0, 0], alpha: 0 };

export class MeshPicture {
  private readonly copy: Program;
  private copyWithDepth: Program | null = null;
  private target: DepthTarget | null = null;

  private constructor(
    private readonly gl: GL,
    readonly layers: MeshLayerOnCard[],
    private readonly depth: Program,
  ) {
    this.copy = new Program(gl, FULLSCREEN, COPY);
  }

  /** Decode the images of all layers and put them on the card. */
  static async load(gl: GL, avatar: Avatar, exact: boolean): Promise<MeshPicture> {
    const depth = depthProgram(gl);
    const layers: MeshLayerOnCard[] = [];
    try {
      // One after another: the decoded images of a layer may be a hundred megabytes.
      for (const mesh of avatar.meshes) layers.push(await MeshLayerOnCard.load(gl, mesh, depth, exact));
      return new MeshPicture(gl, layers, depth);
    } catch (error) {
      for (const layer of layers) layer.dispose();
      depth.dispose();
      throw error;
    }
  }

  /** Bytes on the card, without the picture. */
  get bytes(): number {
    return this.layers.reduce((sum, layer) => sum + layer.bytes, 0);
  }

  pose(posed: PosedAvatar): void {
    this.layers.forEach((layer, m) => {
      layer.pose(posed.meshes[m], posed.shading[m]);
    });
  }

  /** Fill the framebuffer with the background and the layers over it, premultiplied. Blending is left off. */
  paint(view: View, background: Background, framebuffer: WebGLFramebuffer | null): void {
    const { gl } = this;
    const target = this.blend(view, background);
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
    this.copy.use().texture("under", target);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** Draw the layers, and how near the nearest is; `paintInto` puts them into a scene. */
  arrange(view: View): void {
    const { gl } = this;
    this.blend(view, NOTHING);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    gl.colorMask(false, false, false, false);
    for (const layer of this.layers) layer.drawDepth(view);
    gl.colorMask(true, true, true, true);
  }

  /**
   * Put what `arrange` drew over the bound framebuffer, whose depth test is on, at the depth of its nearest layer; its
   * lower left corner is at `x`, `y`. Normalised depth is `scale - offset / depth`.
   */
  paintInto(view: View, x: number, y: number, scale: number, offset: number): void {
    const { gl, target } = this;
    if (!target) return;
    this.copyWithDepth ??= new Program(gl, FULLSCREEN, COPY_WITH_DEPTH);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.copyWithDepth
      .use()
      .texture("under", target)
      .texture("depth", target.depths)
      .floats("corner", x, y)
      .floats("clip", scale, offset)
      .floats("near", view.near);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** Blend the layers over a background; blending is left off. */
  private blend(view: View, background: Background): DepthTarget {
    const { gl } = this;
    const { width, height } = view;
    if (this.target?.width !== width || this.target.height !== height) {
      this.target?.dispose();
      this.target = new DepthTarget(gl, width, height);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.framebuffer);
    gl.viewport(0, 0, width, height);
    const { rgb, alpha } = background;
    gl.clearColor(rgb[0] * alpha, rgb[1] * alpha, rgb[2] * alpha, alpha);
    gl.clear(gl.COLOR_BUFFER_BIT);
    for (const layer of this.layers) layer.draw(view);
    gl.disable(gl.BLEND);
    return this.target;
  }

  dispose(): void {
    for (const layer of this.layers) layer.dispose();
    for (const owned of [this.depth, this.copy, this.copyWithDepth, this.target]) owned?.dispose();
  }
}

/** A half-float picture with a depth buffer. */
class DepthTarget {
  readonly framebuffer: WebGLFramebuffer;
  readonly texture: WebGLTexture;
  readonly target: number;
  readonly depths: { target: number; texture: WebGLTexture };

  constructor(
    private readonly gl: GL,
    readonly width: number,
    readonly height: number,
  ) {
    this.target = gl.TEXTURE_2D;
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA16F, width, height);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
      gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
    this.depths = { target: gl.TEXTURE_2D, texture: gl.createTexture() };
    gl.bindTexture(gl.TEXTURE_2D, this.depths.texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.DEPTH_COMPONENT24, width, height);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
      gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
    this.framebuffer = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.framebuffer);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.texture, 0);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, this.depths.texture, 0);
    const status = gl.checkFramebufferStatus(gl.FRAMEBUFFER);
    if (status !== gl.FRAMEBUFFER_COMPLETE && !gl.isContextLost()) {
      throw new DeviceError(`This device cannot draw mesh layers into half floats (status ${status}).`);
    }
  }

  dispose(): void {
    const { gl } = this;
    gl.deleteFramebuffer(this.framebuffer);
    gl.deleteTexture(this.texture);
    gl.deleteTexture(this.depths.texture);
  }
}
