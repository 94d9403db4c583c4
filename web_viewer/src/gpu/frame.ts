/**
 * Everything that changes from frame to frame, as rows of four floats that go to the card in one piece: the view, the
 * root's rotation, joint matrices, and the coefficients of shapes and of each layer's dynamics.
 */
import type { Avatar } from "../avatar/avatar.ts";
import type { View } from "../device.ts";
import { coefficientsOf } from "../posing/dynamics.ts";
import { HeadPoser } from "../posing/head.ts";
import type { Pose } from "../posing/pose.ts";
import { consts } from "./kernel.ts";

/** Rows: view rotation with translation (3), eye and near plane, fx fy cx cy, width and height, root rotation (3). */
const JOINTS = 9;
const LIDS = 2;

export class Frame {
  readonly data: Float32Array;
  /** Where shapes' coefficients begin: expressions, correctives, lids. */
  readonly coefficients: number;
  /** The first lid among the shapes, and whether lids are added after skinning. */
  readonly shapes: { lids: number; lidsPosed: boolean };
  /** Where each layer's dynamics coefficients begin. */
  readonly dynamics: number[] = [];
  private readonly poser: HeadPoser;
  private readonly ranks: (Float64Array | null)[];

  constructor(private readonly avatar: Avatar) {
    const { head, layers } = avatar;
    this.poser = new HeadPoser(head);
    this.ranks = layers.map((layer) => layer.dynamics && new Float64Array(layer.dynamics.rank));
    // One joint more, which never moves: weights that do not sum to 1 lean on it.
    this.coefficients = JOINTS + 3 * (head.parents.length + 1);
    this.shapes = {
      lids: head.expressions.length + head.correctives.length,
      lidsPosed: head.eyelidSpace === "posed",
    };
    let rows = this.coefficients + Math.ceil((this.shapes.lids + LIDS) / 4);
    for (const rank of this.ranks) {
      this.dynamics.push(rows);
      rows += Math.ceil((rank?.length ?? 0) / 4);
    }
    this.data = new Float32Array(4 * rows);
    const still = 4 * (this.coefficients - 3);
    for (let r = 0; r < 3; r++) this.data[still + 5 * r] = 1;
  }

  pose(pose: Pose): void {
    const { data, poser, avatar } = this;
    poser.drive(pose);
    for (let r = 0; r < 3; r++) data.set(poser.rootRotation.subarray(3 * r, 3 * r + 3), 4 * (6 + r));
    data.set(poser.matrices, 4 * JOINTS);
    let at = 4 * this.coefficients;
    for (const part of [pose.expr, poser.feature, pose.eyelids]) {
      data.set(part, at);
      at += part.length;
    }
    avatar.layers.forEach((layer, l) => {
      const rank = this.ranks[l];
      if (!layer.dynamics || !rank) return;
      coefficientsOf(layer.dynamics, pose, rank);
      data.set(rank, 4 * this.dynamics[l]);
    });
  }

  look(view: View): void {
    const { data } = this;
    for (let r = 0; r < 3; r++) {
      data.set(view.rotation.subarray(3 * r, 3 * r + 3), 4 * r);
      data[4 * r + 3] = view.translation[r];
    }
    data.set([...view.eye, view.near, ...view.intrinsics, view.width, view.height], 12);
  }

  /** WGSL that reads it from `frame: array<vec4f>`. */
  get source(): string {
    return consts({ JOINTS, COEFFICIENTS: this.coefficients }) + FRAME;
  }
}

const FRAME = `
fn coefficient(shape: u32) -> f32 { return frame[COEFFICIENTS + shape / 4u][shape % 4u]; }
fn viewRotation() -> mat3x3f { return transpose(mat3x3f(frame[0].xyz, frame[1].xyz, frame[2].xyz)); }
fn viewTranslation() -> vec3f { return vec3f(frame[0].w, frame[1].w, frame[2].w); }
fn rootRotation() -> mat3x3f { return transpose(mat3x3f(frame[6].xyz, frame[7].xyz, frame[8].xyz)); }
`;
