/** Getting bytes and JSON from an address, a file or memory. */

import { AvatarFormatError, SequenceError, ViewerError } from "../errors.ts";
import { type Avatar, needsRareReaders, readGlb } from "./avatar.ts";
import { Glb, type Json } from "./glb.ts";

/** Bytes; far above any avatar. */
const LIMIT = 1 << 30;

export interface LoadOptions {
  signal?: AbortSignal;
  /** Told while bytes arrive: how many so far, and of how many, where the server says so. */
  progress?: (loaded: number, total: number | null) => void;
}

/** Return the avatar at an address, in a file, or in memory. Throws `AvatarFormatError`. */
export async function loadAvatar(source: string | ArrayBuffer | Blob, options: LoadOptions = {}): Promise<Avatar> {
  if (source instanceof ArrayBuffer) return readChecked(source);
  if (typeof source !== "string") {
    if (source.size > LIMIT)
      throw new AvatarFormatError("The file is larger than a gigabyte; this viewer does not read it.");
    return readChecked(await source.arrayBuffer());
  }
  const { signal, progress } = options;
  const response = await request(source, AvatarFormatError, signal);
  return readChecked(await bytesOf(response, source, progress));
}

/** Return what a server sends, as far as we take it. Throws `AvatarFormatError`. */
async function bytesOf(
  response: Response,
  address: string,
  progress: LoadOptions["progress"] = () => {},
): Promise<ArrayBuffer> {
  // With a content encoding the length is that of the encoded bytes, which are not the ones we count.
  const length = response.headers.get("content-encoding") ? Number.NaN : Number(response.headers.get("content-length"));
  const total = length > 0 && length <= LIMIT ? length : null;
  let out = new Uint8Array(total ?? 1 << 16);
  let loaded = 0;
  // An answer without a body is an empty one.
  const reader = (response.body ?? new Blob([]).stream()).getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new AvatarFormatError(`${address} stopped arriving after ${loaded} bytes. Load it again.`);
    });
    if (done) break;
    if (loaded + value.length > LIMIT) {
      reader.cancel().catch(() => {});
      throw new AvatarFormatError(`${address} is larger than a gigabyte; this viewer does not read it.`);
    }
    if (loaded + value.length > out.length) {
      const grown = new Uint8Array(Math.max(2 * out.length, loaded + value.length));
      grown.set(out);
      out = grown;
    }
    out.set(value, loaded);
    loaded += value.length;
    progress(loaded, total);
  }
  return loaded === out.length ? out.buffer : out.slice(0, loaded).buffer;
}

async function readChecked(buffer: ArrayBuffer): Promise<Avatar> {
  try {
    const glb = Glb.parse(buffer);
    return readGlb(glb, needsRareReaders(glb) ? await import("./rare_layers.ts") : null);
  } catch (error) {
    // A stranger's JSON can miss any field; whatever that breaks is the file's fault, said in one line.
    if (error instanceof ViewerError) throw error;
    throw new AvatarFormatError(`The avatar's file is damaged: ${error instanceof Error ? error.message : error}`);
  }
}

/** Return parsed JSON from an address or a file. Throws `SequenceError`. */
export async function loadJson(source: string | Blob, signal?: AbortSignal): Promise<Json> {
  const text =
    typeof source === "string" ? await (await request(source, SequenceError, signal)).text() : await source.text();
  try {
    return JSON.parse(text);
  } catch {
    const name = typeof source === "string" ? source : "name" in source ? source.name : "The file";
    throw new SequenceError(`${name} is not JSON.`);
  }
}

/** Return the answer of an address; throws `Kind` in one line. */
export async function request(
  address: string,
  Kind: new (message: string) => ViewerError,
  signal?: AbortSignal,
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, signal ? { signal } : {});
  } catch {
    throw new Kind(`${address} could not be reached.`);
  }
  if (!response.ok) throw new Kind(`${address} could not be loaded: ${response.status} ${response.statusText}.`);
  return response;
}
