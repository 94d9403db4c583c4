/** The posed head, as `formats.deform.deform_head` defines it; float64, active coefficients only. */
import type { Head, Role } from "../avatar/avatar.ts";
import type { SparseRows } from "../avatar/glb.ts";
import type { Pose } from "./pose.ts";
import { axisAngleToMatrix } from "./rotations.ts";
import { moveAll, moveAsOne, skin } from "./skinning.ts";

const CORRECTED: Role[] = ["neck", "jaw", "left_eye", "right_eye"];

/** Add `weight` times a direction to `out`. */
export function addRows(out: Float64Array, direction: SparseRows, weight: number): void {
  if (weight === 0) return;
  const { rows, values } = direction;
  if (rows) {
    for (let k = 0, v = 0; k < rows.length; k++, v += 3) {
      const o = rows[k] * 3;
      out[o] += weight * values[v];
      out[o + 1] += weight * values[v + 1];
      out[o + 2] += weight * values[v + 2];
    }
  } else {
    for (let i = 0; i < values.length; i++) out[i] += weight * values[i];
  }
}

/** Add every direction of a table by its coefficient; further coefficients are ignored. */
export function addAll(out: Float64Array, directions: SparseRows[], coefficients: Float64Array): void {
  let waiting = 0;
  for (let k = 0; k < directions.length; k++) {
    const weight = coefficients[k];
    const { rows, values } = directions[k];
    if (rows || values.length !== out.length) {
      addRows(out, directions[k], weight);
    } else if (weight !== 0) {
      queued[waiting] = values;
      weights[waiting++] = weight;
      if (waiting === AT_ONCE) {
        addQueued(out, waiting);
        waiting = 0;
      }
    }
  }
  addQueued(out, waiting);
  // Nobody's tables are kept alive from here.
  queued.fill(NOTHING);
}

const NOTHING: Float32Array = new Float32Array(0);
const AT_ONCE = 8;
const queued = new Array<Float32Array>(AT_ONCE).fill(NOTHING);
const weights = new Float64Array(AT_ONCE);

/** Add up to eight directions, which read and write `out` once: a third of the time that one after another takes. */
function addQueued(out: Float64Array, waiting: number): void {
  if (waiting === 0) return;
  // Nothing times the first one, where there are fewer.
  queued.fill(queued[0], waiting);
  weights.fill(0, waiting);
  const [a, b, c, d, e, f, g, h] = queued;
  const [p, q, r, s, t, u, v, w] = weights;
  const length = out.length;
  for (let i = 0; i < length; i++) {
    out[i] += p * a[i] + q * b[i] + r * c[i] + s * d[i] + t * e[i] + u * f[i] + v * g[i] + w * h[i];
  }
}

/** Add directions after skinning, turned by the root (row-major): what `eyelidSpace` "posed" means. */
export function addTurned(
  out: Float32Array | Float64Array,
  directions: SparseRows[],
  coefficients: Float64Array,
  root: Float64Array,
): void {
  directions.forEach(({ rows, values }, k) => {
    const weight = coefficients[k];
    if (weight === 0) return;
    const turn = root.map((entry) => entry * weight);
    for (let v = 0; v < values.length; v += 3) {
      const o = rows ? rows[v / 3] * 3 : v;
      for (let i = 0; i < 3; i++) {
        out[o + i] += turn[3 * i] * values[v] + turn[3 * i + 1] * values[v + 1] + turn[3 * i + 2] * values[v + 2];
      }
    }
  });
}

/** Poses one head again and again without allocating. */
export class HeadPoser {
  /** V * 3, world space. */
  readonly vertices: Float64Array;
  /** V * 3: expressed and corrected, before skinning. */
  readonly rest: Float64Array;
  /** J * 12, row-major 3x4: rest space to world, translation included. */
  readonly matrices: Float64Array;
  /** Entries of (R - I); empty when the head has no correctives. */
  readonly feature: Float64Array;
  /** Row-major. */
  readonly rootRotation = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
  /** V * 9: each vertex's blended joint rotation, when asked for, but for poses whose joints move `asOne`. */
  linear: Float64Array | null = null;
  /** In the last pose every joint moved as the first one did. */
  asOne = false;
  private readonly canBeOne: boolean;
  private readonly local: Float64Array;
  private readonly joints: Float64Array;
  private readonly world: Float64Array;
  private readonly template: Float64Array;
  private readonly angles: Float64Array;

