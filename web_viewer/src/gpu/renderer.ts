/** One avatar on one WebGPU device: everything from pose to picture happens on the card, and nothing is read in a frame. */
import type { Avatar } from "../avatar/avatar.ts";
import type { AvatarRenderer, Background, View, WorldSplats } from "../device.ts";
import type { Pose } from "../posing/pose.ts";
import { COUNTS, Draw } from "./draw.ts";
import { Frame } from "./frame.ts";
import { headPass } from "./head.ts";
import { type Memory, mapped, readBack } from "./memory.ts";
import { Sorter } from "./order.ts";
import { ringOf, type Shared, SplatLayer } from "./splat_layer.ts";

/** Where pictures go. */
export interface Surface {
  texture: GPUTexture;
  view: GPUTextureView;
  format: GPUTextureFormat;
}

/** The device that a renderer draws on. */
export interface Host {
  /** Return what the next picture goes to. */
  surface(width: number, height: number): Surface;
  /** Throw a `DeviceError`, once, for what went wrong on the card meanwhile. */
  check(): void;
  /** A renderer has freed what it had. */
  released(memory: Memory): void;
}

export class Renderer implements AvatarRenderer {
  private readonly device: GPUDevice;
  private readonly frame: Frame;
  private readonly frameBuffer: GPUBuffer;
  private readonly counts: GPUBuffer;
  private readonly poseHead: (pass: GPUComputePassEncoder) => void;
  private readonly layers: SplatLayer[];
  private readonly splats: ((pass: GPUComputePassEncoder) => void)[];
  private readonly sorter: Sorter;
  private readonly draw: Draw;
  private moved = true;
  private count = 0;
  private tally: "idle" | "wanted" | "coming" = "idle";

  constructor(
    private readonly memory: Memory,
    private readonly host: Host,
    private readonly avatar: Avatar,
    exact: boolean,
  ) {
    this.device = memory.device;
    const { head, count, layers } = avatar;
    this.frame = new Frame(avatar);
    this.frameBuffer = memory.storage("frame", this.frame.data);
    this.counts = memory.storage("counts", 4 * COUNTS.words, GPUBufferUsage.INDIRECT);
    this.sorter = new Sorter(memory, count);
    const vertices = head.vertexCount;
    let next = vertices;
    const places = layers.map((layer, l) => {
      const turns = next;
      if (ringOf(layer)) next += 2 * vertices;
      const offset = layers.slice(0, l).reduce((sum, before) => sum + before.count, 0);
      return { vertices, turns, rows: 0, total: count, offset };
    });
    // Blended joint matrices of every vertex, where Gaussians move with vertices.
    const rows = layers.some(({ binding }) => binding.kind === "skin" && binding.vertex) ? next : null;
    if (rows !== null) next += 3 * vertices;
    const shared: Shared = {
      frame: this.frameBuffer,
      posed: memory.storage("posed head", 16 * next),
      keys: this.sorter.keys,
      counts: this.counts,
    };
    this.poseHead = headPass(memory, this.frame, head, exact, rows, shared);
    this.layers = layers.map((_, l) => {
      return new SplatLayer(memory, avatar, l, this.frame, shared, { ...places[l], rows: rows ?? 0 }, exact);
    });
    const ellipses = memory.storage("ellipses", 48 * count);
    this.splats = this.layers.map((layer) => layer.pass(ellipses, false));
    this.draw = new Draw(this.device, {
      frame: this.frameBuffer,
      order: this.sorter.order,
      ellipses,
      counts: this.counts,
    });
  }

  get bytes(): number {
    return this.memory.bytes;
  }

  /** As of a picture drawn since somebody last asked; it comes from the card later, so that no frame waits for it. */
  get shown(): number {
    if (this.tally === "idle") this.tally = "wanted";
    return this.count;
  }

  pose(pose: Pose): void {
    this.frame.pose(pose);
    this.moved = true;
  }

  repaint(layer: number): void {
    this.layers[layer].repaint();
  }

  render(view: View, background: Background): void {
    this.host.check();
    const { view: target, format } = this.host.surface(view.width, view.height);
    const encoder = this.device.createCommandEncoder();
    this.encode(encoder, view);
    this.draw.run(encoder, target, format, background);
    const told = this.tally === "wanted" ? this.copyCount(encoder) : null;
    this.device.queue.submit([encoder.finish()]);
    if (told) this.hear(told);
  }

