/** A compute shader with named storage buffers. Its layout is said, not inferred: shaders may leave a buffer unused. */
/// <reference types="@webgpu/types" />

/** Name in the shader to WGSL type, with `mut ` before it when the shader writes. The order is the binding's number. */
export type Slots = Record<string, string>;

/** Storage buffers that any device allows a shader. */
const MOST_BUFFERS = 8;

interface Compiled {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

/** What a card has compiled already, by source: avatars share it. */
const compiled = new WeakMap<GPUDevice, Map<string, Compiled>>();

export class Kernel {
  private readonly compiled: Compiled;

  constructor(
    private readonly device: GPUDevice,
    private readonly label: string,
    private readonly slots: Slots,
    source: string,
  ) {
    const code = declare(slots) + source;
    const known = compiled.get(device) ?? new Map<string, Compiled>();
    compiled.set(device, known);
    this.compiled = known.get(code) ?? this.compile(code);
    known.set(code, this.compiled);
  }

  private compile(code: string): Compiled {
    const { device, label, slots } = this;
    const names = Object.entries(slots);
    if (names.length > MOST_BUFFERS) throw new RangeError(`${label} binds ${names.length} buffers of ${MOST_BUFFERS}`);
    const layout = device.createBindGroupLayout({
      label,
      entries: names.map(([, type], binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: type.startsWith("mut ") ? "storage" : "read-only-storage" },
      })),
    });
    const module = device.createShaderModule({ label, code });
    const pipeline = device.createComputePipeline({
      label,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    return { pipeline, layout };
  }

  /** Return a run of it with these buffers: by name, one for every slot. */
  bind(buffers: Record<string, GPUBuffer>): (pass: GPUComputePassEncoder, groups: number) => void {
    const entries = Object.keys(this.slots).map((name, binding) => ({ binding, resource: { buffer: buffers[name] } }));
    const { pipeline, layout } = this.compiled;
    const group = this.device.createBindGroup({ label: this.label, layout, entries });
    return (pass, groups) => {
      if (!groups) return;
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(groups);
    };
  }
}

/** Return WGSL declarations of storage buffers. */
export function declare(slots: Slots): string {
  return Object.entries(slots)
    .map(([name, type], i) => {
      const writes = type.startsWith("mut ");
      const access = writes ? "read_write" : "read";
      return `@group(0) @binding(${i}) var<storage, ${access}> ${name}: ${writes ? type.slice(4) : type};\n`;
    })
    .join("");
}

/** Return WGSL constants: booleans, floats as `float(x)`, and whole numbers as u32. */
export function consts(values: Record<string, number | boolean | string>): string {
  return Object.entries(values)
    .map(([name, value]) => `const ${name} = ${typeof value === "number" ? `${value}u` : value};\n`)
    .join("");
}

/** Return a number as a WGSL f32 literal. */
export function float(value: number): string {
  return `${Math.fround(value).toExponential()}f`;
}
