/** An avatar at one moment, on the CPU: head, dynamics coefficients, the centres of every Gaussian, and mesh layers. */
import type { Avatar, Layer } from "../avatar/avatar.ts";
import { type Centers, centersOf } from "./binding.ts";
import { type Channel, coefficientsOf } from "./dynamics.ts";
import { HeadPoser } from "./head.ts";
import { MeshPoser } from "./mesh_poser.ts";
import type { Answers, AvatarNetworks, OpenNetwork, Tensor } from "./networks.ts";
import type { Pose } from "./pose.ts";

export class PosedAvatar {
  readonly head: HeadPoser;
  /** Per layer, N * 3; float32, as the card takes them, where nothing is added to them or taken from them afterwards. */
  readonly centers: (Float32Array | Float64Array)[];
  /** Per layer; null without dynamics. */
  readonly coefficients: (Float64Array | null)[];
  /** Per layer, N * 3: where segments of strands point in world space, where the frame of their triangle does not say so. */
  readonly steps: (Float64Array | null)[];
  /** Per mesh layer. */
  readonly meshes: MeshPoser[];
  /** Per mesh layer: W1 then W2 of its shading network, as `formats.avatar.BasisMix` orders them; null without. */
  readonly shading: (Float32Array | null)[];
  private readonly placers: Centers[];
  /** Of layers with `steps`: where segments end whose middles are where they begin. */
  private readonly ends: (Centers | null)[];
  /** Whether `prepare` has to come before `pose`. */
  readonly hasNetworks: boolean;
  private networks: AvatarNetworks | null = null;
  private answers: Answers | null = null;
  private disposed = false;

  constructor(
    readonly avatar: Avatar,
    private readonly opener?: OpenNetwork,
    /** Returns where the float32 centres of a layer go. */
    room: (layer: Layer, l: number) => Float32Array = (layer) => new Float32Array(3 * layer.count),
  ) {
    this.head = new HeadPoser(avatar.head);
    this.placers = avatar.layers.map((layer) => centersOf(layer, this.head));
    this.centers = avatar.layers.map((layer, l) =>
      isFinal(layer) ? room(layer, l) : new Float64Array(3 * layer.count),
    );
    this.coefficients = avatar.layers.map((layer) => layer.dynamics && new Float64Array(layer.dynamics.rank));
    this.ends = avatar.layers.map((layer) => endsOf(layer, this.head));
    this.steps = avatar.layers.map((layer, l) => this.ends[l] && new Float64Array(3 * layer.count));
    this.meshes = avatar.meshes.map((mesh) => new MeshPoser(mesh, this.head));
    this.shading = avatar.meshes.map(() => null);
    this.hasNetworks = avatar.layers.some((l) => l.dynamics?.network) || avatar.meshes.some((mesh) => mesh.shading);
  }

  /** Ask the networks about a pose, which nobody changes meanwhile. The next `pose` takes the answers. */
  async prepare(pose: Pose): Promise<void> {
    if (!this.hasNetworks) return;
    const { AvatarNetworks } = await import("./networks.ts");
    if (this.disposed) return;
    this.networks ??= new AvatarNetworks(this.avatar, this.opener);
    this.answers = await this.networks.ask(pose);
  }

  pose(pose: Pose): void {
    const { answers } = this;
    this.head.pose(pose);
    this.avatar.layers.forEach((layer, l) => {
      const { dynamics } = layer;
      const coefficients = this.coefficients[l];
      const said = answers?.coefficients[l];
      const live = answers?.live[l];
      if (live) takeLive(layer, live);
      if (dynamics && coefficients) {
        if (dynamics.live) coefficients[0] = 1;
        else if (!dynamics.network) coefficientsOf(dynamics, pose, coefficients);
        else if (said) coefficients.set(said);
      }
      this.placers[l].place(pose, coefficients, this.centers[l]);
      const steps = this.steps[l];
      if (!steps) return;
      this.ends[l]!.place(pose, null, steps);
      for (let i = 0; i < steps.length; i++) steps[i] -= this.centers[l][i];
    });
    this.meshes.forEach((mesh, m) => {
      mesh.pose(pose);
      if (answers) this.shading[m] = answers.shading[m];
    });
    this.answers = null;
  }

  dispose(): void {
    this.disposed = true;
    this.networks?.dispose();
  }
}

/** Tell whether a layer's centres are what the binding says, triangle by triangle or vertex by vertex, and nothing more. */
function isFinal({ binding, dynamics, strands }: Layer): boolean {
  return (
    (binding.kind === "face" || binding.vertex !== null) &&
    !strands &&
    !(dynamics?.space === "posed" && dynamics.tables.means)
  );
}

/** Return what places the means of strands one step further, where only that tells their direction; null elsewhere. */
function endsOf(layer: Layer, head: HeadPoser): Centers | null {
  const { strands, binding, means } = layer;
  if (!strands || binding.kind !== "face" || binding.frame !== "vertex") return null;
  return centersOf({ ...layer, means: means.map((x, i) => x + strands.steps[i]) }, head);
}

/** Put what a network said into the tables it moves. */
function takeLive(layer: Layer, live: Record<string, Tensor>): void {
  for (const [name, { data }] of Object.entries(live)) {
    if (name === "features") layer.features!.set(data);
    else layer.dynamics!.tables[name.slice(6) as Channel]?.set(data);
  }
}
