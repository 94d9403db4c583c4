/** One avatar on one WebGL2 context: passes, depth order, and the picture. */
import type { Avatar } from "../avatar/avatar.ts";
import type { AvatarRenderer, Background, View, WorldSplats } from "../device.ts";
import { DeviceError } from "../errors.ts";
import { type DepthAxis, Ordering } from "../ordering/ordering.ts";
import type { Pose } from "../posing/pose.ts";
import { PosedAvatar } from "../posing/posed_avatar.ts";
import type { EllipseSource } from "./decoded_picture.ts";
import { type GL, Program, Table, Target, WIDTH } from "./device.ts";
import type { Extras } from "./extras.ts";
import { FETCH } from "./shader_math.ts";
import { SplatLayer } from "./splat_layer.ts";
import type { StrandDetail } from "./strand_detail.ts";

// One triangle around each ellipse: 30 % more area than a quad, but most splats are a few pixels large and cost by the
// triangle. Frames took 0.85 (SwiftShader) and 0.75 (llvmpipe) of the time; octagons 1.6.
const DRAW_VERTEX = `${FETCH}
uniform usampler2D order;
uniform sampler2D place,axes,paint;
uniform vec2 picture;
uniform vec2 clip;
out vec2 q;
flat out vec4 color;
void main(){
  int i=gl_VertexID/3,c=gl_VertexID-3*i;
  ivec2 p=at(int(texelFetch(order,at(i),0).x));
  vec4 a=texelFetch(place,p,0);
  gl_Position=vec4(2,2,2,1);
  if(a.w==0.)return;
  vec2 corner=c==0?vec2(-1.7320508,-1):c==1?vec2(1.7320508,-1):vec2(0,2);
  vec4 e=texelFetch(axes,p,0);
  // Base two, so that the fragment shader has nothing to scale: sqrt(log2(e) / 2).
  q=corner*(a.z*.84932180);
  color=texelFetch(paint,p,0);
  color.w=log2(color.w);
  vec2 pixel=a.xy+corner.x*e.xy+corner.y*e.zw;
  gl_Position=vec4(pixel.x*2./picture.x-1.,1.-pixel.y*2./picture.y,clip.x-clip.y/a.w,1);
}`;

// Below 1/255 nothing is added; without discard or a branch, which would cost early tests and help nothing here.
const DRAW_FRAGMENT = `
in vec2 q;
flat in vec4 color;
out vec4 o;
void main(){
  float a=min(.99,exp2(color.w-dot(q,q)));
  a*=step(1./255.,a);
  o=vec4(color.xyz*a,a);
}`;

export class Renderer implements AvatarRenderer {
  readonly layers: SplatLayer[];
  readonly rows: number[] = [];
  /** Splat ids, as the order uses them: row * WIDTH + column. */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** Padded like the tables: id i is at 3 i. */
  readonly centers: Float32Array;
  /** Called when the picture would be another without anything having moved: see `ordering.ts`. */
  onChanged: (() => void) | null = null;
  /** Only where networks run or images are decoded first. */
  readonly prepare?: (pose: Pose) => Promise<void>;
  protected extras: Extras | null = null;
  private readonly detail: StrandDetail | null;
  /** Nothing is drawn before the first pose. */
  private isPosed = false;
  private disposed = false;
  private readonly vertices: Table;
  private readonly joints: Table;
  private readonly order: Table;
  private readonly ordering: Ordering;
  private readonly outputs: Table[];
  private readonly target: Target;
  private readonly draw: Program;
  private readonly array: WebGLVertexArrayObject;
  private readonly posed: PosedAvatar;
  private poses = 0;
  private picture: Picture | null = null;
  private readonly vertexData: Float32Array;
  private readonly jointData: Float32Array;

  constructor(
    protected readonly gl: GL,
    private readonly avatar: Avatar,
    exact: boolean,
  ) {
    // A lost context has no extensions; what is made of it is dead, and made again when it comes back.
    if (!gl.getExtension("EXT_color_buffer_float") && !gl.isContextLost()) {
      throw new DeviceError("This device cannot draw into floating-point textures, which the player needs.");
    }
    const { head } = avatar;
    this.layers = avatar.layers.map((layer) => new SplatLayer(gl, layer, head, exact));
    let rows = 0;
    for (const layer of this.layers) {
      this.rows.push(rows);
      rows += layer.rows;
    }
    this.ids = new Uint32Array(avatar.count);
    let at = 0;
    avatar.layers.forEach((layer, l) => {
      for (let i = 0; i < layer.count; i++) this.ids[at++] = this.rows[l] * WIDTH + i;
    });
    this.centers = new Float32Array(rows * WIDTH * 3);
    this.posed = new PosedAvatar(avatar, undefined, (_, l) => this.centersOf(l));
    const Detail = exact || avatar.decoder ? null : avatar.layers.find((layer) => layer.strands)?.strands?.Detail;
    this.detail = Detail ? new Detail(avatar, this.rows, this.ids) : null;
    this.vertices = new Table(gl, "rgb32f", head.vertexCount);
    this.joints = new Table(gl, "rgb32f", 3 * head.parents.length);
    this.vertexData = new Float32Array(3 * head.vertexCount);
    this.jointData = new Float32Array(9 * head.parents.length);
    this.order = new Table(gl, "r32ui", avatar.count);
    this.outputs = [0, 1, 2].map(() => new Table(gl, "rgba32f", rows * WIDTH));
    this.target = new Target(
      gl,
      this.outputs.map((table) => table.texture),
    );
    this.draw = new Program(gl, DRAW_VERTEX, DRAW_FRAGMENT);
    this.array = gl.createVertexArray();
    // The last, since it may hire a worker.
    this.ordering = new Ordering(this.ids, this.centers);
    this.ordering.onFresh = () => this.onChanged?.();
    if (this.posed.hasNetworks || hasExtras(avatar)) this.prepare = (pose) => this.getReady(pose, exact);
  }

