/** The golden files, for tests. */
import { readFileSync } from "node:fs";
import { type Avatar, readGlb } from "../src/avatar/avatar.ts";
import { Glb } from "../src/avatar/glb.ts";
import * as rare from "../src/avatar/rare_layers.ts";

export const GOLDEN = new URL("../../tests/golden/posing/", import.meta.url);

export function goldenBytes(name: string): ArrayBuffer {
  const file = readFileSync(new URL(name, GOLDEN));
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
}

/** Return any golden avatar, with what `loadAvatar` would wait for. */
export function goldenAvatar(name: string): Avatar {
  return readGlb(Glb.parse(goldenBytes(name)), rare);
}

export function goldenJson(name: string) {
  return JSON.parse(readFileSync(new URL(name, GOLDEN), "utf8"));
}

/** Return the GLB with its JSON changed. */
// biome-ignore lint/suspicious/noExplicitAny: glTF's JSON, changed in every way
export function withJson(glb: ArrayBuffer, change: (json: any) => void): ArrayBuffer {
  const view = new DataView(glb);
  const size = view.getUint32(12, true);
  const json = JSON.parse(new TextDecoder().decode(new Uint8Array(glb, 20, size)));
  change(json);
  let text = JSON.stringify(json);
  while (text.length % 4) text += " ";
  const body = new TextEncoder().encode(text);
  const rest = new Uint8Array(glb, 20 + size);
  const out = new Uint8Array(20 + body.length + rest.length);
  out.set(new Uint8Array(glb, 0, 20));
  out.set(body, 20);
  out.set(rest, 20 + body.length);
  const head = new DataView(out.buffer);
  head.setUint32(8, out.length, true);
  head.setUint32(12, body.length, true);
  return out.buffer;
}
