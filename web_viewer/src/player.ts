/** The player: one avatar on one canvas. Everything a page or a program needs; no user interface. */
import { ARKIT_52, addArkit } from "./arkit.ts";
import type { Avatar } from "./avatar.ts";
import { cameraOf, fitCamera, type PinholeCamera, positionOf } from "./camera.ts";
import type { AvatarRenderer, Background, Device, View, WorldSplats } from "./device.ts";
import { DeviceError, SequenceError } from "./errors.ts";
import { defaultCamera } from "./framing.ts";
import { WebGLDevice } from "./gl/webgl_device.ts";
import type { Json } from "./glb.ts";
import { isAlwaysThere, isPoseField, Pose } from "./pose.ts";
import { readSequence, Sequence } from "./sequence.ts";

export interface PlayerOptions {
  /** Display sRGB, 0..1; null for a transparent picture. White when absent. */
  background?: [number, number, number] | null;
  /** Metres of view depth; nearer Gaussians are not drawn. */
  near?: number;
  /** Keep harmonics and dynamics as 32-bit floats on the card instead of 16-bit ones. */
  exact?: boolean;
  /** Follow the canvas's size on the page; otherwise its width and height attributes stay as they are. */
  resize?: boolean;
  /** What to draw with; WebGL2 when absent. */
  device?: Device;
  /** Called when something goes wrong after construction, e.g. the device is lost. */
  onError?: (error: Error) => void;
  /** Called when a lost device has come back and the avatar is on it again. */
  onRestored?: () => void;
}

/** What a person may set over the clip: axis-angle radians, metres, lids 0..1, or a joint's rotation by name. */
export type PoseOverrides = Record<string, ArrayLike<number>>;

export interface Stats {
  fps: number;
  /** Gaussians in the avatar, and in front of the camera. */
  count: number;
  shown: number;
  /** CPU time of the last frame in milliseconds: posing, and everything including the calls to the driver. */
  poseMs: number;
  frameMs: number;
  gpuBytes: number;
}

export class Player {
  /** Called after every picture. */
  onFrame: (() => void) | null = null;
  speed = 1;
  loop = true;
  avatar: Avatar | null = null;
  sequence: Sequence | null = null;
  private readonly device: Device;
  private readonly options: Required<Omit<PlayerOptions, "device">>;
  private renderer: AvatarRenderer | null = null;
  private current: Pose | null = null;
  private columns: number[] = [];
  private camera: PinholeCamera | null = null;
  private readonly expressions = new Map<number, number>();
  private readonly arkit = new Map<number, number>();
  private readonly overrides = new Map<string, Float64Array>();
  private time = 0;
  private playing = false;
  private playedRange: string | null = null;
  private poseDirty = true;
  private pictureDirty = true;
  private lost = false;
  private disposed = false;
  private request = 0;
  private last = 0;
  private poseMs = 0;
  private frameMs = 0;
  private readonly times: number[] = [];
  private readonly observer: ResizeObserver | null;

  constructor(
    readonly canvas: HTMLCanvasElement,
    options: PlayerOptions = {},
  ) {
    this.device = options.device ?? new WebGLDevice(canvas);
    this.device.onLost = this.onLost;
    this.device.onRestored = this.onRestored;
    this.options = {
      background: options.background === undefined ? [1, 1, 1] : options.background,
      near: options.near ?? 0.2,
      exact: options.exact ?? false,
      resize: options.resize ?? false,
      onError: options.onError ?? (() => {}),
      onRestored: options.onRestored ?? (() => {}),
    };
    this.observer = this.options.resize ? new ResizeObserver(() => this.refresh()) : null;
    this.observer?.observe(canvas);
    this.request = requestAnimationFrame(this.tick);
  }

  // --- What is shown -------------------------------------------------------------------------------------------------

  /** Show an avatar, with the clip that came with it; the camera stands in front of it. */
  setAvatar(avatar: Avatar): void {
    this.check();
    const renderer = this.device.load(avatar, this.options.exact);
    this.renderer?.dispose();
    this.renderer = renderer;
    this.avatar = avatar;
    this.current = new Pose(avatar.head);
    this.camera = defaultCamera(avatar);
    this.resetPose();
    this.setSequence(avatar.clip);
  }

  /** Play another clip: a sequence, or the parsed JSON of one. Null: the neutral pose. */
  setSequence(sequence: Sequence | Json | null): void {
    const { avatar } = this;
    if (!avatar) throw new SequenceError("Load an avatar before its clip.");
    const next = sequence === null || sequence instanceof Sequence ? sequence : readSequence(sequence, avatar.head);
    this.columns = next ? next.columns(avatar.head) : [];
    for (const layer of avatar.layers) {
      for (const name of next ? (layer.dynamics?.driver ?? []) : []) {
        if (!isAlwaysThere(name) && !next!.drivers.has(name)) {
          throw new SequenceError(`The avatar needs '${name}' in every frame of a clip; this one does not hold it.`);
        }
      }
    }
    this.sequence = next;
    this.setRange(null);
  }

