/** The player: one avatar on one canvas. Everything a page or a program needs; no user interface. */
import type { Avatar } from "./avatar/avatar.ts";
import type { Json } from "./avatar/glb.ts";
import { cameraOf, fitCamera, type PinholeCamera, positionOf } from "./camera/camera.ts";
import { defaultCamera } from "./camera/framing.ts";
import type { AvatarRenderer, Background, Device, View, WorldSplats } from "./device.ts";
import { Actor } from "./driving/actor.ts";
import { DeviceError, SequenceError } from "./errors.ts";
import { WebGLDevice } from "./gl/webgl_device.ts";
import type { PaintedMap } from "./painting.ts";
import { Pose } from "./posing/pose.ts";

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
  /** Seconds, to play by; every picture is then of that clock's moment. Absent: time passes as on the page. */
  clock?: () => number;
  /** Called when something goes wrong after construction, e.g. the device is lost. */
  onError?: (error: Error) => void;
  /** Called when a lost device has come back and the avatar is on it again. */
  onRestored?: () => void;
}

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

export class Player extends Actor {
  /** Called after every picture. */
  onFrame: (() => void) | null = null;
  private readonly device: Device;
  private readonly options: Required<Omit<PlayerOptions, "device" | "clock">>;
  private renderer: AvatarRenderer | null = null;
  private camera: PinholeCamera | null = null;
  /** What is drawn; the actor's own pose may be newer while networks run. */
  private shownPose: Pose | null = null;
  private nextPose: Pose | null = null;
  private preparing: Promise<void> | null = null;
  private posed = false;
  private isDrawn = true;
  /** The card waits for the pose of this moment, which was not drawn. */
  private owed = false;
  /** Why this avatar cannot be prepared; it is shown no more. */
  private failure: Error | null = null;
  /** More of the avatar is on its way: `LoadOptions.first`. */
  private unfinished = false;
  /** The clip that is on its way is to play. */
  private eager = false;
  private pictureDirty = true;
  private lost = false;
  private disposed = false;
  private request = 0;
  private poseMs = 0;
  private frameMs = 0;
  private readonly times: number[] = [];
  private readonly observer: ResizeObserver | null;
  /** Pixels of the device to one of the page, when last looked at. */
  private ratio = globalThis.devicePixelRatio;

