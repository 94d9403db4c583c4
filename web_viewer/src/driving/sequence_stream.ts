/**
 * Clips from an address, a file or a stream. A sequence in JSON plays while it downloads: header first, then frame by frame, be
 * it one JSON object or lines of JSON (the header, then a frame a line). What cannot be played in part (ARKit tracks, another
 * head's coefficients, binary sequences, whose blocks hold one field after the other) is there when all of it is.
 */
import type { Head } from "../avatar/avatar.ts";
import type { Json } from "../avatar/glb.ts";
import { request } from "../avatar/load.ts";
import { SequenceError, ViewerError } from "../errors.ts";
import { fitted } from "./arkit_clip.ts";
import { JsonPieces } from "./json_pieces.ts";
import { type Retargeting, retarget } from "./retarget.ts";
import type { Sequence } from "./sequence.ts";
import { isBinarySequence, readBinarySequence } from "./sequence_binary.ts";
import { FrameReader, isOurs, readUnfitted } from "./sequence_json.ts";

export type SequenceSource = string | URL | Blob | ArrayBuffer | Response | ReadableStream<Uint8Array>;

export interface LoadSequenceOptions extends Retargeting {
  signal?: AbortSignal;
  /** Told after every piece: bytes so far, frames so far. */
  progress?: (bytes: number, frames: number) => void;
}

/**
 * Return a clip as soon as it can start; `sequence.whole` settles when all of it has arrived, and `sequence.arrived` says how
 * many frames have. Throws `SequenceError`.
 */
export async function loadSequence(
  source: SequenceSource,
  head: Head,
  options: LoadSequenceOptions = {},
): Promise<Sequence> {
  const { signal } = options;
  const stream = await streamOf(source, signal);
  const loading = new Loading(head, options);
  let start: (sequence: Sequence) => void = () => {};
  let fail: (error: Error) => void = () => {};
  const started = new Promise<Sequence>((resolve, reject) => {
    start = resolve;
    fail = reject;
  });
  const whole = (async () => {
    const reader = stream.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        signal?.throwIfAborted();
        if (done) break;
        loading.take(value);
        if (loading.sequence?.arrived) start(loading.sequence);
      }
      start(loading.finish());
    } catch (error) {
      const told = oneLine(error, signal);
      if (loading.sequence) loading.cut();
      fail(told);
      reader.cancel().catch(() => {});
      throw told;
    }
  })();
  whole.catch(() => {});
  const sequence = await started;
  sequence.whole = whole;
  // Whoever does not ask for the rest is not told that it failed by an unhandled rejection.
  sequence.whole.catch(() => {});
  return sequence;
}

function oneLine(error: unknown, signal?: AbortSignal): Error {
  if (error instanceof ViewerError) return error;
  if (signal?.aborted) return new SequenceError("Loading the clip was stopped.");
  return new SequenceError(`The clip could not be read: ${error instanceof Error ? error.message : error}`);
}

async function streamOf(source: SequenceSource, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  if (source instanceof ReadableStream) return source;
  if (source instanceof Blob) return source.stream();
  if (source instanceof ArrayBuffer) return new Blob([source]).stream();
  const response = source instanceof Response ? source : await request(String(source), SequenceError, signal);
  if (!response.body) throw new SequenceError("The clip is empty.");
  return response.body;
}

/** What has come of a clip so far. */
class Loading {
  sequence: Sequence | null = null;
  private bytes = 0;
  private frames = 0;
  private readonly kept: Uint8Array[] = [];
  private kind: "unknown" | "binary" | "json" = "unknown";
  private readonly decoder = new TextDecoder("utf-8", { fatal: true });
  private readonly pieces = new JsonPieces();
  private reader: FrameReader | null = null;
  /** Frames that wait for a header that comes after them, or for a retargeting that needs all. */
  private readonly waiting: Json[] = [];
  private header: Json = null;

  constructor(
    private readonly head: Head,
    private readonly options: LoadSequenceOptions,
  ) {}

  take(piece: Uint8Array): void {
    this.bytes += piece.length;
    if (this.kind !== "json") {
      this.kept.push(piece);
      if (this.bytes < 4) return;
      if (this.kind === "unknown") this.kind = isBinarySequence(joined(this.kept)) ? "binary" : "json";
      if (this.kind === "json") this.text(this.decoder.decode(joined(this.kept.splice(0)), { stream: true }));
    } else this.text(this.decoder.decode(piece, { stream: true }));
    this.options.progress?.(this.bytes, this.frames);
  }

  private text(text: string): void {
    for (const { kind, json } of this.pieces.take(text)) {
      if (kind === "header") this.start(json);
      else if (this.reader) this.put(json);
      else this.waiting.push(json);
    }
  }

  /** Start to play, where the header is enough for that. */
  private start(header: Json): void {
    this.header = header;
    const { neutral = "none" } = this.options;
    const known = header.expr_count !== undefined || header.expr_names?.length;
    if (!isOurs(header) || !known || header.basis !== this.head.edition || neutral !== "none") return;
    this.reader = new FrameReader(header);
    this.sequence = this.reader.sequence;
    this.sequence.arrived = 0;
    this.sequence.columns(this.head);
  }

  private put(json: Json): void {
    const { reader, sequence } = this;
    reader!.read(json, this.frames++);
    // A joint that the header does not announce is checked when it comes.
    for (const name of sequence!.joints.keys()) if (!this.head.jointNames.includes(name)) sequence!.columns(this.head);
    sequence!.arrived = this.frames;
    if (reader!.open) sequence!.frames = this.frames;
  }

  finish(): Sequence {
    if (this.kind !== "json") {
      const bytes = joined(this.kept);
      if (isBinarySequence(bytes)) return this.fit(readBinarySequence(bytes));
      this.text(this.decoder.decode(bytes, { stream: true }));
    }
    this.text(this.decoder.decode());
    const rest = this.pieces.finish();
    if (!this.reader) {
      return this.fit(readUnfitted({ ...this.header, ...rest, frames: this.waiting }, this.head));
    }
    // Ranges may follow the frames.
    if (rest?.ranges) this.sequence!.ranges = rest.ranges;
    this.reader.finish(this.frames);
    return this.sequence!;
  }

  private fit(sequence: Sequence): Sequence {
    const { head, options } = this;
    const asked = (options.neutral ?? "none") !== "none";
    return asked ? retarget(sequence, head, options) : fitted(sequence, head, options.told);
  }

  /** The rest will not come: what has arrived is the clip. */
  cut(): void {
    const { sequence } = this;
    sequence!.frames = this.frames;
    sequence!.arrived = this.frames;
    sequence!.ranges = Object.fromEntries(Object.entries(sequence!.ranges).filter(([, [, end]]) => end <= this.frames));
  }
}

function joined(pieces: Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0];
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
