/** The head of a bundle (`formats/SPEC.md`, 2.2), as the player's tables. */
import type { Head, Role } from "../avatar/avatar.ts";
import type { Json, SparseRows } from "../avatar/glb.ts";
import { csrFromDense } from "../posing/skinning.ts";
import type { Safetensors } from "./safetensors.ts";

const ROLES = ["root", "neck", "jaw", "left_eye", "right_eye"] as const;

/** Return the head in `head.safetensors`. Throws `AvatarFormatError`. */
export function readHead(file: Safetensors): Head {
  let spec: Json;
  try {
    spec = JSON.parse(file.metadata["flameport.head"] ?? "");
  } catch {
    file.fail("holds no flameport.head");
  }
  if (spec?.format !== "flameport.head/1") file.fail(`has head format “${spec?.format}”; expected flameport.head/1`);
  const texts = (value: Json, key: string): string[] =>
    Array.isArray(value) && value.every((one) => typeof one === "string") ? value : file.fail(`lacks ${key}`);
  const exprNames = texts(spec.expr_names, "expr_names");
  const jointNames = texts(spec.joint_names, "joint_names");
  const [v] = file.shape("v_template", [null, 3]);
  const [f] = file.shape("faces", [null, 3]);
  const [e, j] = [exprNames.length, jointNames.length];
  const template = file.floats("v_template", [v, 3]);
  const expressions = expressionsOf(file, v, e);
  const parents = file.signed("parents", [j]);
  parents.forEach((parent, i) => {
    if (parent < -1 || parent >= i) file.fail("has joints out of order: a parent must come before its children");
  });
  const roles: Partial<Record<Role, number>> = {};
  for (const role of ROLES) {
    const at = spec.joint_roles?.[role];
    if (at === undefined) continue;
    if (!(Number.isInteger(at) && at >= 0 && at < j)) file.fail("names joints that are not there in joint_roles");
    roles[role] = at;
  }
  const { restJoints, jointExprdirs } = jointsOf(file, template, expressions, v, e, j);
  return {
    edition: typeof spec.edition === "string" ? spec.edition : "",
    contentHash: typeof spec.content_hash === "string" ? spec.content_hash : "",
    vertexCount: v,
    faces: file.integers("faces", [f, 3], v),
    template,
    exprNames,
    expressions,
    eyelids: file.has("eyeliddirs") ? columns(file.floats("eyeliddirs", [v, 3, 2]), v, 2) : [],
    correctives: file.has("posedirs") ? columns(file.floats("posedirs", [v, 3, 36]), v, 36) : [],
    eyelidSpace: spec.eyelid_space === "posed" ? "posed" : "rest",
    jointNames,
    parents,
    roles,
    restJoints,
    jointExprdirs,
    weights: csrFromDense(weightsOf(file, v, j), v, j).normalized(),
    arkitMap: file.has("arkit_map") ? file.floats("arkit_map", [52, e + 14]) : null,
    cornerUvs: cornerUvsOf(file, f),
    vertexColors: null,
  };
}

/** Split [V, 3, K] into K directions, only the rows that are not zero where that is fewer than two thirds. */
export function columns(values: Float32Array, rows: number, count: number): SparseRows[] {
  return Array.from({ length: count }, (_, k) => {
    const dense = new Float32Array(3 * rows);
    const kept: number[] = [];
    for (let i = 0; i < rows; i++) {
      let any = false;
      for (let c = 0; c < 3; c++) {
        const value = values[(3 * i + c) * count + k];
        dense[3 * i + c] = value;
        any ||= value !== 0;
      }
      if (any) kept.push(i);
    }
    if (kept.length * 3 > rows * 2) return { rows: null, values: dense };
    const sparse = new Float32Array(3 * kept.length);
    kept.forEach((row, i) => {
      sparse.set(dense.subarray(3 * row, 3 * row + 3), 3 * i);
    });
    return { rows: Uint32Array.from(kept), values: sparse };
  });
}

