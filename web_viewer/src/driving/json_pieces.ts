/** Cutting the JSON of a clip into its header and its frames while it arrives; line breaks mean nothing. */

import type { Json } from "../avatar/glb.ts";
import { SequenceError } from "../errors.ts";

export interface Piece {
  kind: "header" | "frame";
  json: Json;
}

/** Characters; a frame or header that is longer is no frame. */
const LIMIT = 1 << 24;
const QUOTE = 34;
const BACKSLASH = 92;
const OPEN = "{[";
const CLOSE = "}]";
/** The key `frames` and the bracket of its list, at the end of a text. */
const FRAMES = /"frames"\s*:\s*\[$/;

/**
 * Takes text and gives pieces. Two forms: one object whose key `frames` holds the frames, the header being the keys before; or
 * objects one after the other, the header first.
 */
export class JsonPieces {
  /** What has come since the last piece. */
  private text = "";
  /** Where in `text` to go on. */
  private at = 0;
  private depth = 0;
  private inString = false;
  private state: "header" | "frames" | "rest" | "lines" = "header";
  private start = -1;

  take(more: string): Piece[] {
    const out: Piece[] = [];
    this.text += more;
    for (; this.at < this.text.length; this.at++) {
      const code = this.text.charCodeAt(this.at);
      if (this.inString) {
        if (code === BACKSLASH) {
          // The next character is escaped; it may not have arrived.
          if (this.at + 1 >= this.text.length) break;
          this.at++;
        } else if (code === QUOTE) this.inString = false;
        continue;
      }
      const character = this.text[this.at];
      if (code === QUOTE) this.inString = true;
      else if (OPEN.includes(character)) this.open(character, out);
      else if (CLOSE.includes(character)) this.close(out);
    }
    if (this.text.length > LIMIT) throw new SequenceError("The clip has a frame that is too large to be one.");
    return out;
  }

  private open(character: string, out: Piece[]): void {
    this.depth++;
    if (this.state === "header" && this.depth === 2 && character === "[") {
      const before = this.text.slice(0, this.at + 1);
      const key = FRAMES.exec(before);
      if (!key) return;
      out.push({ kind: "header", json: parse(`${before.slice(0, key.index).trimEnd().replace(/,$/, "")}}`) });
      this.state = "frames";
      this.forget();
    } else if (this.state === "frames" && this.depth === 3) this.start = this.at;
    else if (this.state === "lines" && this.depth === 1) this.start = this.at;
  }

  private close(out: Piece[]): void {
    this.depth--;
    if (this.depth < 0) throw new SequenceError("The clip is not JSON: a bracket closes nothing.");
    if (this.state === "header" && this.depth === 0) {
      out.push({ kind: "header", json: parse(this.text.slice(0, this.at + 1)) });
      this.state = "lines";
      this.forget();
    } else if (this.start >= 0 && this.depth === (this.state === "frames" ? 2 : 0)) {
      out.push({ kind: "frame", json: parse(this.text.slice(this.start, this.at + 1)) });
      this.start = -1;
      this.forget();
    } else if (this.state === "frames" && this.depth === 1) {
      this.state = "rest";
      this.forget();
    }
  }

  /** Drop the text up to here. */
  private forget(): void {
    this.text = this.text.slice(this.at + 1);
    this.at = -1;
  }

  /** Return the keys that came after the frames, or null. Throws `SequenceError` where it ended too early. */
  finish(): Json {
    if (this.depth !== 0 || this.inString || this.state === "header") {
      throw new SequenceError("The clip is not JSON, or was cut off.");
    }
    if (this.state !== "rest") return null;
    const rest = this.text.trim().replace(/^,/, "{");
    return parse(rest.startsWith("{") ? rest : `{${rest}`);
  }
}

function parse(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    throw new SequenceError(`The clip is not JSON: ${text.slice(0, 40).trim()}…`);
  }
}
