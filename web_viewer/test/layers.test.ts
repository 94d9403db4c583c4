/** Mesh layers, strands and what networks move, against the reference on the same frames; networks run in onnxruntime-web. */
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadAvatar } from "../src/avatar/load.ts";
import { readSequence } from "../src/driving/sequence_json.ts";
import { AvatarFormatError, SequenceError } from "../src/errors.ts";
import type { OpenNetwork } from "../src/posing/networks.ts";
import { AvatarNetworks, cutDriver, openNetwork } from "../src/posing/networks.ts";
import { Pose } from "../src/posing/pose.ts";
import { PosedAvatar } from "../src/posing/posed_avatar.ts";
import { goldenAvatar, goldenBytes, goldenJson, withJson } from "./files.ts";

/** Metres, and parts of a unit normal: numbers are stored to seven digits, networks are float32. */
const TOLERANCE = 2e-6;
/** Deltas, features, coefficients and shading weights of two builds of onnxruntime. */
const NETWORKS = 1e-5;

interface Ports {
  inputs: Record<string, number[]>;
  outputs: Record<string, number[]>;
}

const names = readdirSync(new URL("../../tests/golden/layers/", import.meta.url))
  .filter((name) => name.endsWith(".glb"))
  .map((name) => name.slice(0, -4));

function far(a: ArrayLike<number>, b: ArrayLike<number>, bound: number, where: string): void {
  expect(a.length, where).toBe(b.length);
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  expect(most, where).toBeLessThan(bound);
}

describe.each(names)("%s", (name) => {
  const avatar = goldenAvatar(`../layers/${name}.glb`);
  const golden = goldenJson(`../layers/${name}.json`);
  const sequence = readSequence(goldenJson(`../layers/${name.split(".")[0]}.clip.json`), avatar.head);

  it("is posed as the reference", async () => {
    const said: Record<string, Record<string, ArrayLike<number>>> = {};
    const listen: OpenNetwork = async (network) => {
      const runner = await openNetwork(network);
      return {
        ...runner,
        run: async (feed) => {
          const answer = await runner.run(feed);
          said[network.name] = {};
          for (const [port, { data }] of Object.entries({ ...feed, ...answer })) said[network.name][port] = data;
          return answer;
        },
      };
    };
    const posed = new PosedAvatar(avatar, listen);
    const pose = new Pose(avatar.head);
    const columns = sequence.columns(avatar.head);
    for (const frame of golden.frames) {
      sequence.sample(frame.t, pose, columns);
      await posed.prepare(pose);
      posed.pose(pose);
      far(posed.head.vertices, frame.vertices, TOLERANCE, "head");
      for (const layer of frame.layers) {
        const where = `${layer.name} at ${frame.t}`;
        const mesh = avatar.meshes.findIndex((one) => one.name === layer.name);
        if (mesh >= 0) {
          far(posed.meshes[mesh].vertices, layer.vertices, TOLERANCE, where);
          far(posed.meshes[mesh].normals, layer.normals, TOLERANCE, where);
          continue;
        }
        const l = avatar.layers.findIndex((one) => one.name === layer.name);
        far(inOrder(posed.centers[l], avatar.layers[l].order), layer.means, TOLERANCE, where);
      }
      for (const [network, { inputs, outputs }] of Object.entries<Ports>(frame.networks)) {
        for (const [port, wanted] of Object.entries({ ...inputs, ...outputs })) {
          if (said[network]) far(said[network][port], wanted, NETWORKS, `${network} ${port} at ${frame.t}`);
        }
        // The decoder is asked for a picture, not for a pose.
        expect(network in said || network === avatar.decoder?.network.name).toBe(true);
      }
    }
    posed.dispose();
  });
});

/** Return rows of three as the avatar counts them. */
function inOrder(rows: ArrayLike<number>, order: Uint32Array | null): ArrayLike<number> {
  if (!order) return rows;
  const out = new Float64Array(rows.length);
  order.forEach((row, i) => {
    for (let c = 0; c < 3; c++) out[3 * row + c] = rows[3 * i + c];
  });
  return out;
}

// biome-ignore lint/suspicious/noExplicitAny: glTF's JSON, changed in every way
type Change = (json: any) => void;
// biome-ignore lint/suspicious/noExplicitAny: the same
const own = (json: any) => json.extensions.FLAMEPORT_avatar;
// biome-ignore lint/suspicious/noExplicitAny: the same
const shell = (json: any) => json.meshes[own(json).layers[1].mesh].primitives[0].extensions.FLAMEPORT_avatar;