function expressionsOf(file: Safetensors, v: number, e: number): SparseRows[] {
  if (!file.has("exprdirs.counts")) return e ? columns(file.floats("exprdirs", [v, 3, e]), v, e) : [];
  const counts = file.signed("exprdirs.counts", [e]);
  const [n] = file.shape("exprdirs.indices", [null]);
  const rows = file.integers("exprdirs.indices", [n], v);
  const values = file.floats("exprdirs.values", [n, 3]);
  let at = 0;
  const out = Array.from(counts, (count) => {
    if (count < 0 || at + count > n) file.fail("has 'exprdirs.counts' that do not fit its entries");
    const one = { rows: rows.slice(at, at + count), values: values.slice(3 * at, 3 * (at + count)) };
    at += count;
    return one;
  });
  return at === n ? out : file.fail("has 'exprdirs.counts' that do not fit its entries");
}

function weightsOf(file: Safetensors, v: number, j: number): Float32Array {
  if (!file.has("lbs_joints")) return file.floats("lbs_weights", [v, j]);
  const [, k] = file.shape("lbs_joints", [v, null]);
  const joints = file.integers("lbs_joints", [v, k], j);
  const values = file.floats("lbs_values", [v, k]);
  const out = new Float32Array(v * j);
  for (let i = 0; i < v * k; i++) out[Math.floor(i / k) * j + joints[i]] += values[i];
  return out;
}

/** Return rest joints, and how they move with the expressions, joint-major. */
function jointsOf(
  file: Safetensors,
  template: Float32Array,
  expressions: SparseRows[],
  v: number,
  e: number,
  j: number,
) {
  if (file.has("J_template")) {
    const moved = file.has("J_exprdirs") ? file.floats("J_exprdirs", [j, 3, e]) : null;
    const dirs = moved && new Float32Array(moved.length);
    // [J, 3, E] to J * E * 3.
    moved?.forEach((value, i) => {
      const [joint, c, k] = [Math.floor(i / (3 * e)), Math.floor(i / e) % 3, i % e];
      dirs![(joint * e + k) * 3 + c] = value;
    });
    return { restJoints: Float64Array.from(file.floats("J_template", [j, 3])), jointExprdirs: dirs };
  }
  const regressor = regressorOf(file, v, j);
  const restJoints = new Float64Array(3 * j);
  const sums = new Float64Array(3 * j * e);
  const dense = expressions.map(({ rows, values }) => {
    if (!rows) return values;
    const out = new Float32Array(3 * v);
    rows.forEach((row, i) => {
      out.set(values.subarray(3 * i, 3 * i + 3), 3 * row);
    });
    return out;
  });
  for (const [joint, vertex, weight] of regressor) {
    for (let c = 0; c < 3; c++) {
      restJoints[3 * joint + c] += weight * template[3 * vertex + c];
      for (let k = 0; k < e; k++) sums[(joint * e + k) * 3 + c] += weight * dense[k][3 * vertex + c];
    }
  }
  return { restJoints, jointExprdirs: sums.some((value) => value !== 0) ? Float32Array.from(sums) : null };
}

function regressorOf(file: Safetensors, v: number, j: number): [number, number, number][] {
  if (file.has("J_regressor.values")) {
    const [n] = file.shape("J_regressor.values", [null]);
    const joints = file.integers("J_regressor.joints", [n], j);
    const vertices = file.integers("J_regressor.vertices", [n], v);
    const values = file.floats("J_regressor.values", [n]);
    return Array.from(values, (value, i) => [joints[i], vertices[i], value]);
  }
  const dense = file.floats("J_regressor", [j, v]);
  const out: [number, number, number][] = [];
  dense.forEach((value, i) => {
    if (value !== 0) out.push([Math.floor(i / v), i % v, value]);
  });
  return out;
}

function cornerUvsOf(file: Safetensors, f: number): Float32Array | null {
  if (!file.has("uvs")) return null;
  const [u] = file.shape("uvs", [null, 2]);
  const uvs = file.floats("uvs", [u, 2]);
  const corners = file.integers("uv_faces", [f, 3], u);
  const out = new Float32Array(2 * corners.length);
  corners.forEach((corner, i) => {
    out.set(uvs.subarray(2 * corner, 2 * corner + 2), 2 * i);
  });
  return out;
}
