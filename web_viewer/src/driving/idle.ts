/** What a face does when nothing is asked of it: blinks, small motion of the head, eyes that never rest. */
import type { Pose } from "../posing/pose.ts";
import { turnFurther } from "./blend.ts";
import type { Driver, Moment } from "./driver.ts";
import { closeLids, turnEyes } from "./eyes.ts";
import { normalOf, type Random, randomOf } from "./random.ts";

export interface IdleOptions {
  /** Whole number; the same seed does the same at the same seconds. */
  seed?: number;
  /** Blinks a minute, 0 for none. People at rest: 17 in the median (Bentivoglio et al. 1997, Movement Disorders 12). */
  blinks?: number;
  /** How far the head moves; 1 is about a degree. */
  head?: number;
  /** How far the eyes wander; 1 is about two degrees. */
  gaze?: number;
}

const DEGREE = Math.PI / 180;
/** Seconds that are made from random numbers of their own, so that any moment is found at once. */
const BLOCK = 60;
/** Seconds between two blinks at least. */
const APART = 0.6;
/** Logarithms of the times between blinks spread by this much: short ones are common, long ones happen. */
const SPREAD = 0.5;
/** Seconds in which lids close, stay shut and open again, spontaneous blinks (VanderWerff et al. 2003, J Neurophysiol 89). */
const CLOSING = 0.08;
const SHUT = 0.03;
const OPENING = 0.18;
/** Seconds that eyes stay, and that they take to go on. */
const STAYS: [number, number] = [0.35, 2.2];
const JUMP = 0.045;
/** Hertz of the waves that move the head, and degrees of nodding, turning and tilting. */
const WAVES = [0.11, 0.23, 0.41, 0.67];
const SWAY = [0.7, 1.1, 0.5];

interface Blink {
  at: number;
  depth: number;
}

interface Fixation {
  at: number;
  yaw: number;
  pitch: number;
}

/** Everything depends on the seconds alone: seeking, skipping and other frame rates change nothing. */
export class Idle implements Driver {
  readonly options: Required<IdleOptions>;
  private readonly blinks = new Map<number, Blink[]>();
  private readonly fixations = new Map<number, Fixation[]>();
  private readonly phases: number[];

  constructor(options: IdleOptions = {}) {
    this.options = { seed: 1, blinks: 17, head: 1, gaze: 1, ...options };
    const random = randomOf(this.options.seed, 0);
    this.phases = Array.from({ length: 3 * WAVES.length }, () => 2 * Math.PI * random());
  }

  drive(pose: Pose, { seconds }: Moment): boolean {
    const { blinks, head, gaze } = this.options;
    if (head > 0) {
      const turn = this.sway(seconds);
      const field = pose.head.roles.neck === undefined ? pose.rotation : pose.neck;
      turnFurther(
        field,
        0,
        turn.map((angle) => angle * head),
      );
    }
    if (gaze > 0) {
      const { yaw, pitch } = this.looking(seconds);
      turnEyes(pose, yaw * gaze, pitch * gaze, 1, true);
    }
    if (blinks > 0) closeLids(pose, this.closed(seconds));
    return blinks > 0 || head > 0 || gaze > 0;
  }

  /** Radians of nodding, turning and tilting. */
  sway(seconds: number): number[] {
    return SWAY.map((degrees, axis) => {
      let sum = 0;
      WAVES.forEach((hertz, k) => {
        // Slow waves are larger; no two axes have the same rate.
        const rate = hertz * (1 + 0.13 * axis);
        sum += Math.sin(2 * Math.PI * rate * seconds + this.phases[3 * k + axis]) / (k + 1);
      });
      return degrees * DEGREE * sum;
    });
  }

  /** How far the lids are closed, 0..1. */
  closed(seconds: number): number {
    let most = 0;
    const block = Math.floor(seconds / BLOCK);
    for (const b of [block - 1, block]) {
      for (const { at, depth } of this.blinksOf(b)) {
        const gone = seconds - at;
        if (gone <= 0 || gone >= CLOSING + SHUT + OPENING) continue;
        const open = gone < CLOSING ? 1 - gone / CLOSING : Math.max(0, (gone - CLOSING - SHUT) / OPENING);
        most = Math.max(most, depth * (1 - smooth(open)));
      }
    }
    return most;
  }

  private blinksOf(block: number): Blink[] {
    return made(this.blinks, block, () => {
      const random = randomOf(this.options.seed, 1, block);
      const mean = 60 / this.options.blinks;
      // The mean of a log-normal time is its median times exp(spread^2 / 2).
      const median = Math.max(mean - APART, 0.1) / Math.exp(SPREAD ** 2 / 2);
      const out: Blink[] = [];
      let at = block * BLOCK + mean * random();
      while (at < (block + 1) * BLOCK - APART) {
        out.push({ at, depth: 0.85 + 0.15 * random() });
        at += APART + median * Math.exp(SPREAD * normalOf(random));
      }
      return out;
    });
  }

  private looking(seconds: number): { yaw: number; pitch: number } {
    const block = Math.floor(seconds / BLOCK);
    const list = this.fixationsOf(block);
    let i = list.length - 1;
    while (i > 0 && list[i].at > seconds) i--;
    const now = list[i];
    const before = i ? list[i - 1] : this.fixationsOf(block - 1).at(-1)!;
    const f = smooth(Math.min(1, (seconds - now.at) / JUMP));
    return { yaw: before.yaw + (now.yaw - before.yaw) * f, pitch: before.pitch + (now.pitch - before.pitch) * f };
  }

  private fixationsOf(block: number): Fixation[] {
    return made(this.fixations, block, () => {
      const random = randomOf(this.options.seed, 2, block);
      const out: Fixation[] = [];
      for (let at = block * BLOCK; at < (block + 1) * BLOCK; at += between(random, STAYS)) {
        // Mostly back at what is looked at, sometimes away from it.
        const far = random() < 0.2 ? 3 : 0.8;
        out.push({ at, yaw: far * DEGREE * normalOf(random), pitch: 0.6 * far * DEGREE * normalOf(random) });
      }
      return out;
    });
  }
}

/** Return what belongs to a block, keeping only a few. */
function made<T>(kept: Map<number, T>, block: number, make: () => T): T {
  let value = kept.get(block);
  if (value === undefined) {
    value = make();
    if (kept.size > 3) kept.clear();
    kept.set(block, value);
  }
  return value;
}

function between(random: Random, [low, high]: [number, number]): number {
  return low + (high - low) * random();
}

function smooth(t: number): number {
  return t * t * (3 - 2 * t);
}