const BROKEN: [string, string, Change, RegExp][] = [
  ["shells.plain", "a network that is not there", (json) => delete own(json).networks.shading, /shading/],
  ["shells.plain", "no vertex count", (json) => delete shell(json).vertexCount, /vertexCount/],
  ["shells.plain", "too few feature images", (json) => shell(json).shading.features.pop(), /features/],
  [
    "shells.plain",
    "another size of network",
    (json) => Object.assign(shell(json).shading, { hidden: 7 }),
    /shading_weights/,
  ],
  ["shells.plain", "an unknown shading", (json) => Object.assign(shell(json).shading, { kind: "toon" }), /toon/],
  ["shells.plain", "no alpha", (json) => delete shell(json).shading.alpha, /images\[undefined\]/],
  [
    "shells.plain",
    "a target too few",
    (json) => json.meshes[own(json).layers[1].mesh].primitives[0].targets.pop(),
    /targets/,
  ],
  ["hair.plain", "strands without length", (json) => Object.assign(strands(json), { strandPoints: 1 }), /strandPoints/],
  ["hair.plain", "more strands than points", (json) => Object.assign(strands(json), { strandCount: 9999 }), /elements/],
  ["decoded.plain", "a decoder that is not there", (json) => Object.assign(own(json), { decoder: "x" }), /decoder/],
  ["decoded.plain", "a decoder of scale 0", (json) => Object.assign(own(json), { decoderScale: 0 }), /decoderScale/],
];

// biome-ignore lint/suspicious/noExplicitAny: the same
function strands(json: any) {
  const { mesh } = own(json).layers.find((layer: { kind: string }) => layer.kind === "strands");
  return json.meshes[mesh].primitives[0].extensions.KHR_gaussian_splatting.extensions.FLAMEPORT_avatar;
}

describe("a damaged file", () => {
  it.each(BROKEN)("%s with %s says so", async (name, _, change, wanted) => {
    const error = await loadAvatar(withJson(goldenBytes(`../layers/${name}.glb`), change)).then(
      () => null,
      (caught) => caught,
    );
    expect(error).toBeInstanceOf(AvatarFormatError);
    expect(error.message).toMatch(wanted);
  });

  it("with a damaged network says so when it is asked", async () => {
    const avatar = goldenAvatar("../layers/coefficients.plain.glb");
    for (const network of avatar.networks.values()) network.onnx.fill(7, 0, 40);
    const error = await new AvatarNetworks(avatar).ask(new Pose(avatar.head)).catch((caught) => caught);
    expect(error).toBeInstanceOf(AvatarFormatError);
  });

  it("whose network says another shape is refused", async () => {
    const avatar = goldenAvatar("../layers/deformed.plain.glb");
    const runner = { run: async () => ({}), dispose: () => {} };
    const asked = new AvatarNetworks(avatar, async () => runner).ask(new Pose(avatar.head));
    await expect(asked).rejects.toThrow(/shape/);
  });

  it("whose drivers are of another size is refused", async () => {
    const avatar = goldenAvatar("../layers/deformed.plain.glb");
    const pose = new Pose(avatar.head);
    for (const { inputs } of avatar.networks.values()) {
      for (const { name } of inputs) pose.drivers.set(name, new Float64Array(99));
    }
    await expect(new AvatarNetworks(avatar).ask(pose)).rejects.toThrow(SequenceError);
  });
});

describe("a driver that makes coefficients", () => {
  const { head } = goldenAvatar("../layers/coefficients.plain.glb");
  const network = (...names: string[]) => ({
    name: "small",
    onnx: new Uint8Array(),
    inputs: names.map((name) => ({ name, shape: [1, name === "eyelids" ? 2 : 3] })),
    outputs: [],
    space: "canonical" as const,
  });
  const dynamics = { driver: ["jaw", "neck", "eyelids"], mean: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8) };
  const pose = new Pose(head);
  pose.jaw.set([2, 4, 6]);
  pose.eyelids.set([17, 28]);

  it("gives each input its own part, in whatever order the network lists them", () => {
    const feed = cutDriver(network("eyelids", "jaw"), dynamics, pose);
    expect([...feed.eyelids.data]).toEqual([10, 20]);
    expect([...feed.jaw.data]).toEqual([1, 2, 3]);
  });

  it("says which input it does not hold", () => {
    expect(() => cutDriver(network("eyes"), dynamics, pose)).toThrow(/takes eyes/);
  });
});
