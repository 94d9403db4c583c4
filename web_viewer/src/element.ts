/**
 * `<flame-avatar src="anna.glb" sequence="talk.json" controls autoplay loop></flame-avatar>`: an avatar as an HTML element.
 *
 * Attributes: `src`, `sequence` (an address; absent: the clip inside the avatar), `camera` (an address), `controls` (a bar,
 * and orbit by mouse, touch and keys), `background` (any CSS background; transparent when absent), `autoplay`, `loop`,
 * `driver` (`idle`, `pointer`, or both), `poster` (a picture until the avatar is there; or content in slot `poster`),
 * `loading` (`lazy`, which waits until it is nearly seen, or `eager`), `alt` (what a screen reader says).
 * Events, which do not bubble: `load`, `progress` {loaded, total, stage}, `error` {error}, `frame`, `play`, `pause`, `ended`.
 */

import type { Avatar } from "./avatar/avatar.ts";
import { loadAvatar, loadJson } from "./avatar/load.ts";
import { cameraOf, type PinholeCamera, type Point } from "./camera/camera.ts";
import { Orbit } from "./camera/orbit.ts";
import { followPointer, Gaze } from "./driving/gaze.ts";
import { Idle } from "./driving/idle.ts";
import type { Sequence } from "./driving/sequence.ts";
import { loadSequence } from "./driving/sequence_stream.ts";
import { Bar } from "./element/element_bar.ts";
import { elementStyle } from "./element/element_style.ts";
import { element } from "./elements.ts";
import { Player } from "./player.ts";

const TEXTS = ["src", "sequence", "camera", "background", "driver", "poster", "loading", "alt"] as const;
const FLAGS = ["controls", "autoplay", "loop"] as const;
/** Elements begin to load when they are this near to what is seen. */
const NEARLY_SEEN = "300px";
/** Metres; people may move close. */
const NEAR = 0.05;

// Where there are no elements (a server), the module can still be imported.
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

export class FlameAvatarElement extends Base {
  static readonly observedAttributes = [...TEXTS, ...FLAGS];

  declare src: string;
  declare sequence: string;
  declare camera: string;
  declare background: string;
  declare driver: string;
  declare poster: string;
  declare loading: string;
  declare alt: string;
  declare controls: boolean;
  declare autoplay: boolean;
  declare loop: boolean;

