/** Reading zip archives: entries stored or deflated, as bundles are (`formats/SPEC.md`, 2). Bounded before anything is unpacked. */
import { AvatarFormatError } from "../errors.ts";

/** Bytes of all entries unpacked, at most; and how many times its packed size one may be. */
const MOST = 2 * 1024 ** 3;
const RATIO = 1100;
const ENTRIES = 4096;
const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
/** The end record and the longest comment after it. */
const TAIL = 22 + 0xffff;

interface Entry {
  at: number;
  packed: number;
  size: number;
  method: number;
}

export class Zip {
  private constructor(
    private readonly file: Blob,
    private readonly entries: Map<string, Entry>,
  ) {}

  /** Read the directory. Throws `AvatarFormatError`. */
  static async open(file: Blob): Promise<Zip> {
    const tail = await viewOf(file.slice(Math.max(0, file.size - TAIL)));
    let end = tail.byteLength - 22;
    while (end >= 0 && tail.getUint32(end, true) !== END) end--;
    if (end < 0) throw new AvatarFormatError("This is no whole zip archive; it may have been cut off. Copy it again.");
    const [count, size, at] = [
      tail.getUint16(end + 10, true),
      tail.getUint32(end + 12, true),
      tail.getUint32(end + 16, true),
    ];
    if (count > ENTRIES)
      throw new AvatarFormatError(`The zip has ${count} entries; a bundle has fewer than ${ENTRIES}.`);
    if (at + size > file.size) throw new AvatarFormatError("The zip's directory lies outside the file.");
    const view = await viewOf(file.slice(at, at + size));
    const entries = new Map<string, Entry>();
    let total = 0;
    for (let i = 0, o = 0; i < count; i++) {
      if (o + 46 > size || view.getUint32(o, true) !== CENTRAL)
        throw new AvatarFormatError("The zip's directory is damaged.");
      const flags = view.getUint16(o + 8, true);
      const entry = {
        method: view.getUint16(o + 10, true),
        packed: view.getUint32(o + 20, true),
        size: view.getUint32(o + 24, true),
        at: view.getUint32(o + 42, true),
      };
      const lengths = [28, 30, 32].map((k) => view.getUint16(o + k, true));
      if (o + 46 + lengths[0] > size) throw new AvatarFormatError("The zip's directory is damaged.");
      const name = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + o + 46, lengths[0]));
      o += 46 + lengths[0] + lengths[1] + lengths[2];
      if (name.endsWith("/") || name.startsWith("__MACOSX/")) continue;
      if (flags & 1) throw new AvatarFormatError(`The zip's ${name} is encrypted.`);
      if (entries.has(name)) throw new AvatarFormatError(`The zip holds ${name} twice.`);
      total += entry.size;
      if (total > MOST || entry.size > RATIO * Math.max(entry.packed, 1)) {
        throw tooLarge(name, entry.size);
      }
      entries.set(name, entry);
    }
    return new Zip(file, entries);
  }

  /** Paths of all files. */
  get names(): string[] {
    return [...this.entries.keys()];
  }

  /** Return the bytes of a file, which has no more than `limit`. Throws `AvatarFormatError`. */
  async read(name: string, limit = MOST): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.entries.get(name);
    if (!entry) throw new AvatarFormatError(`The zip lacks ${name}, which its avatar.json names.`);
    const { at, packed, size, method } = entry;
    if (size > limit) throw tooLarge(name, size);
    const local = await viewOf(this.file.slice(at, at + 30));
    if (local.byteLength < 30 || local.getUint32(0, true) !== LOCAL)
      throw new AvatarFormatError(`The zip's ${name} is damaged.`);
    const start = at + 30 + local.getUint16(26, true) + local.getUint16(28, true);
    const part = this.file.slice(start, start + packed);
    if (part.size !== packed) throw new AvatarFormatError(`The zip's ${name} is cut off.`);
    if (method === 0) {
      if (packed !== size) throw new AvatarFormatError(`The zip's ${name} is damaged.`);
      return new Uint8Array(await part.arrayBuffer());
    }
    if (method !== 8)
      throw new AvatarFormatError(
        `The zip's ${name} is packed by method ${method}; only stored and deflated are read.`,
      );
    return inflate(part, size, name);
  }
}

function tooLarge(name: string, size: number): AvatarFormatError {
  return new AvatarFormatError(`The zip's ${name} would unpack to ${size} bytes; this page does not read it.`);
}

async function inflate(part: Blob, size: number, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const out = new Uint8Array(size);
  let at = 0;
  const reader = part.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      // No more than its directory says: the rest would be somebody's trick.
      if (at + value.length > size) throw new Error("longer than it says");
      out.set(value, at);
      at += value.length;
    }
    if (at !== size) throw new Error("shorter than it says");
  } catch {
    reader.cancel().catch(() => {});
    throw new AvatarFormatError(`The zip's ${name} is damaged.`);
  }
  return out;
}

async function viewOf(part: Blob): Promise<DataView> {
  return new DataView(await part.arrayBuffer());
}
