/** One layer of Gaussians on the card: its tables, and its passes. */
import type { Avatar, Head, Layer } from "../avatar/avatar.ts";
import { sumFloor } from "../posing/rest.ts";
import { FRAME, triangleFrame } from "../posing/surface.ts";
import { type Column, packColumns } from "./columns.ts";
import { BLOCK, packDeltas, type Shape } from "./deltas.ts";
import type { Frame } from "./frame.ts";
import { packInfluences } from "./influences.ts";
import { Kernel } from "./kernel.ts";
import type { Memory } from "./memory.ts";
import { ringPass } from "./ring.ts";
import { type Places, SLOTS, splatShader } from "./splat_shader.ts";

const SH_C0 = 0.28209479177387814;
const SECTIONS = 5;

/** What all layers share. */
export interface Shared {
  frame: GPUBuffer;
  posed: GPUBuffer;
  keys: GPUBuffer;
  counts: GPUBuffer;
}

type Pass = (pass: GPUComputePassEncoder) => void;

export class SplatLayer {
  /** Turns of vertices; null when nothing needs them. */
  readonly ring: Pass | null;
  private readonly tables: GPUBuffer;
  private readonly more: GPUBuffer;
  private readonly deltas: GPUBuffer;
  private readonly places: Places;

  constructor(
    private readonly memory: Memory,
    private readonly avatar: Avatar,
    private readonly index: number,
    private readonly frame: Frame,
    private readonly shared: Shared,
    places: Omit<Places, "columns">,
    private readonly exact: boolean,
  ) {
    const layer = this.layer;
    const { head } = avatar;
    const { count, binding } = layer;
    const columns = columnsOf(layer);
    this.places = { ...places, columns: columns.length };
    this.tables = memory.storage("Gaussians", tablesOf(layer, head));
    this.more = memory.storage("harmonics and dynamics", packColumns(count, columns, exact));
    this.deltas = memory.storage("skin tables", packDeltas(count, shapesOf(layer, head, frame), exact));
    const kind = ringOf(layer);
    const canonical = binding.kind === "face" ? binding.canonical! : head.template;
    const floor = binding.kind === "face" ? sumFloor(binding) : 0;
    this.ring = kind && ringPass(memory, kind, canonical, head, floor, places.turns, shared.posed);
  }

  private get layer(): Layer {
    return this.avatar.layers[this.index];
  }

  /** Take the layer's present opacities, colours and harmonics. */
  repaint(): void {
    const { memory, layer, avatar, exact } = this;
    const { queue } = memory.device;
    queue.writeBuffer(this.tables, 0, tablesOf(layer, avatar.head).buffer as ArrayBuffer);
    queue.writeBuffer(this.more, 0, packColumns(layer.count, columnsOf(layer), exact).buffer as ArrayBuffer);
  }

  /** Make the pass that writes Gaussians: ellipses and keys, or what they are in the world. */
  pass(ellipses: GPUBuffer, world: boolean): Pass {
    const { memory, frame, index, layer, places, exact, shared, tables, more, deltas } = this;
    const source = splatShader(layer, frame, index, places, exact, world);
    const run = new Kernel(memory.device, "Gaussians", SLOTS, source).bind({
      ...shared,
      tables,
      more,
      deltas,
      ellipses,
    });
    return (pass) => run(pass, Math.ceil(layer.count / BLOCK));
  }
}

/** Return which turns of vertices a layer needs. */
export function ringOf({ binding }: Layer): "vertex" | "surface" | null {
  if (binding.kind === "face") return binding.frame === "vertex" ? "vertex" : null;
  return binding.rotation === "surface" ? "surface" : null;
}

/** Return five texels a Gaussian, section by section, as `splat_shader.ts` reads them, then influences. */
function tablesOf(layer: Layer, head: Head): Uint32Array {
  const { count, binding } = layer;
  const own = binding.kind === "skin" ? binding.own : null;
  const packed = own && packInfluences(own.weights, own.weights.missing(), head.parents.length);
  const first = 4 * SECTIONS * (count + 1);
  const words = new Uint32Array(first + (packed?.texels.length ?? 0));
  const floats = new Float32Array(words.buffer);
  const section = (s: number, i: number) => 4 * (s * (count + 1) + i);
  const k = (layer.degree + 1) ** 2 * 3;
  const there = new Float64Array(FRAME);
  const canonical = binding.kind === "face" && binding.canonical ? Float64Array.from(binding.canonical) : null;
  for (let i = 0; i < count; i++) {
    const [mean, shape, color, corners] = [section(0, i), section(2, i), section(3, i), section(4, i)];
    floats.set(layer.means.subarray(3 * i, 3 * i + 3), mean);
    floats.set(layer.quats.subarray(4 * i, 4 * i + 4), section(1, i));
    floats.set(layer.scales.subarray(3 * i, 3 * i + 3), shape);
    floats[shape + 3] = layer.opacities[i];
    for (let c = 0; c < 3; c++) floats[color + c] = 0.5 + SH_C0 * layer.sh[i * k + c];
    if (binding.kind === "face") {
      const f = 3 * binding.face[i];
      const [a, b, c] = head.faces.subarray(f, f + 3);
      words.set([a, b, c], corners);
      floats[mean + 3] = binding.barycentric[2 * i];
      floats[corners + 3] = binding.barycentric[2 * i + 1];
      if (canonical) triangleFrame(canonical, a, b, c, there, 0);
      floats[color + 3] = there[10] / 2;
    } else if (binding.vertex) {
      const v = binding.vertex[i];
      // What turns with the vertex is the way from it.
      for (let c = 0; c < 3; c++) floats[mean + c] = layer.means[3 * i + c] - head.template[3 * v + c];
      words[mean + 3] = v;
    } else words[mean + 3] = first / 4 + packed!.starts[i];
  }
  if (packed) {
    words[section(0, count) + 3] = first / 4 + packed.starts[count];
    words.set(packed.texels, first);
  }
  return words;
}

/** Return harmonics without DC, then the dynamics of each rank, channel by channel. */
function columnsOf(layer: Layer): Column[] {
  const { count, degree, sh, dynamics } = layer;
  const k = (degree + 1) ** 2 * 3;
  const columns: Column[] = [];
  for (let n = 3; n < k; n++) {
    columns.push((out) => {
      for (let i = 0; i < count; i++) out[i] = sh[i * k + n];
    });
  }
  if (!dynamics) return columns;
  const { means, rotvecs, opacity_logits, log_scales, rgb } = dynamics.tables;
  for (let r = 0; r < dynamics.rank; r++) {
    for (const table of [means, rotvecs, opacity_logits, log_scales, rgb]) {
      const width = table ? table.length / (count * dynamics.rank) : 0;
      for (let c = 0; table && c < width; c++) {
        columns.push((out) => {
          for (let i = 0; i < count; i++) out[i] = table[(r * count + i) * width + c];
        });
      }
    }
  }
  return columns;
}

function shapesOf({ binding }: Layer, head: Head, frame: Frame): Shape[] {
  const own = binding.kind === "skin" ? binding.own : null;
  if (!own) return [];
  const from = (first: number, most: number, directions: Shape["direction"][]) =>
    directions.slice(0, most).map((direction, i) => ({ direction, shape: first + i }));
  const { expressions, correctives } = head;
  return [
    ...from(0, expressions.length, own.expressions),
    ...from(expressions.length, correctives.length, own.correctives),
    ...from(frame.shapes.lids, 2, own.eyelids),
  ];
}