  constructor(
    readonly canvas: HTMLCanvasElement,
    options: PlayerOptions = {},
  ) {
    super(options.clock ?? null);
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

  /**
   * Show an avatar, with the clip that came with it; the camera stands in front of it. One that is shown since its first
   * bytes came, and is whole now, stays where it is and as it is posed, and gets better.
   */
  setAvatar(avatar: Avatar): void {
    if (this.unfinished && avatar === this.avatar && !avatar.partial) {
      this.improve(avatar);
      return;
    }
    this.check(true);
    // Where the device is lost, it is put there when it comes back.
    const renderer = this.lost ? null : this.put(avatar);
    this.renderer?.dispose();
    this.renderer = renderer;
    this.preparing = null;
    this.failure = null;
    this.posed = false;
    this.shownPose = new Pose(avatar.head);
    this.nextPose = new Pose(avatar.head);
    this.camera = defaultCamera(avatar);
    this.unfinished = avatar.partial === true;
    this.eager = false;
    this.cast(avatar);
  }

  private improve(avatar: Avatar): void {
    this.check(true);
    this.unfinished = false;
    // A device that is lost gets all of it when it comes back.
    if (!this.lost && avatar.layers.some((layer) => layer.degree > 0 || layer.dynamics)) {
      const renderer = this.put(avatar);
      this.renderer?.dispose();
      this.renderer = renderer;
      this.posed = false;
    }
    this.receiveClip();
    if (this.eager) this.play();
    this.move();
  }

  override play(): void {
    this.eager = this.unfinished;
    super.play();
  }

  override pause(): void {
    this.eager = false;
    super.pause();
  }

  private put(avatar: Avatar): AvatarRenderer {
    const renderer = this.device.load(avatar, this.options.exact);
    renderer.onChanged = () => this.refresh();
    return renderer;
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

  /** Whether it draws; otherwise time passes, and `onFrame` is called, for what draws something else in its place. */
  get visible(): boolean {
    return this.isDrawn;
  }

  set visible(on: boolean) {
    this.isDrawn = on;
    this.refresh();
  }

  /** Whether there is a picture of the avatar: not before networks have run for its first pose. */
  get isShown(): boolean {
    return this.posed;
  }

  /** Names of the images that `setTexture` replaces: `albedo`, the head's own mesh's, and those of mesh layers. */
  async textures(): Promise<string[]> {
    const { texturesOf } = await import("./painting.ts");
    return this.avatar ? texturesOf(this.avatar) : [];
  }

  /**
   * Replace an image; it is scaled to the size of the one it replaces. Null: the one in the file again. A player does not
   * draw the head's own mesh, so `albedo` shows where something does (`albedoOf`).
   */
  async setTexture(name: string, picture: ImageBitmapSource | null): Promise<void> {
    const { paintTexture } = await import("./painting.ts");
    const [renderer] = await this.shown();
    await paintTexture(this.avatar!, renderer, name, picture);
    this.refresh();
  }

  /**
   * Paint Gaussians by an image on the head's UV layout, their colour or (its red channel) their opacity; null makes them
   * what the file says. `layer` names one layer of Gaussians; absent: all that have a place on the layout.
   */
  async setMap(map: PaintedMap, picture: ImageBitmapSource | null, layer: string | null = null): Promise<void> {
    const { paintMap } = await import("./painting.ts");
    const [renderer] = await this.shown();
    await paintMap(this.avatar!, renderer, map, picture, layer);
    this.refresh();
  }

  /** Show colours and opacities of a layer of Gaussians that were changed in the avatar itself (`avatar.layers`). */
  repaint(layer: number): void {
    const { renderer } = this;
    if (renderer && !renderer.repaint) throw new DeviceError("What draws this avatar cannot change its colours.");
    renderer?.repaint?.(layer);
    this.refresh();
  }

  // --- Pose ----------------------------------------------------------------------------------------------------------

  /** Return the pose as it is drawn. */
  getPose(): Pose | null {
    this.update(this.isDrawn);
    return this.shownPose;
  }

  /** Give the card the pose of this moment; where networks have to run first, it follows when they have. */
  private update(drawn: boolean): void {
    const { renderer } = this;
    if (!drawn && this.isStale) this.follow();
    if (!drawn || !(this.isStale || this.owed) || !renderer || this.preparing || this.failure) return;
    this.owed = false;
    const start = performance.now();
    const pose = this.act();
    if (!pose) return;
    if (renderer.prepare) this.prepare(renderer, pose);
    else {
      renderer.pose(pose);
      this.shownPose = pose;
      this.posed = true;
    }
    this.poseMs = performance.now() - start;
  }

  /** Take the pose of this moment without showing it. */
  private follow(): void {
    const pose = this.act();
    if (!pose) return;
    this.owed = true;
    this.shownPose!.copy(pose);
  }

  private prepare(renderer: AvatarRenderer, pose: Pose): void {
    const next = this.nextPose!;
    next.copy(pose);
    const preparing = renderer.prepare!(next).then(
      () => {
        if (this.preparing !== preparing) return;
        this.preparing = null;
        renderer.pose(next);
        [this.shownPose, this.nextPose] = [next, this.shownPose];
        this.posed = true;
        this.refresh();
      },
      (error) => {
        if (this.preparing !== preparing) return;
        this.preparing = null;
        this.failure = error as Error;
        this.options.onError(this.failure);
      },
    );
    this.preparing = preparing;
  }

  protected override move(): void {
    super.move();
    // What is being prepared asks for its picture itself.
    if (!this.preparing) this.refresh();
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
    if (this.clock) this.advance();
    this.update(this.isDrawn);
    this.pictureDirty = false;
    if (!this.isDrawn) return;
    // Before the first pose is there, there is nothing to show.
    if (!this.posed) return;
    this.renderer.render(this.view(this.camera), this.ground);
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
    const [renderer, view] = await this.shown();
    return renderer.readPixels(view, this.ground, half);
  }

  /** Return the Gaussians as the card has them; slow, for tests. */
  async readWorld(): Promise<WorldSplats> {
    const [renderer, view] = await this.shown();
    return renderer.readWorld(view);
  }

  private async shown(): Promise<[AvatarRenderer, View]> {
    this.check();
    if (this.clock) this.advance();
    // What is being prepared may be of a moment before.
    for (let i = 0; i < 2; i++) {
      this.update(true);
      if (this.preparing) await this.preparing;
    }
    this.check();
    if (this.failure) throw this.failure;
    if (!this.renderer || !this.camera) throw new SequenceError("Load an avatar first.");
    this.fit();
    return [this.renderer, this.view(this.camera)];
  }

  private fit(): void {
    if (!this.options.resize) return;
    const { canvas } = this;
    this.ratio = globalThis.devicePixelRatio;
    const ratio = Math.min(this.ratio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
  }

  private readonly tick = (now: number): void => {
    if (this.disposed) return;
    this.request = requestAnimationFrame(this.tick);
    if (this.lost) return;
    if (this.ratio !== globalThis.devicePixelRatio) this.refresh();
    try {
      this.advance(now);
      if (!this.pictureDirty) return;
      this.render();
    } catch (error) {
      this.pause();
      this.pictureDirty = false;
      this.options.onError(error as Error);
      return;
    }
    this.times.push(now);
    while (this.times[0] < now - 1000) this.times.shift();
    this.onFrame?.();
  };

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

  private check(mayBeLost = false): void {
    if (this.disposed) throw new DeviceError("This player was disposed.");
    if (this.lost && !mayBeLost) throw new DeviceError("The graphics device was lost.");
  }

  private readonly onLost = (): void => {
    this.lost = true;
    // What is not on the card is still there: workers, networks.
    this.renderer?.dispose();
    this.renderer = null;
    this.preparing = null;
    this.posed = false;
    this.options.onError(new DeviceError("The graphics device was lost. Waiting for it to come back…"));
  };

  private readonly onRestored = (): void => {
    this.lost = false;
    this.skip();
    try {
      if (this.avatar) this.renderer = this.put(this.avatar);
    } catch (error) {
      // It came back as less than it was.
      this.options.onError(error as Error);
      return;
    }
    this.move();
    this.options.onRestored();
  };

  /** Draw nothing and let no time pass until `wake`, as for a canvas that nobody sees. */
  sleep(): void {
    cancelAnimationFrame(this.request);
    this.request = 0;
  }

  wake(): void {
    if (this.request || this.disposed) return;
    this.skip();
    this.request = requestAnimationFrame(this.tick);
  }

  /** Free everything on the card and stop; the canvas may be used by another player afterwards. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    cancelAnimationFrame(this.request);
    this.observer?.disconnect();
    this.retire();
    // What networks say from now on is for nobody.
    this.preparing = null;
    this.renderer?.dispose();
    this.renderer = null;
    this.device.dispose();
  }
}
