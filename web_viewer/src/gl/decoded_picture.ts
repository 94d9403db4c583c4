/**
 * The picture of an avatar with an image decoder (`formats.render`, second list): features blended as colours are, three
 * channels at a time, read back, and made into a picture by a network. It takes as long as the network does; until it is
 * there the canvas shows the picture before.
 */
import type { Avatar, Decoder } from "../avatar/avatar.ts";
import type { Background, View } from "../device.ts";
import { DeviceError } from "../errors.ts";
import { checkOutput, type NetworkRunner, openNetwork } from "../posing/networks.ts";
import { FULLSCREEN, type GL, Program, Table, Target } from "./device.ts";

/** What lies behind the Gaussians in every channel of a feature image. */
const GROUND = 1;

const FEATURES = `
uniform sampler2DArray features;
uniform sampler2D paint;
uniform int group;
out vec4 o;
void main(){
  ivec2 p=ivec2(gl_FragCoord.xy);
  o=vec4(texelFetch(features,ivec3(p,group),0).xyz,texelFetch(paint,p,0).w);
}`;

const PRESENT = `
uniform sampler2D picture;
uniform vec2 size,scale;
uniform float ground;
out vec4 o;
void main(){
  vec2 p=vec2(gl_FragCoord.x,size.y-gl_FragCoord.y)*scale/vec2(textureSize(picture,0));
  vec4 c=textureLod(picture,p,0.);
  float a=mix(c.w,1.,ground);
  o=vec4(clamp(c.xyz,0.,1.)*a,a);
}`;

/** Draws the renderer's ellipses: what a decoder needs of it. */
export interface EllipseSource {
  /** Rows of the tables, all layers together; and where each layer starts. */
  readonly height: number;
  readonly starts: number[];
  /** Colours and opacities, one texel a Gaussian. */
  readonly paint: Table;
  /** Order the Gaussians and make their ellipses. */
  arrange(view: View): void;
  /** Blend them onto the bound framebuffer with what `paint` holds. */
  draw(view: View, paint: Table): void;
}

export class DecodedPicture {
  private readonly decoder: Decoder;
  private readonly groups: number;
  private readonly table: Table;
  private readonly painted: Table;
  private readonly paintedTarget: Target;
  private readonly fill: Program;
  private readonly show: Program;
  private readonly data: Float32Array;
  private image: FloatImage | null = null;
  private picture: FloatImage | null = null;
  /** Pixels of the finished picture for each of the canvas. */
  private scale = 1;
  private runner: Promise<NetworkRunner> | null = null;
  private busy: Promise<void> | null = null;
  private next: (() => void) | null = null;
  private failure: Error | null = null;
  /** What was thrown last; it is not said again before a picture has been made. */
  private said = "";
  private disposed = false;

  constructor(
    private readonly gl: GL,
    private readonly avatar: Avatar,
    private readonly source: EllipseSource,
  ) {
    this.decoder = avatar.decoder!;
    this.groups = Math.ceil(this.decoder.channels / 3);
    const texels = source.height * 1024;
    this.table = new Table(gl, "rgba32f", texels, this.groups);
    this.painted = new Table(gl, "rgba32f", texels);
    this.paintedTarget = new Target(gl, [this.painted.texture]);
    this.data = new Float32Array(4 * texels);
    this.fill = new Program(gl, FULLSCREEN, FEATURES);
    this.show = new Program(gl, FULLSCREEN, PRESENT);
  }

  get bytes(): number {
    return this.table.bytes + this.painted.bytes;
  }

  /** Take the features that the networks said. */
  pose(): void {
    const { data, decoder, source } = this;
    for (let g = 0; g < this.groups; g++) {
      this.avatar.layers.forEach((layer, l) => {
        const at = 4 * 1024 * source.starts[l];
        const features = layer.features!;
        for (let i = 0; i < layer.count; i++) {
          for (let c = 0; c < 3; c++) {
            const channel = 3 * g + c;
            data[at + 4 * i + c] = channel < decoder.channels ? features[i * decoder.channels + channel] : 0;
          }
        }
      });
      this.table.write(data, g);
    }
  }

