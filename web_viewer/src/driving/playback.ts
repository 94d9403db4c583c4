/** Time in one clip: where it is, whether it moves, and what of it plays. */
import { SequenceError } from "../errors.ts";
import type { Sequence } from "./sequence.ts";

export class Playback {
  /** Seconds since the first frame. */
  time = 0;
  playing = false;
  speed = 1;
  loop = true;
  /** The named range that plays alone; null when all of it does. */
  range: string | null = null;

  constructor(readonly sequence: Sequence | null) {}

  /** Start, from the beginning where it stands at the end. */
  play(): void {
    if (!this.sequence) return;
    const [first, end] = this.span;
    if (this.time < first || this.time > end || (!this.loop && this.time >= end)) this.seek(first);
    this.playing = true;
  }

  /** Play only a named range of the clip, from its beginning; null for all of it. */
  setRange(name: string | null): void {
    if (name !== null && !this.sequence?.ranges[name]) throw new SequenceError(`The clip has no range “${name}”.`);
    this.range = name;
    if (this.sequence) this.seek(this.span[0]);
  }

  /** Go to a time in seconds, or to a fractional frame; one outside the range that plays lets all of the clip play. */
  seek(to: number | { frame: number }): void {
    const seconds = typeof to === "number" ? to : to.frame / (this.sequence?.fps ?? 1);
    this.time = Math.min(Math.max(seconds, 0), this.sequence?.arrivedDuration ?? 0);
    const [first, end] = this.span;
    if (this.time < first || this.time > end) this.range = null;
  }

  /** Let seconds pass. Returns what happened: nothing moves, it moved, it came to its end, or it waits for frames to arrive. */
  advance(seconds: number): "still" | "moved" | "ended" | "waiting" {
    const { sequence } = this;
    if (!this.playing || !sequence) return "still";
    const [first, end] = this.span;
    // A loop lasts one frame longer, so that the last frame is seen before the first comes again.
    const length = end - first + (this.loop ? 1 / sequence.fps : 0);
    const gone = Math.max(this.time - first, 0) + seconds * this.speed;
    const there = sequence.arrivedDuration;
    if (sequence.arrived < sequence.frames && first + gone > there) {
      const before = this.time;
      this.time = Math.max(there, before);
      return this.time > before ? "moved" : "waiting";
    }
    this.time = first + (gone < length ? gone : this.loop ? gone % length : length);
    if (gone < length || this.loop) return "moved";
    this.playing = false;
    return "ended";
  }

  /** The fractional frame that is shown. */
  get frame(): number {
    return Math.min(this.time, this.span[1]) * (this.sequence?.fps ?? 1);
  }

  /** Seconds of the first and last frame that play. */
  get span(): [number, number] {
    const { sequence } = this;
    if (!sequence) return [0, 0];
    const range = this.range === null ? undefined : sequence.ranges[this.range];
    return range ? [range[0] / sequence.fps, (range[1] - 1) / sequence.fps] : [0, sequence.duration];
  }
}