  /** Stand where a parsed `camera.json`, or a camera, says. */
  setCamera(camera: Json | PinholeCamera): void {
    this.camera = "fx" in camera ? camera : cameraOf(camera);
    this.refresh();
  }

  getCamera(): PinholeCamera | null {
    return this.camera;
  }

  /** Display sRGB, or null for a transparent picture. */
  setBackground(rgb: [number, number, number] | null): void {
    this.options.background = rgb;
    this.refresh();
  }

  // --- Time ----------------------------------------------------------------------------------------------------------

  play(): void {
    if (!this.sequence) return;
    const [first, end] = this.span(this.sequence);
    if (this.time < first || this.time > end || (!this.loop && this.time >= end)) this.seek(first);
    this.playing = true;
    this.last = 0;
  }

  pause(): void {
    this.playing = false;
  }

  get isPlaying(): boolean {
    return this.playing;
  }

  /** The named range of the clip that plays alone; null when all of it plays. */
  get range(): string | null {
    return this.playedRange;
  }

  /** Play only a named range of the clip, from its beginning; null for all of it. */
  setRange(name: string | null): void {
    if (name !== null && !this.sequence?.ranges[name]) throw new SequenceError(`The clip has no range “${name}”.`);
    this.playedRange = name;
    if (this.sequence) this.seek(this.span(this.sequence)[0]);
  }

  /** Seconds since the first frame. */
  get seconds(): number {
    return this.time;
  }

  /** Go to a time in seconds, or to a fractional frame; one outside the range that plays lets all of the clip play. */
  seek(to: number | { frame: number }): void {
    const seconds = typeof to === "number" ? to : to.frame / (this.sequence?.fps ?? 1);
    this.time = Math.min(Math.max(seconds, 0), this.sequence?.duration ?? 0);
    const [first, end] = this.sequence ? this.span(this.sequence) : [0, 0];
    if (this.time < first || this.time > end) this.playedRange = null;
    this.move();
  }

  // --- Pose ----------------------------------------------------------------------------------------------------------

  /** Hold an expression at a value whatever the clip says; null lets the clip have it back. */
  setExpression(name: string, value: number | null): void {
    const index = this.avatar?.head.exprNames.indexOf(name) ?? -1;
    if (index < 0) throw new SequenceError(`The avatar has no expression “${name}”.`);
    if (value === null) this.expressions.delete(index);
    else this.expressions.set(index, value);
    this.move();
  }

  /** Add an ARKit shape on top of the clip, through the head's own map; 0 takes it away. */
  setArkit(name: string, weight: number): void {
    const row = ARKIT_52.indexOf(name);
    if (row < 0 || !this.avatar?.head.arkitMap) throw new SequenceError(`The avatar has no ARKit shape “${name}”.`);
    if (weight) this.arkit.set(row, weight);
    else this.arkit.delete(row);
    this.move();
  }

  /** Hold fields (rotation, neck, jaw, eyes, eyelids, translation) or named joints at values whatever the clip says. */
  setPose(pose: PoseOverrides): void {
    for (const [name, values] of Object.entries(pose)) {
      const field = name !== "expr" && isPoseField(name) ? this.current?.[name] : undefined;
      if (!field && !this.avatar?.head.jointNames.includes(name)) {
        throw new SequenceError(`The avatar has no “${name}” to turn.`);
      }
      if (values.length !== (field?.length ?? 3))
        throw new SequenceError(`“${name}” takes ${field?.length ?? 3} numbers.`);
      this.overrides.set(name, Float64Array.from(values));
    }
    this.move();
  }

  /** Let the clip have one field or joint back. */
  releasePose(name: string): void {
    this.overrides.delete(name);
    this.move();
  }

  /** Let the clip have everything back. */
  resetPose(): void {
    this.expressions.clear();
    this.arkit.clear();
    this.overrides.clear();
    this.move();
  }

  /** Return the pose as it is drawn. */
  getPose(): Pose | null {
    this.update();
    return this.current;
  }

  private update(): void {
    const { avatar, current, renderer } = this;
    if (!this.poseDirty || !avatar || !current || !renderer) return;
    const start = performance.now();
    if (this.sequence) {
      const held = Math.min(this.time, this.span(this.sequence)[1]);
      this.sequence.sample(held * this.sequence.fps, current, this.columns);
    } else current.reset();
    for (const [index, value] of this.expressions) current.expr[index] = value;
    for (const [row, weight] of this.arkit) addArkit(current, row, weight);
    for (const [name, values] of this.overrides) {
      if (isPoseField(name)) current[name].set(values);
      else current.joints.set(avatar.head.jointNames.indexOf(name), values);
    }
    renderer.pose(current);
    this.poseDirty = false;
    this.poseMs = performance.now() - start;
  }

