/**
 * What an avatar does over time, without a picture: the clip that plays, clips that fade, drivers over them, and what is held
 * by hand over those. A `Player` is one on a canvas; a three.js scene has one for every avatar in it.
 */
import type { Avatar } from "../avatar/avatar.ts";
import type { Json } from "../avatar/glb.ts";
import { SequenceError } from "../errors.ts";
import { isAlwaysThere, Pose } from "../posing/pose.ts";
import { fitted } from "./arkit_clip.ts";
import { blendInto } from "./blend.ts";
import { PageClock } from "./clock.ts";
import type { Driver, DriverFunction } from "./driver.ts";
import { Holds, type PoseOverrides } from "./holds.ts";
import { Playback } from "./playback.ts";
import { Sequence } from "./sequence.ts";
import { readSequence } from "./sequence_json.ts";

/** A clip that plays, and since when it fades in over what is below it. */
interface Track {
  playback: Playback;
  columns: number[];
  start: number;
  seconds: number;
}

export class Actor {
  /** Called when a clip that does not loop has come to its end. */
  onEnded: (() => void) | null = null;
  avatar: Avatar | null = null;
  /** Seconds of the clock at the moment that is shown. */
  private moment = 0;
  private readonly pageClock: PageClock | null;
  /** From the bottom up; the last is the clip that the methods below mean. */
  private tracks: Track[] = [];
  private readonly drivers: Driver[] = [];
  private readonly holds = new Holds();
  private current: Pose | null = null;
  private other: Pose | null = null;
  private readonly watchers: ((seconds: number, pose: Pose) => void)[] = [];
  private moving = false;
  private stale = true;

  /** `clock` gives seconds; absent, time passes as on the page, and stands while the page is hidden. */
  constructor(protected readonly clock: (() => number) | null = null) {
    this.pageClock = clock ? null : new PageClock();
    this.tracks = [{ playback: new Playback(null), columns: [], start: 0, seconds: 0 }];
    this.moment = this.readClock();
  }

  protected readClock(milliseconds?: number): number {
    return this.clock ? this.clock() : this.pageClock!.now(milliseconds);
  }

  /** Act with an avatar, in its neutral pose, and play the clip that came with it from its beginning. */
  cast(avatar: Avatar): void {
    this.avatar = avatar;
    this.current = new Pose(avatar.head);
    this.other = new Pose(avatar.head);
    this.resetPose();
    this.setSequence(avatar.clip);
  }

  /** Let the clip that came with the avatar take over softly, where nobody chose another since `cast`. */
  protected receiveClip(): void {
    const { avatar, tracks } = this;
    if (!avatar?.clip || tracks.length > 1 || this.sequence) return;
    this.advance();
    // Pictures of a moment are what they are, whenever the clip came.
    const seconds = this.clock ? 0 : 0.3;
    this.tracks.push({ ...this.track(avatar.clip), start: this.moment, seconds });
    this.move();
  }

  private get head() {
    if (!this.avatar) throw new SequenceError("Load an avatar before its clip.");
    return this.avatar.head;
  }

  // --- Clips ---------------------------------------------------------------------------------------------------------

  get sequence(): Sequence | null {
    return this.playback.sequence;
  }

  private get playback(): Playback {
    return this.tracks[this.tracks.length - 1].playback;
  }

  /** Play another clip from its beginning: a sequence, or the parsed JSON of one. Null: the neutral pose. */
  setSequence(sequence: Sequence | Json | null): void {
    this.tracks = [this.track(sequence)];
    this.playback.setRange(null);
    this.move();
  }

  /** Let another clip (or null, the neutral pose) take over softly, and play it. */
  fadeTo(sequence: Sequence | Json | null, seconds: number): void {
    this.advance();
    const track = this.track(sequence);
    track.start = this.moment;
    track.seconds = Math.max(seconds, 0);
    this.tracks.push(track);
    track.playback.play();
    this.move();
  }

  private track(given: Sequence | Json | null): Track {
    const { head } = this;
    const own = given instanceof Sequence;
    const sequence = given === null ? null : own ? fitted(given, head) : readSequence(given, head);
    const columns = sequence ? sequence.columns(head) : [];
    for (const name of sequence ? driversOf(this.avatar!) : []) {
      if (!isAlwaysThere(name) && !sequence!.drivers.has(name)) {
        throw new SequenceError(`The avatar needs '${name}' in every frame of a clip; this one does not hold it.`);
      }
    }
    const playback = new Playback(sequence);
    const { speed, loop, playing } = this.playback;
    Object.assign(playback, { speed, loop, playing });
    return { playback, columns, start: 0, seconds: 0 };
  }

  // --- Time ----------------------------------------------------------------------------------------------------------

  get speed(): number {
    return this.playback.speed;
  }

  set speed(speed: number) {
    this.playback.speed = speed;
  }

  get loop(): boolean {
    return this.playback.loop;
  }

  set loop(loop: boolean) {
    this.playback.loop = loop;
  }

  play(): void {
    this.advance();
    this.playback.play();
    this.move();
  }

  pause(): void {
    for (const { playback } of this.tracks) playback.playing = false;
  }