  /** Pose what has moved, and order this view's ellipses. */
  private encode(encoder: GPUCommandEncoder, view: View): void {
    this.look(view);
    encoder.clearBuffer(this.counts);
    const pass = encoder.beginComputePass();
    this.poseVertices(pass);
    for (const run of this.splats) run(pass);
    this.sorter.run(pass);
    this.draw.finish(pass);
    pass.end();
  }

  private look(view: View): void {
    this.frame.look(view);
    this.device.queue.writeBuffer(this.frameBuffer, 0, this.frame.data.buffer as ArrayBuffer);
  }

  private poseVertices(pass: GPUComputePassEncoder): void {
    if (!this.moved) return;
    this.poseHead(pass);
    for (const layer of this.layers) layer.ring?.(pass);
    this.moved = false;
  }

  private copyCount(encoder: GPUCommandEncoder): GPUBuffer {
    this.tally = "coming";
    const copy = this.memory.buffer("count", 4, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    encoder.copyBufferToBuffer(this.counts, 4 * COUNTS.shown, copy, 0, 4);
    return copy;
  }

  private hear(copy: GPUBuffer): void {
    mapped(this.memory, copy, 4).then(
      (bytes) => {
        this.count = new Uint32Array(bytes)[0];
        this.tally = "idle";
      },
      // The card was lost, or the renderer disposed: nobody asks any more.
      () => {},
    );
  }

  async readPixels(view: View, background: Background, half: boolean): Promise<Float32Array | Uint8Array> {
    this.host.check();
    const { width, height } = view;
    const format: GPUTextureFormat = half ? "rgba16float" : "rgba8unorm";
    const { RENDER_ATTACHMENT, COPY_SRC } = GPUTextureUsage;
    const texture = this.device.createTexture({ size: [width, height], format, usage: RENDER_ATTACHMENT | COPY_SRC });
    const row = Math.ceil((width * (half ? 8 : 4)) / 256) * 256;
    const copy = this.memory.buffer("picture", row * height, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    const encoder = this.device.createCommandEncoder();
    this.encode(encoder, view);
    this.draw.run(encoder, texture.createView(), format, background);
    encoder.copyTextureToBuffer({ texture }, { buffer: copy, bytesPerRow: row }, [width, height]);
    this.device.queue.submit([encoder.finish()]);
    const bytes = await mapped(this.memory, copy, row * height).finally(() => texture.destroy());
    this.host.check();
    const out = half ? new Float32Array(width * height * 4) : new Uint8Array(width * height * 4);
    for (let y = 0; y < height; y++) {
      if (half) {
        const line = new Uint16Array(bytes, y * row, width * 4);
        for (let i = 0; i < line.length; i++) out[y * width * 4 + i] = fromHalf(line[i]);
      } else out.set(new Uint8Array(bytes, y * row, width * 4), y * width * 4);
    }
    return out;
  }

  async readWorld(view: View): Promise<WorldSplats> {
    this.host.check();
    const { count } = this.avatar;
    const world = this.memory.storage("Gaussians in the world", 64 * count);
    const runs = this.layers.map((layer) => layer.pass(world, true));
    this.look(view);
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    this.poseVertices(pass);
    for (const run of runs) run(pass);
    pass.end();
    this.device.queue.submit([encoder.finish()]);
    const got = new Float32Array(await readBack(this.memory, world, 64 * count));
    this.memory.free(world);
    this.host.check();
    const out: WorldSplats = {
      means: new Float32Array(3 * count),
      covariances: new Float32Array(6 * count),
      opacities: new Float32Array(count),
      rgb: new Float32Array(3 * count),
    };
    for (let i = 0; i < count; i++) {
      const at = 16 * i;
      out.rgb.set(got.subarray(at, at + 3), 3 * i);
      out.opacities[i] = got[at + 3];
      out.covariances.set(got.subarray(at + 4, at + 10), 6 * i);
      out.means.set(got.subarray(at + 12, at + 15), 3 * i);
    }
    return out;
  }

  dispose(): void {
    this.memory.dispose();
    this.host.released(this.memory);
  }
}

/** Return the number that 16 bits of a half float are. */
function fromHalf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const rest = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return rest ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? (1 + rest / 1024) * 2 ** (exponent - 15) : rest * 2 ** -24);
}