  constructor(readonly head: Head) {
    const joints = head.parents.length;
    this.template = Float64Array.from(head.template);
    this.vertices = this.template.slice();
    this.rest = this.template.slice();
    this.matrices = new Float64Array(12 * joints);
    this.world = new Float64Array(12 * joints);
    this.local = new Float64Array(9 * joints);
    this.joints = new Float64Array(3 * joints);
    this.angles = new Float64Array(3 * joints);
    this.feature = new Float64Array(head.correctives.length);
    this.canBeOne = joints > 0 && head.weights.reachesAll;
  }

  /** Work out joints and the correctives' weights only, for those who move vertices elsewhere. */
  drive(pose: Pose): void {
    this.rotateJoints(pose);
    this.moveJoints(pose);
  }

  pose(pose: Pose): void {
    const { head, rest } = this;
    this.drive(pose);
    rest.set(this.template);
    addAll(rest, head.expressions, pose.expr);
    if (head.eyelidSpace === "rest") addAll(rest, head.eyelids, pose.eyelids);
    if (this.feature.length) addAll(rest, head.correctives, this.feature);
    this.asOne = this.canBeOne && moveAsOne(this.matrices);
    if (this.asOne) moveAll(rest, this.matrices, this.vertices);
    else skin(rest, head.weights, this.matrices, null, this.vertices, this.linear);
    if (head.eyelidSpace === "posed") addTurned(this.vertices, head.eyelids, pose.eyelids, this.rootRotation);
  }

  private rotateJoints(pose: Pose): void {
    const { roles } = this.head;
    const { angles, local, feature } = this;
    angles.fill(0);
    const drive = (role: Role, values: Float64Array) => {
      const joint = roles[role];
      if (joint !== undefined) angles.set(values, 3 * joint);
    };
    drive("root", pose.rotation);
    drive("neck", pose.neck);
    drive("jaw", pose.jaw);
    drive("left_eye", pose.eyes.subarray(0, 3));
    drive("right_eye", pose.eyes.subarray(3, 6));
    for (const [joint, angle] of pose.joints) angles.set(angle, 3 * joint);
    for (let j = 0; j < this.head.parents.length; j++) axisAngleToMatrix(angles, 3 * j, local, 9 * j);
    if (roles.root !== undefined) this.rootRotation.set(local.subarray(9 * roles.root, 9 * roles.root + 9));
    if (!feature.length) return;
    CORRECTED.forEach((role, r) => {
      const joint = roles[role];
      for (let c = 0; c < 9; c++) {
        feature[9 * r + c] = joint === undefined ? 0 : local[9 * joint + c] - (c % 4 === 0 ? 1 : 0);
      }
    });
  }

  private moveJoints(pose: Pose): void {
    const { head, joints, world, local, matrices } = this;
    const { parents, jointExprdirs } = head;
    const count = head.expressions.length;
    joints.set(head.restJoints);
    if (jointExprdirs) {
      for (let e = 0; e < count; e++) {
        const w = pose.expr[e];
        if (w === 0) continue;
        for (let j = 0; j < parents.length; j++) {
          const d = (j * count + e) * 3;
          for (let c = 0; c < 3; c++) joints[3 * j + c] += w * jointExprdirs[d + c];
        }
      }
    }
    for (let j = 0; j < parents.length; j++) {
      const p = parents[j];
      const o = 12 * j;
      const u = 12 * p;
      for (let r = 0; r < 3; r++) {
        for (let c = 0; c < 4; c++) {
          if (p < 0) {
            world[o + 4 * r + c] = c < 3 ? local[9 * j + 3 * r + c] : joints[3 * j + r];
            continue;
          }
          let sum = c < 3 ? 0 : world[u + 4 * r + 3];
          for (let k = 0; k < 3; k++) {
            const step = c < 3 ? local[9 * j + 3 * k + c] : joints[3 * j + k] - joints[3 * p + k];
            sum += world[u + 4 * r + k] * step;
          }
          world[o + 4 * r + c] = sum;
        }
      }
      for (let r = 0; r < 3; r++) {
        let shift = world[o + 4 * r + 3] + pose.translation[r];
        for (let c = 0; c < 3; c++) {
          matrices[o + 4 * r + c] = world[o + 4 * r + c];
          shift -= world[o + 4 * r + c] * joints[3 * j + c];
        }
        matrices[o + 4 * r + 3] = shift;
      }
    }
  }

  /** Return the rest position of a joint at the last pose's expression. */
  restJoint(joint: number): Float64Array {
    return this.joints.subarray(3 * joint, 3 * joint + 3);
  }
}
