/** Mesh layers on the posed head (`formats.deform.deform_mesh`). */
import type { MeshLayer } from "../avatar/avatar.ts";
import { onOwnTables } from "./binding.ts";
import type { HeadPoser } from "./head.ts";
import type { Pose } from "./pose.ts";

/** Poses one mesh layer again and again without allocating. */
export class MeshPoser {
  /** V * 3, world space; and unit normals. */
  readonly vertices: Float64Array;
  readonly normals: Float64Array;
  private readonly linear: Float64Array;
  private readonly place: (pose: Pose, out: Float64Array) => void;

  constructor(
    private readonly layer: MeshLayer,
    poser: HeadPoser,
  ) {
    this.vertices = new Float64Array(3 * layer.vertexCount);
    this.normals = new Float64Array(3 * layer.vertexCount);
    this.linear = new Float64Array(9 * layer.vertexCount);
    this.place = onOwnTables(layer.tables, poser, layer.vertices, this.linear);
  }

  pose(pose: Pose): void {
    this.place(pose, this.vertices);
    const { linear: m, normals } = this;
    const rest = this.layer.normals;
    for (let i = 0, k = 0; i < normals.length; i += 3, k += 9) {
      const [a, b, c] = [rest[i], rest[i + 1], rest[i + 2]];
      const x = m[k] * a + m[k + 1] * b + m[k + 2] * c;
      const y = m[k + 3] * a + m[k + 4] * b + m[k + 5] * c;
      const z = m[k + 6] * a + m[k + 7] * b + m[k + 8] * c;
      const length = Math.max(Math.sqrt(x * x + y * y + z * z), 1e-20);
      normals[i] = x / length;
      normals[i + 1] = y / length;
      normals[i + 2] = z / length;
    }
  }
}
