/** What a server sends, kept in a buffer that grows with what has come and not with what was announced. */
import { AvatarFormatError } from "../errors.ts";

/** Bytes; far above any avatar. */
export const LIMIT = 1 << 30;
const SMALLEST = 1 << 16;

export class Download {
  /** How many bytes have come. */
  loaded = 0;
  private bytes = new Uint8Array(SMALLEST);
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private ended = false;

  constructor(
    response: Response,
    private readonly address: string,
    private readonly told: (loaded: number) => void,
  ) {
    // An answer without a body is an empty one.
    this.reader = (response.body ?? new Blob([]).stream()).getReader();
  }

  /** The bytes that have come, and room behind them. Another one whenever more was read. */
  get buffer(): ArrayBuffer {
    return this.bytes.buffer;
  }

  /** Wait until `count` bytes have come; false where the answer ended before. Throws `AvatarFormatError`. */
  async until(count: number): Promise<boolean> {
    const { address, reader } = this;
    while (this.loaded < count && !this.ended) {
      const { done, value } = await reader.read().catch(() => {
        throw new AvatarFormatError(`${address} stopped arriving after ${this.loaded} bytes. Load it again.`);
      });
      if (done) this.ended = true;
      else this.take(value);
    }
    return this.loaded >= count;
  }

  private take(value: Uint8Array): void {
    const { bytes } = this;
    const loaded = this.loaded + value.length;
    if (loaded > LIMIT) this.refuse();
    if (loaded > bytes.length) {
      this.bytes = new Uint8Array(Math.min(Math.max(2 * bytes.length, loaded), LIMIT));
      this.bytes.set(bytes.subarray(0, this.loaded));
    }
    this.bytes.set(value, this.loaded);
    this.loaded = loaded;
    this.told(loaded);
  }

  /** Say that it is too large. */
  refuse(): never {
    throw new AvatarFormatError(`${this.address} is larger than a gigabyte; this viewer does not read it.`);
  }

  /** Return all that has come, and nothing behind it. */
  whole(): ArrayBuffer {
    const { bytes, loaded } = this;
    return loaded === bytes.length ? bytes.buffer : bytes.buffer.slice(0, loaded);
  }

  /** Let nothing more come. */
  stop(): void {
    this.reader.cancel().catch(() => {});
  }
}
