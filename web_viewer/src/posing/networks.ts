/**
 * What an avatar's networks say about a pose: deltas and features of Gaussians, coefficients, shading weights. The runtime
 * is a chunk of its own (`onnx_runner.ts`), loaded when an avatar with networks is first posed.
 */
import type { Avatar, Layer, Network } from "../avatar/avatar.ts";
import { AvatarFormatError, SequenceError } from "../errors.ts";
import { centersOf } from "./binding.ts";
import { HeadPoser } from "./head.ts";
import type { Pose } from "./pose.ts";

export interface Tensor {
  data: Float32Array;
  shape: number[];
}

/** One network, loaded. */
export interface NetworkRunner {
  /** Return the outputs by name; one run at a time. */
  run(feed: Record<string, Tensor>): Promise<Record<string, Tensor>>;
  dispose(): void;
}

export type OpenNetwork = (network: Network) => Promise<NetworkRunner>;

/** Open a network with onnxruntime-web. */
export const openNetwork: OpenNetwork = async (network) => (await import("./onnx_runner.ts")).openOnnx(network);

/** What networks said about one pose. */
export interface Answers {
  /** Per layer: outputs of the network that moves it. */
  live: (Record<string, Tensor> | null)[];
  /** Per layer: coefficients of its tables. */
  coefficients: (Float32Array | null)[];
  /** Per mesh layer. */
  shading: (Float32Array | null)[];
}

/** Asks the networks of one avatar; the decoder is not among them. */
export class AvatarNetworks {
  private readonly open = new Map<string, Promise<NetworkRunner>>();
  private readonly head: HeadPoser;
  private readonly bound: (((pose: Pose) => Tensor) | null)[];
  private disposed = false;

  constructor(
    private readonly avatar: Avatar,
    private readonly opener: OpenNetwork = openNetwork,
  ) {
    // A head of its own: the one on the screen keeps its pose until the answer is there.
    this.head = new HeadPoser(avatar.head);
    this.bound = avatar.layers.map((layer) => this.boundMeans(layer));
  }

  /** Where the binding puts a layer's Gaussians before its network moves them. */
  private boundMeans(layer: Layer): ((pose: Pose) => Tensor) | null {
    const network = layer.dynamics?.live ? this.avatar.networks.get(layer.dynamics.network!)! : null;
    if (!network?.inputs.some((port) => port.name === "posed_means")) return null;
    if (network.space !== "posed") {
      throw new AvatarFormatError(`Network “${network.name}” takes posed_means and is not in posed space.`);
    }
    const centers = centersOf({ ...layer, dynamics: null }, this.head);
    const out = new Float64Array(3 * layer.count);
    return (pose) => {
      centers.place(pose, null, out);
      return { data: Float32Array.from(out), shape: [layer.count, 3] };
    };
  }

  /** Ask every network about a pose. The pose is read before the first wait. */
  async ask(pose: Pose): Promise<Answers> {
    const { avatar } = this;
    if (this.bound.some((means) => means)) this.head.pose(pose);
    const asked = new Map<string, Promise<Record<string, Tensor>>>();
    const once = (name: string, feed: Record<string, Tensor>): Promise<Record<string, Tensor>> => {
      // Shells share a network, and it is asked once; only what depends on the layer itself is asked again.
      const known = feed.posed_means ? undefined : asked.get(name);
      const answer = known ?? this.run(name, feed);
      if (!feed.posed_means) asked.set(name, answer);
      return answer;
    };
    const live = avatar.layers.map((layer, l) => {
      if (!layer.dynamics?.live) return null;
      const network = avatar.networks.get(layer.dynamics.network!)!;
      const means = this.bound[l]?.(pose);
      return once(network.name, { ...feedOf(network, pose), ...(means && { posed_means: means }) });
    });
    const coefficients = avatar.layers.map((layer) => {
      const { dynamics } = layer;
      if (!dynamics?.network || dynamics.live) return null;
      return this.run(dynamics.network, cutDriver(avatar.networks.get(dynamics.network)!, dynamics, pose));
    });
    const shading = avatar.meshes.map((mesh) => {
      const network = mesh.shading && avatar.networks.get(mesh.shading.network)!;
      return network && once(network.name, feedOf(network, pose));
    });
    const [a, b, c] = await Promise.all([Promise.all(live), Promise.all(coefficients), Promise.all(shading)]);
    return {
      live: a,
      coefficients: b.map((answer) => answer?.coefficients.data ?? null),
      shading: c.map((answer) => answer?.shading_weights.data ?? null),
    };
  }

