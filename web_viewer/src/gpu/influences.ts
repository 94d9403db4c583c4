/** Joint influences as texels of two: joint, bits of its weight, twice. */
import type { Influences } from "../posing/skinning.ts";

export interface PackedInfluences {
  /** First texel of each row, and one more. */
  starts: Uint32Array;
  texels: Uint32Array;
}

/** Pack influences; what a row lacks leans on the joint `still`, which never moves. */
export function packInfluences(influences: Influences, missing: Float64Array | null, still: number): PackedInfluences {
  const { starts, joints, weights, rows } = influences;
  const out = new Uint32Array(rows + 1);
  for (let i = 0; i < rows; i++) {
    const lacks = missing !== null && missing[i] !== 0 ? 1 : 0;
    out[i + 1] = out[i] + Math.ceil((starts[i + 1] - starts[i] + lacks) / 2);
  }
  const texels = new Uint32Array(4 * out[rows]);
  const floats = new Float32Array(texels.buffer);
  for (let i = 0; i < rows; i++) {
    let at = 4 * out[i];
    for (let s = starts[i]; s < starts[i + 1]; s++, at += 2) {
      texels[at] = joints[s];
      floats[at + 1] = weights[s];
    }
    if (missing?.[i]) {
      texels[at] = still;
      floats[at + 1] = missing[i];
    }
  }
  return { starts: out, texels };
}

/** WGSL: reads `tables: array<vec4u>` and `frame`. */
export const BLEND = `
struct Rows { x: vec4f, y: vec4f, z: vec4f }

/** The joints' matrices, weighted, as rows. */
fn blended(first: u32, end: u32) -> Rows {
  var m = Rows(vec4f(0), vec4f(0), vec4f(0));
  for (var i = first; i < end; i++) {
    let pair = tables[i];
    for (var h = 0u; h < 2u; h++) {
      let w = bitcast<f32>(select(pair.y, pair.w, h == 1u));
      let j = JOINTS + 3u * select(pair.x, pair.z, h == 1u);
      m.x += w * frame[j];
      m.y += w * frame[j + 1u];
      m.z += w * frame[j + 2u];
    }
  }
  return m;
}

fn through(m: Rows, p: vec3f) -> vec3f {
  let q = vec4f(p, 1.);
  return vec3f(dot(m.x, q), dot(m.y, q), dot(m.z, q));
}

fn linear(m: Rows) -> mat3x3f { return transpose(mat3x3f(m.x.xyz, m.y.xyz, m.z.xyz)); }
`;
