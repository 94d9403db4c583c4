/** The head on the card: a thread per vertex moves it by shapes and joints (`formats.deform.deform_head`). */
import type { Head } from "../avatar/avatar.ts";
import { BLOCK, DISPLACEMENT, packDeltas } from "./deltas.ts";
import type { Frame } from "./frame.ts";
import { BLEND, packInfluences } from "./influences.ts";
import { consts, Kernel } from "./kernel.ts";
import type { Memory } from "./memory.ts";

const SLOTS = {
  frame: "array<vec4f>",
  tables: "array<vec4u>",
  deltas: "array<u32>",
  posed: "mut array<vec4f>",
};

const SOURCE = `
@compute @workgroup_size(${BLOCK})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * ${BLOCK}u + lane;
  if (i >= COUNT) { return; }
  let d = displacement(group.x, lane);
  let m = blended(tables[i].w, tables[i + 1u].w);
  var v = through(m, bitcast<vec3f>(tables[i].xyz) + d.rest);
  if (LIDS_POSED) { v += rootRotation() * d.after; }
  posed[i] = vec4f(v, 1.);
  if (KEEPS_ROWS) {
    posed[ROWS + 3u * i] = m.x;
    posed[ROWS + 3u * i + 1u] = m.y;
    posed[ROWS + 3u * i + 2u] = m.z;
  }
}`;

/** Make the pass that poses the head into `posed`; blended joint matrices go to row `rows` of it, where that is not null. */
export function headPass(
  memory: Memory,
  frame: Frame,
  head: Head,
  exact: boolean,
  rows: number | null,
  buffers: { frame: GPUBuffer; posed: GPUBuffer },
): (pass: GPUComputePassEncoder) => void {
  const count = head.vertexCount;
  const { starts, texels } = packInfluences(head.weights, null, head.parents.length);
  const tables = new Uint32Array(4 * (count + 1) + texels.length);
  const floats = new Float32Array(tables.buffer);
  for (let v = 0; v <= count; v++) {
    if (v < count) floats.set(head.template.subarray(3 * v, 3 * v + 3), 4 * v);
    tables[4 * v + 3] = count + 1 + starts[v];
  }
  tables.set(texels, 4 * (count + 1));
  const shapes = [...head.expressions, ...head.correctives, ...head.eyelids];
  const deltas = packDeltas(
    count,
    shapes.map((direction, shape) => ({ direction, shape })),
    exact,
  );
  const constants = {
    COUNT: count,
    BLOCKS: Math.ceil(count / BLOCK),
    EXACT: exact,
    LIDS: frame.shapes.lids,
    LIDS_POSED: frame.shapes.lidsPosed,
    KEEPS_ROWS: rows !== null,
    ROWS: rows ?? 0,
  };
  const source = consts(constants) + frame.source + BLEND + DISPLACEMENT + SOURCE;
  const run = new Kernel(memory.device, "head", SLOTS, source).bind({
    ...buffers,
    tables: memory.storage("head", tables),
    deltas: memory.storage("blendshapes", deltas),
  });
  return (pass) => run(pass, constants.BLOCKS);
}
