/**
 * A bundle `X.avatar`, zipped, as the player's avatar: head, layers of Gaussians, linear dynamics, texture and clip
 * (`formats/SPEC.md`, 2). What needs networks, meshes or strands is read from a GLB only. A chunk of its own.
 */
import type { Avatar, LayerImage } from "../avatar/avatar.ts";
import { list, text } from "../avatar/fields.ts";
import type { Json } from "../avatar/glb.ts";
import { fitted } from "../driving/arkit_clip.ts";
import { readBinarySequence } from "../driving/sequence_binary.ts";
import { AvatarFormatError, ViewerError } from "../errors.ts";
import { readHead } from "./head.ts";
import { readLayer } from "./layers.ts";
import { Safetensors } from "./safetensors.ts";
import { Zip } from "./zip.ts";

/** Bytes of `avatar.json`, at most. */
const MANIFEST = 16 << 20;
const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** Return the avatar in a zipped bundle. Throws `AvatarFormatError`. */
export async function readBundle(file: Blob): Promise<Avatar> {
  try {
    return await readFrom(await Zip.open(file));
  } catch (error) {
    if (error instanceof ViewerError) throw error;
    throw new AvatarFormatError(`The bundle is damaged: ${error instanceof Error ? error.message : error}`);
  }
}

async function readFrom(zip: Zip): Promise<Avatar> {
  const manifestName = zip.names.find((name) => /^([^/]+\/)?avatar\.json$/.test(name));
  if (!manifestName) throw new AvatarFormatError("This zip holds no avatar.json: it is no flameport bundle.");
  const folder = manifestName.slice(0, -"avatar.json".length);
  const bytes = (name: Json) => {
    if (typeof name !== "string" || !FILE_NAME.test(name)) {
      throw new AvatarFormatError(`avatar.json names a file “${name}”; only plain names are read.`);
    }
    return zip.read(folder + name);
  };
  const tensors = async (name: Json) => new Safetensors(await bytes(name), name);
  const root = parse(await zip.read(manifestName, MANIFEST));
  if (root?.format !== "flameport.avatar")
    throw new AvatarFormatError("The zip's avatar.json is no flameport bundle's.");
  if (String(root.version).split(".")[0] !== "1") {
    throw new AvatarFormatError(`The bundle has version ${root.version}; this page reads 1. Update it.`);
  }
  for (const { kind } of list(root.layers, "layers")) {
    if (kind !== "splats") {
      throw new AvatarFormatError(
        `This bundle has ${kind} layers, which the page reads from a GLB: flameport export X.avatar glb.`,
      );
    }
  }
  if (root.decoder)
    throw new AvatarFormatError("This bundle has an image decoder, which the page reads from a GLB only.");
  const head = readHead(await tensors(root.head?.file));
  const layers = [];
  for (const [i, entry] of root.layers.entries()) layers.push(readLayer(await tensors(entry.file), head, entry, i));
  if (root.vertex_rgb) {
    const colors = (await tensors(root.vertex_rgb.file)).floats("vertex_rgb", [head.vertexCount, 3]);
    head.vertexColors = colors.map(linear);
  }
  const albedo = root.maps?.images?.albedo?.file;
  const png = typeof albedo === "string" && albedo.endsWith(".png") && head.cornerUvs;
  const headTexture: LayerImage | null = png ? { bytes: await bytes(albedo), type: "image/png" } : null;
  const meta = root.meta ?? {};
  return {
    name: text(meta.name, "avatar"),
    grade: "",
    system: text(meta.system, ""),
    paper: text(meta.paper, ""),
    licenseNotices: list(meta.license_notices ?? [], "meta.license_notices").map((notice) => text(notice, "")),
    head,
    headTexture,
    layers,
    meshes: [],
    networks: new Map(),
    decoder: null,
    count: layers.reduce((sum, layer) => sum + layer.count, 0),
    clip: root.sequence ? fitted(readBinarySequence(await bytes(root.sequence.file)), head) : null,
  };
}

function parse(bytes: Uint8Array): Json {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new AvatarFormatError("The bundle's avatar.json is damaged.");
  }
}

/** Display sRGB to linear light (IEC 61966-2-1). */
function linear(x: number): number {
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
}