  private async getReady(pose: Pose, exact: boolean): Promise<void> {
    if (hasExtras(this.avatar) && !this.extras) {
      const { Extras } = await import("./extras.ts");
      const extras = await Extras.load(this.gl, this.avatar, exact, this.ellipses());
      if (this.disposed) extras.dispose();
      else this.extras = extras;
    }
    if (!this.disposed) await this.posed.prepare(pose);
  }

  /** Gaussians beyond the near plane in the last picture. */
  get shown(): number {
    return this.ordering.shown;
  }

  /** Bytes on the card, without the picture. */
  get bytes(): number {
    const shared = [this.vertices, this.joints, this.order, ...this.outputs];
    return (
      (this.extras?.bytes ?? 0) +
      shared.reduce((sum, table) => sum + table.bytes, 0) +
      this.layers.reduce((sum, layer) => sum + layer.bytes, 0)
    );
  }

  /** Return the part of `centers` that belongs to layer `l`. */
  centersOf(l: number): Float32Array {
    const start = 3 * this.rows[l] * WIDTH;
    return this.centers.subarray(start, start + 3 * this.avatar.layers[l].count);
  }

  pose(pose: Pose): void {
    this.posed.pose(pose);
    this.poses++;
    this.isPosed = true;
    this.upload();
  }

  repaint(layer: number): void {
    this.layers[layer].repaint();
  }

  async setTexture(mesh: number, sampler: string, index: number, picture: ImageBitmap): Promise<void> {
    await this.extras?.paintTexture(mesh, sampler, index, picture);
  }

  protected upload(): void {
    const { gl, posed } = this;
    posed.centers.forEach((centers, l) => {
      if (centers.buffer !== this.centers.buffer) this.centersOf(l).set(centers);
    });
    const { vertices, matrices } = posed.head;
    gl.disable(gl.BLEND);
    if (this.layers.some((layer) => layer.readsVertices)) {
      this.vertexData.set(vertices);
      this.vertices.write(this.vertexData);
    }
    if (this.layers.some((layer) => layer.readsJoints)) {
      for (let j = 0; j < this.jointData.length / 9; j++) {
        for (let n = 0; n < 9; n++) this.jointData[9 * j + n] = matrices[12 * j + 4 * (n % 3) + Math.floor(n / 3)];
      }
      this.joints.write(this.jointData);
    }
    this.layers.forEach((layer, l) => {
      layer.pose(this.centersOf(l), posed.coefficients[l], this.vertices, posed.steps[l]);
    });
    this.extras?.pose(posed);
  }

  /** What an image decoder draws with. */
  private ellipses(): EllipseSource {
    return {
      height: this.outputs[2].height,
      starts: this.rows,
      paint: this.outputs[2],
      arrange: (view) => this.arrange(view, true),
      draw: (view, paint) => this.ellipsesOnto(view, 0, 0, paint),
    };
  }

  render(view: View, background: Background): void {
    this.extras?.decoded?.request(
      view,
      () => this.paint(view, background, null, false),
      () => this.onChanged?.(),
    );
    this.paint(view, background, null, false);
  }