  /** Load the network. */
  async getReady(): Promise<void> {
    this.runner ??= openNetwork(this.decoder.network);
    await this.runner;
  }

  /**
   * Ask for a picture; `done` is called when it is there, unless a later one was asked for meanwhile. When it cannot be made
   * `failed` is called, and the next request throws why. Nothing is called after `dispose`.
   */
  request(view: View, done: () => void, failed: () => void): void {
    const { failure } = this;
    this.failure = null;
    if (failure) throw failure;
    if (this.busy) {
      this.next = () => this.request(view, done, failed);
      return;
    }
    void this.make(view).then(
      () => {
        if (!this.disposed) done();
      },
      (error: Error) => {
        if (error.message === this.said) return;
        this.said = error.message;
        this.failure = error;
        failed();
      },
    );
  }

  /** Make the picture of a view now; what is being made is finished first. After `dispose` there is none. */
  async make(view: View): Promise<void> {
    while (this.busy) await this.busy.catch(() => {});
    if (this.disposed) return;
    const making = this.run(view);
    this.busy = making;
    try {
      await making;
      this.said = "";
    } catch (error) {
      // Nobody waits for it any more, and the network may have been closed under it.
      if (!this.disposed) throw error;
    } finally {
      this.busy = null;
      const { next } = this;
      this.next = null;
      if (!this.disposed) next?.();
    }
  }

  private async run(view: View): Promise<void> {
    const { network, scale, channels } = this.decoder;
    const small = this.featureView(view);
    const [width, height] = [small.width, small.height];
    const [features, alpha] = this.features(small);
    await this.getReady();
    const runner = await this.runner!;
    if (this.disposed) return;
    const answer = await runner.run({ features: { data: features, shape: [1, channels, height, width] } });
    if (this.disposed) return;
    checkOutput(network, "image", [1, 3, height * scale, width * scale], answer.image);
    this.take(answer.image.data, alpha, width, height);
    this.scale = (small.intrinsics[0] * scale) / view.intrinsics[0];
  }

  /** Return the view of the feature image: as large as the decoder wants it, or as the canvas, rounded up to whole pixels. */
  private featureView(view: View): View {
    const { network, scale } = this.decoder;
    const [, , fixedHeight, fixedWidth] = network.inputs[0].shape;
    const width = fixedWidth ?? Math.ceil(view.width / scale);
    const height = fixedHeight ?? Math.ceil(view.height / scale);
    const whole = fixedWidth === null && fixedHeight === null;
    const fit = whole ? 1 / scale : Math.min(width / view.width, height / view.height);
    const [fx, fy, cx, cy] = view.intrinsics;
    return { ...view, width, height, intrinsics: [fx * fit, fy * fit, cx * fit, cy * fit] };
  }