  get isPlaying(): boolean {
    return this.playback.playing;
  }

  /** The named range of the clip that plays alone; null when all of it plays. */
  get range(): string | null {
    return this.playback.range;
  }

  /** Play only a named range of the clip, from its beginning; null for all of it. */
  setRange(name: string | null): void {
    this.playback.setRange(name);
    this.settle();
  }

  /** Seconds since the clip's first frame. */
  get seconds(): number {
    return this.playback.time;
  }

  /** Go to a time in seconds, or to a fractional frame; one outside the range that plays lets all of the clip play. */
  seek(to: number | { frame: number }): void {
    this.playback.seek(to);
    this.settle();
  }

  /** Nothing fades any more. */
  private settle(): void {
    this.tracks = this.tracks.slice(-1);
    this.move();
  }

  /** Let time pass until now, or until a moment of the page's clock in milliseconds. */
  advance(milliseconds?: number): void {
    const now = this.readClock(milliseconds);
    const gone = Math.max(now - this.moment, 0);
    this.moment = Math.max(now, this.moment);
    let ended = false;
    for (const { playback } of this.tracks) {
      const what = playback.advance(gone);
      if (what === "moved" || what === "ended") this.move();
      ended ||= what === "ended" && playback === this.playback;
    }
    if (this.moving || this.tracks.length > 1 || this.watchers.length) this.move();
    if (ended) this.onEnded?.();
  }

  /** Let the time since the last moment not count. */
  skip(): void {
    this.moment = Math.max(this.readClock(), this.moment);
  }

  // --- Drivers -------------------------------------------------------------------------------------------------------

  /** Let something change every pose, after those added before it; returns what takes it away again. */
  addDriver(driver: Driver | DriverFunction): () => void {
    const added: Driver =
      typeof driver === "function" ? { drive: (pose, moment) => driver(pose, moment) !== false } : driver;
    this.drivers.push(added);
    added.attach?.(() => this.move());
    this.move();
    return () => {
      const at = this.drivers.indexOf(added);
      if (at < 0) return;
      this.drivers.splice(at, 1);
      added.detach?.();
      this.move();
    };
  }

  /** Tell every pose and its moment, changed or not, to `see`, which must not change it; returns what ends that. */
  watch(see: (seconds: number, pose: Pose) => void): () => void {
    this.watchers.push(see);
    this.move();
    return () => {
      const at = this.watchers.indexOf(see);
      if (at >= 0) this.watchers.splice(at, 1);
    };
  }

  // --- Held by hand --------------------------------------------------------------------------------------------------

  /** Hold an expression at a value whatever the clip says; null lets the clip have it back. */
  setExpression(name: string, value: number | null): void {
    this.holds.setExpression(this.head, name, value);
    this.move();
  }

  /** Add an ARKit shape on top of the clip, through the head's own map; 0 takes it away. */
  setArkit(name: string, weight: number): void {
    this.holds.setArkit(this.head, name, weight);
    this.move();
  }

  /** Hold fields (rotation, neck, jaw, eyes, eyelids, translation) or named joints at values whatever the clip says. */
  setPose(pose: PoseOverrides): void {
    this.holds.setPose(this.head, pose);
    this.move();
  }

  /** Let the clip have one field or joint back. */
  releasePose(name: string): void {
    this.holds.release(name);
    this.move();
  }

  /** Let the clip have everything back. */
  resetPose(): void {
    this.holds.clear();
    this.move();
  }

  // --- The pose ------------------------------------------------------------------------------------------------------

  /** Something changed: the next pose has to be worked out again. */
  protected move(): void {
    this.stale = true;
  }

  /** The pose has to be worked out again. */
  get isStale(): boolean {
    return this.stale;
  }

  /** Work out and return the pose of this moment, the same object every time; null without an avatar. */
  act(): Pose | null {
    const { current, other, moment } = this;
    if (!current || !other || !this.stale) return current;
    // A track that has faded in hides those below it.
    const opaque = this.tracks.findLastIndex(({ start, seconds }) => moment - start >= seconds);
    if (opaque > 0) this.tracks.splice(0, opaque);
    this.tracks.forEach((track, i) => {
      sample(track, i ? other : current);
      if (i) blendInto(current, other, smooth((moment - track.start) / track.seconds));
    });
    this.stale = false;
    this.moving = false;
    for (const driver of this.drivers) {
      if (driver.drive(current, { seconds: moment, clip: this.seconds })) this.moving = true;
    }
    this.holds.drive(current);
    for (const see of this.watchers) see(moment, current);
    return current;
  }

  /** Stop listening to the page. */
  retire(): void {
    this.pageClock?.dispose();
    for (const driver of this.drivers.splice(0)) driver.detach?.();
  }
}

function driversOf(avatar: Avatar): string[] {
  return avatar.layers.flatMap((layer) => layer.dynamics?.driver ?? []);
}

function sample({ playback, columns }: Track, pose: Pose): void {
  if (playback.sequence) playback.sequence.sample(playback.frame, pose, columns);
  else pose.reset();
}

/** Starts and ends slowly. */
function smooth(t: number): number {
  return t * t * (3 - 2 * t);
}
