/** Getting bytes and JSON from an address, a file or memory. */
import { type Avatar, readAvatar } from "./avatar.ts";
import { AvatarFormatError, SequenceError, ViewerError } from "./errors.ts";
import type { Json } from "./glb.ts";

/** Bytes; far above any avatar. */
const LIMIT = 1 << 30;

/** Return the avatar at an address, in a file, or in memory. Throws `AvatarFormatError`. */
export async function loadAvatar(source: string | ArrayBuffer | Blob): Promise<Avatar> {
  if (source instanceof ArrayBuffer) return readChecked(source);
  if (typeof source !== "string") {
    if (source.size > LIMIT)
      throw new AvatarFormatError("The file is larger than a gigabyte; this viewer does not read it.");
    return readChecked(await source.arrayBuffer());
  }
  const response = await request(source, AvatarFormatError);
  return readChecked(await response.arrayBuffer());
}

function readChecked(buffer: ArrayBuffer): Avatar {
  try {
    return readAvatar(buffer);
  } catch (error) {
    // A stranger's JSON can miss any field; whatever that breaks is the file's fault, said in one line.
    if (error instanceof ViewerError) throw error;
    throw new AvatarFormatError(`The avatar's file is damaged: ${error instanceof Error ? error.message : error}`);
  }
}

/** Return parsed JSON from an address or a file. Throws `SequenceError`. */
export async function loadJson(source: string | Blob): Promise<Json> {
  const text = typeof source === "string" ? await (await request(source, SequenceError)).text() : await source.text();
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