  private readonly box = element("div");
  private readonly cover = element("div", { className: "cover", part: "poster" }, element("slot", { name: "poster" }));
  private readonly bar = new Bar(
    () => (this.paused ? this.play() : this.pause()),
    (seconds) => {
      this.pause();
      this.currentTime = seconds;
    },
  );
  private canvas: HTMLCanvasElement | null = null;
  private shown: Player | null = null;
  private orbit: Orbit | null = null;
  private middle: Point = [0, 0, 0];
  private seen: IntersectionObserver | null = null;
  /** Ends whatever is being loaded. */
  private stop = new AbortController();
  private clipStop = new AbortController();
  private drivers: (() => void)[] = [];
  /** What to go on with when it comes back to a document. */
  private kept: { seconds: number; playing: boolean } | null = null;
  private begun = false;
  /** Everything that the attributes name is there; before, what has come is seen and stands still. */
  private whole = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [elementStyle()];
    // What stands inside the element is for browsers without scripts, and for when it cannot be shown.
    const fallback = element("div", { className: "fallback" }, element("slot"));
    this.box.append(this.cover, fallback, this.bar.root);
    root.append(this.box);
    this.addEventListener("keydown", (event) => this.key(event));
  }

  // --- For programs --------------------------------------------------------------------------------------------------

  /** The player inside, for everything the element has no attribute for; null until `load`. */
  get player(): Player | null {
    return this.shown?.avatar ? this.shown : null;
  }

  get currentTime(): number {
    return this.player?.seconds ?? this.kept?.seconds ?? 0;
  }

  set currentTime(seconds: number) {
    this.seek(seconds);
  }

  /** Seconds; 0 without a clip. */
  get duration(): number {
    return this.player?.sequence?.duration ?? 0;
  }

  get paused(): boolean {
    return !this.player?.isPlaying;
  }

  play(): void {
    if (!this.player?.sequence) return;
    const was = this.paused;
    this.player.play();
    this.follow();
    if (was && !this.paused) this.tell("play");
  }

  pause(): void {
    if (this.paused) return;
    this.player?.pause();
    this.follow();
    this.tell("pause");
  }

  seek(to: number | { frame: number }): void {
    this.player?.seek(to);
    this.follow();
  }

  /** Load now, whether it is seen or not; settles as `load` or `error` does. */
  async reload(): Promise<void> {
    this.stopLoading();
    this.stop = new AbortController();
    this.begun = true;
    await this.load(this.stop.signal);
  }

  // --- Life in a document --------------------------------------------------------------------------------------------

  connectedCallback(): void {
    this.describe();
    this.start();
  }

  disconnectedCallback(): void {
    // A move within a document takes it out and in again at once: wait and see.
    queueMicrotask(() => {
      if (!this.isConnected) this.release();
    });
  }

  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (before === now) return;
    if (name === "src") {
      this.kept = null;
      if (this.isConnected) this.start(true);
    } else if (name === "loading") {
      if (this.isConnected && !this.begun) this.start();
    } else if (name === "sequence") this.attempt(() => this.loadClip(this.stop.signal));
    else if (name === "camera") this.attempt(() => this.loadCamera(this.stop.signal));
    else if (name === "loop" && this.shown) this.shown.loop = this.loop;
    else if (name === "autoplay" && this.autoplay) this.play();
    else if (name === "driver") this.drive();
    else this.describe();
  }

  /** Load at once, or when it is nearly seen. */
  private start(again = false): void {
    if (this.begun && !again) return;
    if (again) this.release();
    // Another avatar begins at its beginning.
    if (again) this.kept = null;
    if (!this.src) return;
    if (this.loading === "eager") {
      this.reload().catch(() => {});
      this.watch();
    } else this.watch();
  }

  /** Load when nearly seen; out of sight it sleeps. */
  private watch(): void {
    this.seen?.disconnect();
    this.seen = new IntersectionObserver(
      ([entry]) => {
        if (entry.isIntersecting && !this.begun) this.reload().catch(() => {});
        if (entry.isIntersecting) this.shown?.wake();
        else this.shown?.sleep();
      },
      { rootMargin: NEARLY_SEEN },
    );
    this.seen.observe(this);
  }

  /** Free everything; the element can be used again. */
  private release(): void {
    // What is still being loaded has nothing to keep but what it was to come back to.
    if (this.player && this.whole) this.kept = { seconds: this.currentTime, playing: !this.paused };
    this.stopLoading();
    this.seen?.disconnect();
    this.orbit?.dispose();
    for (const end of this.drivers.splice(0)) end();
    this.shown?.dispose();
    // Browsers allow few contexts; this one would live until the canvas is forgotten.
    this.canvas?.getContext("webgl2")?.getExtension("WEBGL_lose_context")?.loseContext();
    this.canvas?.remove();
    this.seen = null;
    this.orbit = null;
    this.shown = null;
    this.canvas = null;
    this.begun = false;
    this.box.className = "";
  }

  private stopLoading(): void {
    this.stop.abort();
    this.clipStop.abort();
  }

  private async load(signal: AbortSignal): Promise<void> {
    this.whole = false;
    try {
      const progress = (loaded: number, total: number | null, stage: string) =>
        this.tell("progress", { loaded, total, stage });
      let camera: Promise<void> | null = null;
      const first = (avatar: Avatar) => {
        if (signal.aborted) return;
        this.place(avatar);
        this.box.classList.add("shown");
        camera = this.loadCamera(signal);
        camera.catch(() => {});
      };
      const avatar = await loadAvatar(this.src, { signal, progress, first });
      if (signal.aborted) return;
      const player = this.place(avatar);
      const [clip] = await Promise.all([this.loadClip(signal), camera ?? this.loadCamera(signal)]);
      if (signal.aborted) return;
      // Where a clip has not come to yet, it cannot go on.
      if (clip && this.kept && this.kept.seconds > clip.arrivedDuration) await clip.whole.catch(() => {});
      if (signal.aborted) return;
      this.drive();
      this.describe();
      this.whole = true;
      const { kept } = this;
      this.kept = null;
      if (kept) player.seek(kept.seconds);
      if (kept ? kept.playing : this.autoplay && !calm()) this.play();
      player.render();
      this.box.classList.add("shown");
      this.uncover();
      this.follow();
      this.tell("load");
    } catch (error) {
      if (signal.aborted) return;
      this.fail(error);
      throw error;
    }
  }

  /** Show an avatar, or what has come of it. */
  private place(avatar: Avatar): Player {
    const player = this.stage();
    player.setAvatar(avatar);
    player.loop = this.loop;
    this.middle = [0, 0, 0];
    avatar.head.template.forEach((value, i) => {
      this.middle[i % 3] += value / avatar.head.vertexCount;
    });
    return player;
  }

  /** Return the player on a canvas of its own. */
  private stage(): Player {
    if (this.shown) return this.shown;
    this.canvas = element("canvas", { role: "img" });
    this.box.prepend(this.canvas);
    this.shown = new Player(this.canvas, {
      background: null,
      resize: true,
      near: NEAR,
      onError: (error) => this.fail(error),
      onRestored: () => this.box.classList.remove("broken"),
    });
    this.shown.onFrame = () => {
      this.uncover();
      this.follow();
      this.tell("frame");
    };
    this.shown.onEnded = () => {
      this.follow();
      this.tell("ended");
    };
    return this.shown;
  }

  private async loadClip(outer: AbortSignal): Promise<Sequence | null> {
    const { shown } = this;
    if (!shown?.avatar) return null;
    this.clipStop.abort();
    this.clipStop = new AbortController();
    const { signal } = this.clipStop;
    if (outer.aborted) return null;
    const clip = this.sequence ? await loadSequence(this.sequence, shown.avatar.head, { signal }) : shown.avatar.clip;
    if (signal.aborted) return null;
    const { isPlaying } = shown;
    shown.setSequence(clip);
    clip?.whole.catch((error) => {
      if (!signal.aborted) this.fail(error);
    });
    this.box.classList.toggle("clip", (clip?.frames ?? 0) > 1);
    if (isPlaying || (this.autoplay && !calm() && this.whole)) shown.play();
    return clip;
  }

  private async loadCamera(signal: AbortSignal): Promise<void> {
    if (!this.camera || !this.shown?.avatar) return;
    const camera = await loadJson(this.camera, signal).catch((error) => {
      if (!signal.aborted) throw error;
    });
    if (!signal.aborted) this.stand(cameraOf(camera));
  }

  private stand(camera: PinholeCamera): void {
    this.player?.setCamera(camera);
    this.orbit?.start(camera, this.middle);
  }

  /** Let people turn it, or not. */
  private orbitAsTold(): void {
    const { player, canvas } = this;
    if (this.orbit && !(this.controls && player)) {
      this.orbit.dispose();
      this.orbit = null;
    } else if (!this.orbit && this.controls && player && canvas) {
      this.orbit = new Orbit(canvas, (camera) => player.setCamera(camera));
      this.orbit.start(player.getCamera()!, this.middle);
    }
  }

  /** Add the drivers that the attribute names. */
  private drive(): void {
    for (const end of this.drivers.splice(0)) end();
    const { player } = this;
    if (!player || calm()) return;
    const names = new Set(this.driver.split(/\s+/));
    if (names.has("idle")) this.drivers.push(player.addDriver(new Idle({ gaze: names.has("pointer") ? 0 : 1 })));
    if (names.has("pointer")) {
      const gaze = new Gaze();
      this.drivers.push(player.addDriver(gaze), followPointer(gaze, player));
    }
  }

  // --- What is seen of it --------------------------------------------------------------------------------------------

  /** Show what attributes say about its looks. */
  private describe(): void {
    const picture = this.cover.querySelector("img");
    if (this.poster) {
      if (picture) picture.src = this.poster;
      else this.cover.prepend(element("img", { src: this.poster, alt: "" }));
    } else picture?.remove();
    this.box.style.height = "100%";
    this.box.style.background = this.background;
    if (!this.canvas) return;
    this.orbitAsTold();
    const name = this.alt || this.player?.avatar?.name || "avatar";
    const help = this.controls ? ". Drag or use the arrow keys to turn, plus and minus to zoom, 0 to reset." : "";
    this.canvas.setAttribute("aria-label", name + help);
    if (this.controls) this.canvas.tabIndex = 0;
    else this.canvas.removeAttribute("tabindex");
  }

  /** The poster goes when there is a picture, which may take networks a while. */
  private uncover(): void {
    this.box.classList.toggle("drawn", this.box.classList.contains("shown") && this.shown?.isShown);
  }

  private follow(): void {
    if (this.controls && this.player) this.bar.update(this.player);
  }

  private key(event: KeyboardEvent): void {
    if (!this.controls || event.key !== " " || event.composedPath()[0] !== this.canvas) return;
    event.preventDefault();
    if (this.paused) this.play();
    else this.pause();
  }

  private attempt(work: () => Promise<unknown>): void {
    work().catch((error) => this.fail(error));
  }

  private fail(error: unknown): void {
    if (!this.player) this.box.classList.add("broken");
    this.tell("error", { error, message: error instanceof Error ? error.message : String(error) });
  }

  private tell(name: string, detail: unknown = null): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** The person wants little motion. */
function calm(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

for (const name of TEXTS) {
  Object.defineProperty(FlameAvatarElement.prototype, name, {
    get(this: HTMLElement) {
      return this.getAttribute(name) ?? (name === "loading" ? "lazy" : "");
    },
    set(this: HTMLElement, value: string | null) {
      if (value === null || value === undefined) this.removeAttribute(name);
      else this.setAttribute(name, String(value));
    },
    enumerable: true,
    configurable: true,
  });
}
for (const name of FLAGS) {
  Object.defineProperty(FlameAvatarElement.prototype, name, {
    get(this: HTMLElement) {
      return this.hasAttribute(name);
    },
    set(this: HTMLElement, value: unknown) {
      this.toggleAttribute(name, Boolean(value));
    },
    enumerable: true,
    configurable: true,
  });
}

declare global {
  interface HTMLElementTagNameMap {
    "flame-avatar": FlameAvatarElement;
  }
}

if (globalThis.customElements && !customElements.get("flame-avatar")) {
  customElements.define("flame-avatar", FlameAvatarElement);
}
