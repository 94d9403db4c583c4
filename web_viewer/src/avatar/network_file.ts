/** Networks of a GLB, and who is moved by which (`exporter/GLB.md`, 1.6). Running them is `networks.ts`. */

import { AvatarFormatError } from "../errors.ts";
import { CHANNELS, type Channel } from "../posing/dynamics.ts";
import type { Decoder, Head, Layer, LinearDynamics, MeshLayer, Network, Port } from "./avatar.ts";
import { choice, fail, integer, list, text } from "./fields.ts";
import type { Glb, Json } from "./glb.ts";

/** Numbers of one tensor whose size the file tells. */
const MOST = 1 << 26;

export function readNetworks(glb: Glb, spec: Json): Map<string, Network> {
  const networks = new Map<string, Network>();
  for (const [name, entry] of Object.entries<Json>(spec ?? {})) {
    const where = `networks.${name}`;
    networks.set(name, {
      name,
      onnx: glb.bytes(entry.bufferView, where),
      inputs: ports(entry.inputs, `${where}.inputs`),
      outputs: ports(entry.outputs, `${where}.outputs`),
      space: choice(entry.space ?? "canonical", `${where}.space`, ["canonical", "posed"]),
    });
  }
  return networks;
}

function ports(spec: Json, where: string): Port[] {
  return list(spec, where).map((entry) => {
    const shape = list(entry?.shape, where).map((n) => (n === null ? null : integer(n, where, MOST)));
    if (shape.reduce<number>((size, n) => size * (n ?? 1), 1) > MOST) fail(where);
    return { name: text(entry.name, ""), shape };
  });
}

function named(networks: Map<string, Network>, name: Json, where: string): Network {
  return networks.get(name) ?? fail(`${where}: network “${name}”`);
}

/** Return the shape of an output, or fail. */
function output(network: Network, name: string, last: number | null): (number | null)[] {
  const port = network.outputs.find((one) => one.name === name);
  if (!port || (last !== null && port.shape[port.shape.length - 1] !== last)) {
    fail(`networks.${network.name}.outputs.${name}`);
  }
  return port.shape;
}

/**
 * Give layers that a network moves their live tables, check that every network that is named is there, and return the
 * decoder.
 */
export function joinNetworks(
  networks: Map<string, Network>,
  head: Head,
  layers: Layer[],
  meshes: MeshLayer[],
  root: Json,
): Decoder | null {
  for (const layer of layers) {
    const { dynamics } = layer;
    if (!dynamics?.network) continue;
    const network = named(networks, dynamics.network, layer.name);
    if (dynamics.live) fillLive(layer, dynamics, network);
    else output(network, "coefficients", dynamics.rank);
  }
  for (const { name, shading } of meshes) {
    if (!shading) continue;
    const width = shading.hidden * (shading.featureCount + 6 + shading.bases.length);
    output(named(networks, shading.network, name), "shading_weights", width);
  }
  for (const network of networks.values()) {
    for (const { name, shape } of network.inputs) {
      if (name === "expr" && shape[shape.length - 1] !== head.expressions.length) {
        fail(`networks.${network.name}.inputs.expr`);
      }
    }
  }
  if (root.decoder === undefined) return null;
  const network = named(networks, root.decoder, "decoder");
  const [input] = network.inputs;
  if (network.inputs.length !== 1 || input.name !== "features" || input.shape.length !== 4) fail("decoder");
  output(network, "image", null);
  if (meshes.length) fail("decoder, with mesh layers");
  const channels = layers.reduce((most, layer) => (layer.features ? layer.features.length / layer.count : most), 0);
  for (const layer of layers) {
    if (!layer.features || layer.features.length !== channels * layer.count) {
      throw new AvatarFormatError(
        `Layer “${layer.name}” has no features for the image decoder. Export the avatar again.`,
      );
    }
  }
  if (input.shape[1] !== null && input.shape[1] !== channels) fail(`networks.${network.name}.inputs.features`);
  const scale = integer(root.decoderScale ?? 1, "decoderScale", 64);
  return scale >= 1 ? { network, scale, channels } : fail("decoderScale");
}

/** Make room for what the network will say: nothing moves until it has. */
function fillLive(layer: Layer, dynamics: LinearDynamics, network: Network): void {
  dynamics.space = network.space;
  dynamics.driver = network.inputs.map((port) => port.name).filter((name) => name !== "posed_means");
  for (const { name, shape } of network.outputs) {
    const rows = `networks.${network.name}.outputs.${name}`;
    if (name === "features") {
      const width = shape[1];
      if (shape[0] !== layer.count || !width) fail(rows);
      layer.features = new Float32Array(layer.count * width);
    } else if (name.startsWith("delta_")) {
      const channel = choice(name.slice(6), rows, Object.keys(CHANNELS) as Channel[]);
      if (shape[0] !== layer.count || shape[1] !== CHANNELS[channel]) fail(rows);
      dynamics.tables[channel] = new Float32Array(layer.count * CHANNELS[channel]);
    }
  }
}