  /** Return the feature image [C, h, w] and the Gaussians' alpha [h, w], rows from the top. */
  private features(view: View): [Float32Array, Float32Array] {
    const { gl, source, decoder } = this;
    const { width, height } = view;
    if (this.image?.width !== width || this.image.height !== height) {
      this.image?.dispose();
      this.image = new FloatImage(gl, width, height, true);
    }
    source.arrange(view);
    const size = width * height;
    const out = new Float32Array(size * decoder.channels);
    const alpha = new Float32Array(size);
    const pixels = new Float32Array(4 * size);
    for (let g = 0; g < this.groups; g++) {
      gl.disable(gl.BLEND);
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.paintedTarget.framebuffer);
      gl.viewport(0, 0, 1024, source.height);
      this.fill.use().texture("features", this.table).texture("paint", source.paint).integers("group", g);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.image.framebuffer);
      gl.viewport(0, 0, width, height);
      gl.clearColor(GROUND, GROUND, GROUND, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      source.draw(view, this.painted);
      gl.readPixels(0, 0, width, height, gl.RGBA, gl.FLOAT, pixels);
      for (let c = 0; c < 3 && 3 * g + c < decoder.channels; c++) {
        for (let y = 0, to = (3 * g + c) * size; y < height; y++) {
          for (let x = 0, from = 4 * (height - 1 - y) * width + c; x < width; x++, from += 4) out[to++] = pixels[from];
        }
      }
    }
    for (let y = 0, to = 0; y < height; y++) {
      for (let x = 0; x < width; x++) alpha[to++] = pixels[4 * ((height - 1 - y) * width + x) + 3];
    }
    return [out, alpha];
  }

  /** Put the network's picture [3, H, W] on the card, with the alpha of the feature image enlarged. */
  private take(image: Float32Array, alpha: Float32Array, width: number, height: number): void {
    const { gl } = this;
    const { scale } = this.decoder;
    const [w, h] = [width * scale, height * scale];
    if (this.picture?.width !== w || this.picture.height !== h) {
      this.picture?.dispose();
      this.picture = new FloatImage(gl, w, h, false);
    }
    const data = new Float32Array(4 * w * h);
    const size = w * h;
    for (let y = 0, to = 0; y < h; y++) {
      const v = Math.min(Math.max((y + 0.5) / scale - 0.5, 0), height - 1);
      const top = Math.floor(v);
      const upper = top * width;
      const lower = Math.min(top + 1, height - 1) * width;
      for (let x = 0; x < w; x++, to += 4) {
        const u = Math.min(Math.max((x + 0.5) / scale - 0.5, 0), width - 1);
        const left = Math.floor(u);
        const right = Math.min(left + 1, width - 1);
        const [f, g] = [u - left, v - top];
        for (let c = 0; c < 3; c++) data[to + c] = image[c * size + y * w + x];
        data[to + 3] =
          (alpha[upper + left] * (1 - f) + alpha[upper + right] * f) * (1 - g) +
          (alpha[lower + left] * (1 - f) + alpha[lower + right] * f) * g;
      }
    }
    gl.bindTexture(gl.TEXTURE_2D, this.picture.texture);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, w, h, gl.RGBA, gl.FLOAT, data);
  }

  /** Show the last finished picture, or the background when there is none. */
  present(view: View, background: Background, framebuffer: WebGLFramebuffer | null): void {
    const { gl, picture } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
    gl.viewport(0, 0, view.width, view.height);
    gl.disable(gl.BLEND);
    if (!picture) {
      const { rgb, alpha } = background;
      gl.clearColor(rgb[0] * alpha, rgb[1] * alpha, rgb[2] * alpha, alpha);
      gl.clear(gl.COLOR_BUFFER_BIT);
      return;
    }
    this.show
      .use()
      .texture("picture", picture)
      .floats("size", view.width, view.height)
      .floats("scale", this.scale, this.scale)
      .floats("ground", background.alpha);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  dispose(): void {
    this.disposed = true;
    void this.runner?.then((one) => one.dispose()).catch(() => {});
    const owned = [this.table, this.painted, this.paintedTarget, this.fill, this.show, this.image, this.picture];
    for (const one of owned) one?.dispose();
  }
}

/** A picture of floats: to draw into and read back, or half floats to look at. */
class FloatImage {
  readonly target: number;
  readonly texture: WebGLTexture;
  readonly framebuffer: WebGLFramebuffer | null;

  constructor(
    private readonly gl: GL,
    readonly width: number,
    readonly height: number,
    drawn: boolean,
  ) {
    if (Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
      throw new DeviceError(`The image decoder's picture of ${width} x ${height} is larger than this device holds.`);
    }
    this.target = gl.TEXTURE_2D;
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    // Blending into 32 bits is an extension; half floats cost about 1e-3 of a feature.
    const whole = drawn && gl.getExtension("EXT_float_blend");
    gl.texStorage2D(gl.TEXTURE_2D, 1, whole ? gl.RGBA32F : gl.RGBA16F, width, height);
    const filter = drawn ? gl.NEAREST : gl.LINEAR;
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, filter);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    this.framebuffer = null;
    if (!drawn) return;
    this.framebuffer = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.framebuffer);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.texture, 0);
  }

  dispose(): void {
    if (this.framebuffer) this.gl.deleteFramebuffer(this.framebuffer);
    this.gl.deleteTexture(this.texture);
  }
}