  /** Draw the picture; `now`: to be read back, in its own order whatever that takes. */
  protected paint(view: View, background: Background, framebuffer: WebGLFramebuffer | null, now: boolean): void {
    const { gl } = this;
    const decoded = this.extras?.decoded;
    if (decoded) {
      decoded.present(view, background, framebuffer);
      return;
    }
    if (this.isPosed) this.arrange(view, now);
    if (!this.isPosed || !this.extras?.fill(view, background, framebuffer)) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
      gl.viewport(0, 0, view.width, view.height);
      const { rgb, alpha } = background;
      gl.clearColor(rgb[0] * alpha, rgb[1] * alpha, rgb[2] * alpha, alpha);
      gl.clear(gl.COLOR_BUFFER_BIT);
    }
    this.ellipsesOnto(view, 0, 0);
  }

  /** Order the Gaussians (`now`: in this picture's own order, whatever that takes) and make their ellipses. */
  protected arrange(view: View, now: boolean): void {
    const r = view.rotation;
    const depth: DepthAxis = { axis: [r[6], r[7], r[8]], offset: view.translation[2], near: view.near };
    const { ordering, detail } = this;
    if (detail) ordering.makeOf(detail.choose(view, this.centers), depth);
    if (detail || ordering.make(depth, this.poses, now)) this.order.write(ordering.order.subarray(0, ordering.shown));
    this.splats(view, false);
  }

  /** Blend all ellipses onto the bound framebuffer, at normalised depth `scale - offset / depth`. */
  protected ellipsesOnto(view: View, scale: number, offset: number, paint = this.outputs[2]): void {
    const { gl } = this;
    if (!this.shown) return;
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.draw
      .use()
      .texture("order", this.order)
      .texture("place", this.outputs[0])
      .texture("axes", this.outputs[1])
      .texture("paint", paint)
      .floats("picture", view.width, view.height)
      .floats("clip", scale, offset);
    gl.bindVertexArray(this.array);
    gl.drawArrays(gl.TRIANGLES, 0, 3 * this.shown);
    gl.bindVertexArray(null);
  }

  private splats(view: View, world: boolean): void {
    const { gl } = this;
    const { rootRotation } = this.posed.head;
    gl.disable(gl.BLEND);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.framebuffer);
    this.layers.forEach((layer, l) => {
      const thin = world ? 1 : (this.detail?.levels[l] ?? 1);
      layer.run(this.rows[l], view, this.vertices, this.joints, rootRotation, world, thin);
    });
  }

  async readPixels(view: View, background: Background, half: boolean): Promise<Float32Array | Uint8Array> {
    const { gl } = this;
    const { width, height } = view;
    await this.extras?.decoded?.make(view);
    if (this.disposed) throw new DeviceError("The avatar was taken away while its picture was made.");
    const framebuffer = half ? this.halfTarget(width, height) : null;
    this.paint(view, background, framebuffer, true);
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
    const pixels = half ? new Float32Array(width * height * 4) : new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, half ? gl.FLOAT : gl.UNSIGNED_BYTE, pixels);
    const row = width * 4;
    for (let y = 0; y < height >> 1; y++) {
      const upper = pixels.slice(y * row, (y + 1) * row);
      pixels.copyWithin(y * row, (height - 1 - y) * row, (height - y) * row);
      pixels.set(upper, (height - 1 - y) * row);
    }
    return pixels;
  }

  private halfTarget(width: number, height: number): WebGLFramebuffer {
    if (this.picture?.width !== width || this.picture.height !== height) {
      this.picture?.dispose();
      this.picture = new Picture(this.gl, width, height);
    }
    return this.picture.target.framebuffer;
  }

  async readWorld(view: View): Promise<WorldSplats> {
    const { gl, ids } = this;
    this.splats(view, true);
    const parts = this.outputs.map((table, i) => {
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.framebuffer);
      gl.readBuffer(gl.COLOR_ATTACHMENT0 + i);
      const out = new Float32Array(WIDTH * table.height * 4);
      gl.readPixels(0, 0, WIDTH, table.height, gl.RGBA, gl.FLOAT, out);
      return out;
    });
    const n = ids.length;
    const out: WorldSplats = {
      means: new Float32Array(3 * n),
      covariances: new Float32Array(6 * n),
      opacities: new Float32Array(n),
      rgb: new Float32Array(3 * n),
    };
    ids.forEach((id, i) => {
      const texel = 4 * id;
      out.means.set(this.centers.subarray(3 * id, 3 * id + 3), 3 * i);
      out.rgb.set(parts[0].subarray(texel, texel + 3), 3 * i);
      out.opacities[i] = parts[0][texel + 3];
      out.covariances.set(parts[1].subarray(texel, texel + 4), 6 * i);
      out.covariances.set(parts[2].subarray(texel, texel + 2), 6 * i + 4);
    });
    return out;
  }

  dispose(): void {
    const { gl } = this;
    this.disposed = true;
    this.extras?.dispose();
    this.posed.dispose();
    this.ordering.dispose();
    for (const layer of this.layers) layer.dispose();
    for (const owned of [this.vertices, this.joints, this.order, ...this.outputs, this.target, this.draw])
      owned.dispose();
    this.picture?.dispose();
    gl.deleteVertexArray(this.array);
  }
}

/** Tell whether an avatar has what `Extras` draws. */
function hasExtras(avatar: Avatar): boolean {
  return avatar.meshes.length > 0 || avatar.decoder !== null;
}

/** A half-float picture to read back. */
class Picture {
  readonly target: Target;
  private readonly texture: WebGLTexture;

  constructor(
    private readonly gl: GL,
    readonly width: number,
    readonly height: number,
  ) {
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA16F, width, height);
    this.target = new Target(gl, [this.texture]);
  }

  dispose(): void {
    this.target.dispose();
    this.gl.deleteTexture(this.texture);
  }
}