  private async run(name: string, feed: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    const network = this.avatar.networks.get(name)!;
    const runner = this.open.get(name) ?? this.opener(network);
    this.open.set(name, runner);
    const answer = await (await runner).run(feed);
    for (const port of network.outputs) checkOutput(network, port.name, port.shape, answer[port.name]);
    return answer;
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const runner of this.open.values()) void runner.then((one) => one.dispose()).catch(() => {});
    this.open.clear();
  }
}

/** Throw unless an output is what the file says. */
export function checkOutput(
  network: Network,
  name: string,
  shape: (number | null)[],
  tensor: Tensor | undefined,
): void {
  const fits = tensor?.shape.length === shape.length && shape.every((n, i) => n === null || n === tensor.shape[i]);
  if (!fits) {
    throw new AvatarFormatError(
      `Network “${network.name}”: '${name}' has shape ${tensor?.shape ?? "none"}, the file says ${shape}.`,
    );
  }
}

/** Return the numbers of a pose as a network's inputs, [1, D] each. */
function feedOf(network: Network, pose: Pose): Record<string, Tensor> {
  const feed: Record<string, Tensor> = {};
  for (const { name, shape } of network.inputs) {
    if (name === "posed_means") continue;
    const width = shape[shape.length - 1];
    // Without a clip nothing drives it: the network is asked about zeros, as expressions are at rest.
    const values = pose.driver(name) ?? (width === null ? undefined : new Float64Array(width));
    if (!values || (width !== null && values.length !== width)) {
      throw new SequenceError(
        `The avatar's network reads ${width} numbers from ${name}; the clip holds ${values?.length ?? "none"}.`,
      );
    }
    feed[name] = { data: Float32Array.from(values), shape: [1, values.length] };
  }
  return feed;
}

/** Return the driver less its mean as a network's inputs: each is a part of the driver, in whatever order the network lists them. */
export function cutDriver(
  network: Network,
  { driver, mean }: { driver: string[]; mean: Float32Array | null },
  pose: Pose,
): Record<string, Tensor> {
  const feed: Record<string, Tensor> = {};
  const read = new Map(network.inputs.map(({ name, shape }) => [name, shape[shape.length - 1]]));
  let at = 0;
  for (const name of driver) {
    const values = pose.driver(name);
    const expected = read.get(name);
    const width = values?.length ?? expected ?? 0;
    if (read.has(name)) {
      if (expected !== null && width !== expected) {
        throw new SequenceError(
          `The avatar's network reads ${expected} numbers from ${name}; the clip holds ${width}.`,
        );
      }
      // Without a clip nothing drives it: it rests at its mean.
      const data = Float32Array.from({ length: width }, (_, i) => (values ? values[i] - (mean?.[at + i] ?? 0) : 0));
      feed[name] = { data, shape: [1, width] };
    }
    at += width;
  }
  if (mean && mean.length !== at) {
    throw new SequenceError(
      `The avatar's dynamics read ${mean.length} numbers from ${driver.join(" + ")}; the clip holds ${at}.`,
    );
  }
  const missing = network.inputs.find(({ name }) => !feed[name]);
  if (missing) {
    throw new AvatarFormatError(
      `Network “${network.name}” takes ${missing.name}, which is not among what drives it: ${driver.join(", ")}.`,
    );
  }
  return feed;
}
