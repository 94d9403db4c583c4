/** Drawing: one draw of a triangle around every ellipse, back to front, as many as the card itself counted. */
import type { Background } from "../device.ts";
import { declare, Kernel } from "./kernel.ts";

/** Words of `counts`: arguments of the draw (4), spare, Gaussians beyond the near plane, Gaussians on the picture. */
export const COUNTS = { words: 8, shown: 6 };

const SLOTS = { frame: "array<vec4f>", order: "array<u32>", ellipses: "array<vec4f>" };

const FINISH = `
@compute @workgroup_size(1)
fn main() {
  counts[0] = 3u * counts[7];
  counts[1] = 1u;
}`;

// One triangle around each ellipse, as in `gl/renderer.ts`, which gives the times of other shapes. All corners have w = 1, so
// linear interpolation is the same as the usual one; on a software adapter the draw takes 0.82 of the time.
const DRAW = `
struct Corner {
  @builtin(position) position: vec4f,
  @location(0) @interpolate(linear) q: vec2f,
  @location(1) @interpolate(flat) color: vec4f,
}

@vertex
fn corner(@builtin(vertex_index) v: u32) -> Corner {
  let i = 3u * order[v / 3u];
  let place = ellipses[i];
  let axes = ellipses[i + 1u];
  let paint = ellipses[i + 2u];
  var c = vec2f(0, 2);
  if (v % 3u == 0u) { c = vec2f(-1.7320508, -1); }
  if (v % 3u == 1u) { c = vec2f(1.7320508, -1); }
  let at = (place.xy + c.x * axes.xy + c.y * axes.zw) * 2. / frame[5].xy;
  // Base two, so that the fragment shader has nothing to scale: sqrt(log2(e) / 2).
  return Corner(vec4f(at.x - 1., 1. - at.y, 0, 1), c * (place.z * .84932180), vec4f(paint.xyz, log2(paint.w)));
}

// Below 1/255 nothing is added; without discard or a branch, which would cost early tests and help nothing here.
@fragment
fn paint(@location(0) @interpolate(linear) q: vec2f, @location(1) @interpolate(flat) color: vec4f) -> @location(0) vec4f {
  var a = min(.99, exp2(color.w - dot(q, q)));
  a *= step(1. / 255., a);
  return vec4f(color.xyz * a, a);
}`;

export class Draw {
  /** Makes the draw's arguments out of what was counted. */
  readonly finish: (pass: GPUComputePassEncoder) => void;
  private readonly pipelines = new Map<GPUTextureFormat, GPURenderPipeline>();
  private readonly layout: GPUBindGroupLayout;
  private readonly module: GPUShaderModule;
  private readonly group: GPUBindGroup;
  private readonly counts: GPUBuffer;

  constructor(
    private readonly device: GPUDevice,
    buffers: Record<keyof typeof SLOTS | "counts", GPUBuffer>,
  ) {
    this.counts = buffers.counts;
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
      entries: Object.keys(SLOTS).map((name, binding) => ({
        binding,
        resource: { buffer: buffers[name as keyof typeof SLOTS] },
      })),
    });
  }

  /** Draw onto a texture of `format`. */
  run(encoder: GPUCommandEncoder, view: GPUTextureView, format: GPUTextureFormat, { rgb, alpha }: Background): void {
    const clearValue = [rgb[0] * alpha, rgb[1] * alpha, rgb[2] * alpha, alpha];
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view, clearValue, loadOp: "clear", storeOp: "store" }],
    });
    pass.setPipeline(this.pipeline(format));
    pass.setBindGroup(0, this.group);
    pass.drawIndirect(this.counts, 0);
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
