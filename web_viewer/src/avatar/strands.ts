/** Strands of a GLB, as one Gaussian per segment (`exporter/GLB.md`, 1.5; `formats.deform.deform_strands`). */

import { StrandDetail } from "../gl/strand_detail.ts";
import { quatAlong } from "../posing/rotations.ts";
import type { FaceBinding, Head, Layer } from "./avatar.ts";
import { EXTENSION, fail, integer, onePrimitive, SPLATS, text } from "./fields.ts";
import type { Glb, Json } from "./glb.ts";
import { readBinding } from "./splat_layers.ts";

/** Segments of one layer that we read. */
const MOST = 1 << 24;

/** Return a layer of strands: Gaussians on the faces that the strands' roots ride. */
export function readStrands(glb: Glb, head: Head, entry: Json, index: number): Layer {
  const where = `layers[${index}]`;
  const primitive = onePrimitive(glb, entry.mesh, `${where}.mesh`);
  const own = primitive.extensions?.[SPLATS]?.extensions?.[EXTENSION] ?? fail(where);
  const count = integer(own.strandCount, `${where}.strandCount`, MOST);
  const points = integer(own.strandPoints, `${where}.strandPoints`, MOST);
  if (count < 1 || points < 2 || count * points > MOST) fail(`${where}.strandPoints`);
  const { segmentScale } = own;
  if (!(segmentScale > 0 && segmentScale < 1e3)) fail(`${where}.segmentScale`);
  const n = count * (points - 1);
  const name = (attribute: string) => primitive.attributes[`${SPLATS}:${attribute}`];
  const scale = glb.floats(name("SCALE"), 3, n);
  const opacities = glb.floats(name("OPACITY"), 1, n);
  const sh = glb.floats(name("SH_DEGREE_0_COEF_0"), 3, n);
  const binding = readBinding(glb, head, { ...own.binding, splatScale: "none" }, count, null);
  if (binding.kind !== "face") fail(`${where}.binding`);
  const local = glb.floats(own.points, 3, count * points);

  const means = new Float32Array(3 * n);
  const steps = new Float32Array(3 * n);
  const quats = new Float32Array(4 * n);
  const scales = new Float32Array(3 * n);
  for (let m = 0, s = 0; m < count; m++) {
    for (let j = 0; j + 1 < points; j++, s++) {
      const p = 3 * (m * points + j);
      let length = 0;
      for (let c = 0; c < 3; c++) {
        const step = local[p + 3 + c] - local[p + c];
        steps[3 * s + c] = step;
        means[3 * s + c] = local[p + c] + step / 2;
        length += step * step;
      }
      length = Math.sqrt(length);
      quatAlong(steps, 3 * s, length, quats, 4 * s);
      scales.set([segmentScale * length, scale[3 * s + 1], scale[3 * s + 1]], 3 * s);
    }
  }
  return {
    name: text(entry.name, `layer ${index}`),
    count: n,
    binding: spread(binding, points - 1),
    means,
    quats,
    scales,
    opacities,
    sh,
    degree: 0,
    order: segmentOrder(own.order === undefined ? null : glb.integers(own.order, 1, count, count), points - 1),
    shFrame: "world",
    dynamics: null,
    strands: { count, points, segmentScale, steps, Detail: StrandDetail },
    features: null,
  };
}

/** Return the binding of each strand's root, once for each of its segments. */
function spread(binding: FaceBinding, segments: number): FaceBinding {
  const n = binding.face.length * segments;
  const face = new Uint32Array(n);
  const barycentric = new Float32Array(2 * n);
  for (let i = 0; i < n; i++) {
    const m = Math.floor(i / segments);
    face[i] = binding.face[m];
    barycentric[2 * i] = binding.barycentric[2 * m];
    barycentric[2 * i + 1] = binding.barycentric[2 * m + 1];
  }
  // Points turn with the root in frame `corner` as in `root`; only quaternions differ, and strands bring none.
  return { ...binding, face, barycentric, frame: binding.frame === "corner" ? "root" : binding.frame };
}

function segmentOrder(order: Uint32Array | null, segments: number): Uint32Array | null {
  return (
    order &&
    Uint32Array.from(
      { length: order.length * segments },
      (_, i) => order[Math.floor(i / segments)] * segments + (i % segments),
    )
  );
}