  private move(): void {
    this.poseDirty = true;
    this.pictureDirty = true;
  }

  private refresh(): void {
    this.pictureDirty = true;
  }

  // --- Pictures ------------------------------------------------------------------------------------------------------

  /** Draw now. Pages need not call it: the player draws whenever something has changed. */
  render(): void {
    this.check();
    this.fit();
    if (!this.renderer || !this.camera) return;
    const start = performance.now();
    this.update();
    this.renderer.render(this.view(this.camera), this.ground);
    this.pictureDirty = false;
    this.frameMs = performance.now() - start;
  }

  private get ground(): Background {
    const { background } = this.options;
    return { rgb: background ?? [0, 0, 0], alpha: background ? 1 : 0 };
  }

  private view(from: PinholeCamera): View {
    const { width, height } = this.canvas;
    const camera = fitCamera(from, width, height);
    const { rotation, translation, fx, fy, cx, cy } = camera;
    return {
      rotation,
      translation,
      eye: positionOf(camera),
      intrinsics: [fx, fy, cx, cy],
      width,
      height,
      near: this.options.near,
    };
  }

  /** Draw and return the picture, rows from the top: RGBA bytes of the canvas, or floats of a half-float target. */
  async readPixels({ half = false } = {}): Promise<Float32Array | Uint8Array> {
    this.fit();
    const [renderer, view] = this.shown();
    return renderer.readPixels(view, this.ground, half);
  }

  /** Return the Gaussians as the card has them; slow, for tests. */
  async readWorld(): Promise<WorldSplats> {
    const [renderer, view] = this.shown();
    return renderer.readWorld(view);
  }

  private shown(): [AvatarRenderer, View] {
    this.check();
    this.update();
    if (!this.renderer || !this.camera) throw new SequenceError("Load an avatar first.");
    return [this.renderer, this.view(this.camera)];
  }

  private fit(): void {
    if (!this.options.resize) return;
    const { canvas } = this;
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
  }

  private readonly tick = (now: number): void => {
    if (this.disposed) return;
    this.request = requestAnimationFrame(this.tick);
    if (this.lost) return;
    const { sequence } = this;
    if (this.playing && sequence) {
      if (this.last) this.advance(((now - this.last) / 1000) * this.speed, sequence);
      this.last = now;
    }
    if (!this.pictureDirty) return;
    try {
      this.render();
    } catch (error) {
      this.playing = false;
      this.pictureDirty = false;
      this.options.onError(error as Error);
      return;
    }
    this.times.push(now);
    while (this.times[0] < now - 1000) this.times.shift();
    this.onFrame?.();
  };

  private advance(seconds: number, sequence: Sequence): void {
    const [first, end] = this.span(sequence);
    // A loop lasts one frame longer, so that the last frame is seen before the first comes again.
    const length = end - first + (this.loop ? 1 / sequence.fps : 0);
    const gone = Math.max(this.time - first, 0) + seconds;
    this.time = first + (gone < length ? gone : this.loop ? gone % length : length);
    if (gone >= length && !this.loop) this.playing = false;
    this.move();
  }

  /** Seconds of the first and last frame that play. */
  private span(sequence: Sequence): [number, number] {
    const range = this.playedRange === null ? undefined : sequence.ranges[this.playedRange];
    return range ? [range[0] / sequence.fps, (range[1] - 1) / sequence.fps] : [0, sequence.duration];
  }

  get stats(): Stats {
    const { times } = this;
    const span = times.length > 1 ? times[times.length - 1] - times[0] : 0;
    return {
      fps: span ? ((times.length - 1) * 1000) / span : 0,
      count: this.avatar?.count ?? 0,
      shown: this.renderer?.shown ?? 0,
      poseMs: this.poseMs,
      frameMs: this.frameMs,
      gpuBytes: this.renderer?.bytes ?? 0,
    };
  }

  // --- Life ----------------------------------------------------------------------------------------------------------

  private check(): void {
    if (this.disposed) throw new DeviceError("This player was disposed.");
    if (this.lost) throw new DeviceError("The graphics device was lost.");
  }

  private readonly onLost = (): void => {
    this.lost = true;
    this.renderer = null;
    this.options.onError(new DeviceError("The graphics device was lost. Waiting for it to come back…"));
  };

  private readonly onRestored = (): void => {
    this.lost = false;
    if (this.avatar) this.renderer = this.device.load(this.avatar, this.options.exact);
    this.move();
    this.options.onRestored();
  };

  /** Free everything on the card and stop; the canvas may be used by another player afterwards. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    cancelAnimationFrame(this.request);
    this.observer?.disconnect();
    this.renderer?.dispose();
    this.renderer = null;
    this.device.dispose();
  }
}
