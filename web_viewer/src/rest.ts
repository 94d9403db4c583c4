/**
 * Undoing a binding at rest: a GLB stores Gaussians as other viewers show them, in world space on the neutral head;
 * players need their rotations and scales in the binding's local space (`exporter/GLB.md`, 1.2).
 */
import type { FaceBinding, Head, SkinBinding } from "./avatar.ts";
import { matrixToQuat, quatMultiply } from "./rotations.ts";
import { FRAME, triangleFrame, vertexRotations } from "./surface.ts";

export interface BoundLayer {
  count: number;
  binding: FaceBinding | SkinBinding;
  means: Float32Array;
  quats: Float32Array;
  scales: Float32Array;
}

/** Square metres; keeps the ratio of tiny triangles near 1. The original works at four times the size. */
export const AREA_FLOOR = 1e-4 / 16;

/** Turn world-space quats and scales at rest into local ones, in place. Skin bindings are local already. */
export function undoBinding(layer: BoundLayer, head: Head): void {
  const { binding } = layer;
  if (binding.kind === "skin") return;
  const template = Float64Array.from(head.template);
  const corners = (face: number) => head.faces.subarray(3 * face, 3 * face + 3);
  const canonical = binding.canonical && Float64Array.from(binding.canonical);
  const turns = binding.frame === "vertex" && canonical ? vertexRotations(canonical, template, head.faces) : null;
  const frame = new Float64Array(FRAME);
  const there = new Float64Array(FRAME);
  const q = new Float64Array(4);
  for (let i = 0; i < layer.count; i++) {
    const [a, b, c] = corners(binding.face[i]);
    triangleFrame(template, a, b, c, frame, 0);
    if (binding.frame !== "none") {
      if (turns) blend(turns, [a, b, c], binding.barycentric, i, q);
      else matrixToQuat(frame, 0, q, 0);
      q[1] = -q[1];
      q[2] = -q[2];
      q[3] = -q[3];
      quatMultiply(q, 0, layer.quats, 4 * i, layer.quats, 4 * i);
    }
    if (binding.splatScale === "none") continue;
    if (canonical) triangleFrame(canonical, a, b, c, there, 0);
    const ratio = (frame[10] / 2 + AREA_FLOOR) / (there[10] / 2 + AREA_FLOOR);
    for (let k = 3 * i; k < 3 * i + 3; k++) {
      const s = layer.scales[k];
      layer.scales[k] = binding.splatScale === "edge_height" ? s / Math.max(frame[9], 1e-20) : s ** (1 / ratio);
    }
  }
}

function blend(turns: Float64Array, ids: number[], barycentric: Float32Array, i: number, out: Float64Array): void {
  const weights = [barycentric[2 * i], barycentric[2 * i + 1], 1 - barycentric[2 * i] - barycentric[2 * i + 1]];
  for (let c = 0; c < 4; c++) out[c] = ids.reduce((sum, id, k) => sum + weights[k] * turns[4 * id + c], 0);
  const length = Math.max(Math.hypot(out[0], out[1], out[2], out[3]), 1e-20);
  for (let c = 0; c < 4; c++) out[c] /= length;
}
