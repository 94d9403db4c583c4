/** Getting bytes and JSON from an address, a file or memory. */

import { AvatarFormatError, SequenceError, ViewerError } from "../errors.ts";
import { type Avatar, needsRareReaders, readFirst, readGlb, readRest } from "./avatar.ts";
import { Download, LIMIT } from "./download.ts";
import { firstBytes } from "./first_bytes.ts";
import { Glb, type Json } from "./glb.ts";

/** Bytes that have to be missing for a first picture to be worth its while. */
const EARLY = 1 << 14;

export interface LoadOptions {
  signal?: AbortSignal;
  /**
   * Told while bytes arrive: how many so far, of how many, where the server or the file says so, and what they are for: the
   * first picture, or what makes it better.
   */
  progress?: (loaded: number, total: number | null, stage: "first" | "rest") => void;
  /**
   * Called with what makes a first picture as soon as that has come, if it comes much earlier than the rest: the avatar, at
   * rest, in its base colours, without its clip. Show it (`player.setAvatar`), and again when `loadAvatar` returns it whole.
   */
  first?: (avatar: Avatar) => void;
}

/** Return the avatar at an address, in a file, or in memory. Throws `AvatarFormatError`. */
export async function loadAvatar(source: string | ArrayBuffer | Blob, options: LoadOptions = {}): Promise<Avatar> {
  if (source instanceof ArrayBuffer) return named(() => read(Glb.parse(source)));
  if (typeof source === "string") return named(() => receive(source, options));
  if (source.size > LIMIT)
    throw new AvatarFormatError("The file is larger than a gigabyte; this viewer does not read it.");
  const buffer = await source.arrayBuffer();
  return named(() => read(Glb.parse(buffer)));
}

async function receive(address: string, { signal, progress, first }: LoadOptions): Promise<Avatar> {
  const response = await request(address, AvatarFormatError, signal);
  // With a content encoding the length is that of the encoded bytes, which are not the ones we count.
  const encoded = response.headers.has("content-encoding");
  const announced = encoded ? 0 : Number(response.headers.get("content-length"));
  let total = announced > 0 && announced <= LIMIT ? announced : null;
  let stage: "first" | "rest" = "first";
  const download = new Download(response, address, (loaded) => progress?.(loaded, total, stage));
  try {
    await download.until(20);
    const { length, jsonEnd } = Glb.measure(download.buffer, download.loaded);
    if (length > LIMIT) download.refuse();
    total = length;
    let begun: Glb | null = null;
    let avatar: Avatar | null = null;
    if (first && (await download.until(Math.min(jsonEnd + 8, length)))) {
      begun = Glb.parse(download.buffer, download.loaded);
      const enough = earlyEnd(begun, length);
      if (enough && (await download.until(enough))) {
        begun = Glb.parse(download.buffer, download.loaded);
        avatar = readEarly(begun);
      }
      if (avatar) {
        stage = "rest";
        first(avatar);
      }
    }
    await download.until(length);
    const whole = download.whole();
    const glb = begun ? begun.completed(whole) : Glb.parse(whole);
    if (!avatar) return await read(glb);
    readRest(glb, avatar, null);
    return avatar;
  } finally {
    download.stop();
  }
}

/** Return where a first picture is complete; 0 where waiting for all is as good, or has to be. */
function earlyEnd(glb: Glb, length: number): number {
  if (needsRareReaders(glb)) return 0;
  try {
    const enough = firstBytes(glb);
    return length - enough > Math.max(EARLY, length * 0.05) ? enough : 0;
  } catch {
    return 0;
  }
}

function readEarly(glb: Glb): Avatar | null {
  try {
    return readFirst(glb, null);
  } catch {
    // Something of it comes later in the file, or is damaged: reading all of it will tell.
    return null;
  }
}

async function read(glb: Glb): Promise<Avatar> {
  return readGlb(glb, needsRareReaders(glb) ? await import("./rare_layers.ts") : null);
}

/** A stranger's JSON can miss any field; whatever that breaks is the file's fault, said in one line. */
async function named(work: () => Promise<Avatar>): Promise<Avatar> {
  try {
    return await work();
  } catch (error) {
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
