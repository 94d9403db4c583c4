/**
 * Undoing a binding at rest: a GLB stores Gaussians as other viewers show them, in world space on the neutral head;
 * players need their rotations and scales in the binding's local space (`exporter/GLB.md`, 1.2).
 */
import type { FaceBinding, Head, SkinBinding } from "../avatar/avatar.ts";
import { matrixToQuat, quatMultiply } from "./rotations.ts";
import { FRAME, triangleFrame, vertexRotations } from "./surface.ts";

export interface BoundLayer {
  count: number;
  binding: FaceBinding | SkinBinding;
  means: Float32Array;
  quats: Float32Array;
  scales: Float32Array;
}

/** Square metres; keeps the ratio of tiny triangles near 1. */
export function areaFloor(binding: FaceBinding): number {
  return 1e-4 * binding.unit ** 2;
}

/** Square metres; sums around a vertex are divided by no less. */
export function sumFloor(binding: FaceBinding): number {
  return 1e-6 * binding.unit ** 2;
}

/** Turn world-space quats and scales at rest into local ones, in place. Skin bindings are local already. */
export function undoBinding(layer: BoundLayer, head: Head): void {
  const { binding } = layer;
  if (binding.kind === "skin") return;
  const template = Float64Array.from(head.template);
  const corners = (face: number) => head.faces.subarray(3 * face, 3 * face + 3);
  const canonical = binding.canonical && Float64Array.from(binding.canonical);
  const turned = binding.frame === "vertex" && canonical;
  const turns = turned ? vertexRotations(turned, template, head.faces, sumFloor(binding)) : null;
  const floor = areaFloor(binding);
  const frame = new Float64Array(FRAME);
  const there = new Float64Array(FRAME);
  const q = new Float64Array(4);
  for (let i = 0; i < layer.count; i++) {
    const [a, b, c] = corners(binding.face[i]);
    triangleFrame(template, a, b, c, frame, 0);
    if (binding.frame === "face" || turns) {
      if (turns) blend(turns, [a, b, c], binding.barycentric, i, q);
      else matrixToQuat(frame, 0, q, 0);
      q[1] = -q[1];
      q[2] = -q[2];
      q[3] = -q[3];
      quatMultiply(q, 0, layer.quats, 4 * i, layer.quats, 4 * i);
    }
    if (binding.splatScale === "none") continue;
    if (canonical) triangleFrame(canonical, a, b, c, there, 0);
    const ratio = (frame[10] / 2 + floor) / (there[10] / 2 + floor);
    const { unit } = binding;
    for (let k = 3 * i; k < 3 * i + 3; k++) {
      const s = layer.scales[k];
      layer.scales[k] =
        binding.splatScale === "edge_height" ? s / Math.max(frame[9], 1e-20) : unit * (s / unit) ** (1 / ratio);
    }
  }
}

function blend(turns: Float64Array, ids: number[], barycentric: Float32Array, i: number, out: Float64Array): void {
  const weights = [barycentric[2 * i], barycentric[2 * i + 1], 1 - barycentric[2 * i] - barycentric[2 * i + 1]];
  for (let c = 0; c < 4; c++) out[c] = ids.reduce((sum, id, k) => sum + weights[k] * turns[4 * id + c], 0);
  const length = Math.max(Math.hypot(out[0], out[1], out[2], out[3]), 1e-20);
  for (let c = 0; c < 4; c++) out[c] /= length;
}
