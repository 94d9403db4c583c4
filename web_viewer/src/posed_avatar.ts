/** An avatar at one moment, on the CPU: head, dynamics coefficients and the centres of every Gaussian. */
import type { Avatar } from "./avatar.ts";
import { type Centers, centersOf } from "./binding.ts";
import { coefficientsOf } from "./dynamics.ts";
import { HeadPoser } from "./head.ts";
import type { Pose } from "./pose.ts";

export class PosedAvatar {
  readonly head: HeadPoser;
  /** Per layer, N * 3. */
  readonly centers: Float64Array[];
  /** Per layer; null without dynamics. */
  readonly coefficients: (Float64Array | null)[];
  private readonly placers: Centers[];

  constructor(readonly avatar: Avatar) {
    this.head = new HeadPoser(avatar.head);
    this.placers = avatar.layers.map((layer) => centersOf(layer, this.head));
    this.centers = avatar.layers.map((layer) => new Float64Array(3 * layer.count));
    this.coefficients = avatar.layers.map((layer) => layer.dynamics && new Float64Array(layer.dynamics.rank));
  }

  pose(pose: Pose): void {
    this.head.pose(pose);
    this.avatar.layers.forEach((layer, l) => {
      const coefficients = this.coefficients[l];
      if (layer.dynamics && coefficients) coefficientsOf(layer.dynamics, pose, coefficients);
      this.placers[l].place(pose, coefficients, this.centers[l]);
    });
  }
}
