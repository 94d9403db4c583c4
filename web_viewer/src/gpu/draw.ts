/** Drawing: one indexed draw of all quads, back to front, as many as the card itself counted. */
import type { Background } from "../device.ts";
import { declare, Kernel } from "./kernel.ts";
import type { Memory } from "./memory.ts";

/** Quads per instance: many, because instances of one quad leave most of a wave idle. */
const QUADS = 256;

/** Words of `counts`: arguments of the draw (5), spare, Gaussians beyond the near plane, Gaussians on the picture. */
export const COUNTS = { words: 8, shown: 6 };

const SLOTS = {
  frame: "array<vec4f>",
  order: "array<u32>",
  ellipses: "array<vec4f>",
  counts: "array<u32>",
};

const FINISH = `
@compute @workgroup_size(1)
fn main() {
  counts[0] = ${6 * QUADS}u;
  counts[1] = (counts[7] + ${QUADS - 1}u) / ${QUADS}u;
}`;

const DRAW = `
struct Corner {
  @builtin(position) position: vec4f,
  @location(0) q: vec2f,
  @location(1) @interpolate(flat) color: vec4f,
}

@vertex
fn corner(@builtin(vertex_index) v: u32, @builtin(instance_index) batch: u32) -> Corner {
  let k = batch * ${QUADS}u + (v >> 2u);
  if (k >= counts[7]) { return Corner(vec4f(2, 2, 2, 1), vec2f(0), vec4f(0)); }
  let i = 3u * order[k];
  let place = ellipses[i];
  let axes = ellipses[i + 1u];
  let c = vec2f(f32(v & 1u), f32((v >> 1u) & 1u)) * 2. - 1.;
  let pixel = place.xy + c.x * axes.xy + c.y * axes.zw;
  let at = pixel * 2. / frame[5].xy;
  return Corner(vec4f(at.x - 1., 1. - at.y, 0, 1), c * place.z, ellipses[i + 2u]);
}

// Below 1/255 nothing is added; without discard, which would cost early tests and helps nothing here.
@fragment
fn paint(@location(0) q: vec2f, @location(1) @interpolate(flat) color: vec4f) -> @location(0) vec4f {
  let a = min(.99, color.w * exp(-.5 * dot(q, q)));
  return select(vec4f(color.xyz * a, a), vec4f(0), a < 1. / 255.);
}`;

export class Draw {
  /** Makes the draw's arguments out of what was counted. */
  readonly finish: (pass: GPUComputePassEncoder) => void;
  private readonly pipelines = new Map<GPUTextureFormat, GPURenderPipeline>();
  private readonly layout: GPUBindGroupLayout;
  private readonly module: GPUShaderModule;
  private readonly group: GPUBindGroup;
  private readonly quads: GPUBuffer;

  constructor(
    memory: Memory,
    private readonly device: GPUDevice,
    private readonly buffers: { frame: GPUBuffer; order: GPUBuffer; ellipses: GPUBuffer; counts: GPUBuffer },
  ) {
    const finish = new Kernel(device, "finish", { counts: "mut array<u32>" }, FINISH).bind(buffers);
    this.finish = (pass) => finish(pass, 1);
    this.layout = device.createBindGroupLayout({
      entries: Object.keys(SLOTS).map((_, binding) => ({
        binding,
        visibility: GPUShaderStage.VERTEX,
        buffer: { type: "read-only-storage" },
      })),
    });
    this.module = device.createShaderModule({ label: "draw", code: declare(SLOTS) + DRAW });
    this.group = device.createBindGroup({
      layout: this.layout,
      entries: Object.values(buffers).map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const indices = Uint16Array.from(
      { length: 6 * QUADS },
      (_, i) => 4 * Math.floor(i / 6) + [0, 1, 2, 2, 1, 3][i % 6],
    );
    this.quads = memory.buffer("quads", indices.byteLength, GPUBufferUsage.INDEX | GPUBufferUsage.COPY_DST, indices);
  }

  /** Draw onto a texture of `format`. */
  run(encoder: GPUCommandEncoder, view: GPUTextureView, format: GPUTextureFormat, { rgb, alpha }: Background): void {
    const clearValue = [rgb[0] * alpha, rgb[1] * alpha, rgb[2] * alpha, alpha];
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view, clearValue, loadOp: "clear", storeOp: "store" }],
    });
    pass.setPipeline(this.pipeline(format));
    pass.setBindGroup(0, this.group);
    pass.setIndexBuffer(this.quads, "uint16");
    pass.drawIndexedIndirect(this.buffers.counts, 0);
    pass.end();
  }

  private pipeline(format: GPUTextureFormat): GPURenderPipeline {
    let pipeline = this.pipelines.get(format);
    if (!pipeline) {
      const { module, device, layout } = this;
      const over: GPUBlendComponent = { srcFactor: "one", dstFactor: "one-minus-src-alpha" };
      pipeline = device.createRenderPipeline({
        label: "draw",
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        vertex: { module, entryPoint: "corner" },
        fragment: { module, entryPoint: "paint", targets: [{ format, blend: { color: over, alpha: over } }] },
      });
      this.pipelines.set(format, pipeline);
    }
    return pipeline;
  }
}
