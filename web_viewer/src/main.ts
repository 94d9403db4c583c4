/** The page: finds what to show, wires the player to its controls, and says what went wrong. */
import type { Avatar } from "./avatar/avatar.ts";
import type { Json } from "./avatar/glb.ts";
import { loadAvatar, loadJson } from "./avatar/load.ts";
import { cameraOf, type Point } from "./camera/camera.ts";
import { Orbit } from "./camera/orbit.ts";
import type { Device } from "./device.ts";
import { chooseDevice } from "./devices.ts";
import { loadSequence } from "./driving/sequence_stream.ts";
import { byId } from "./elements.ts";
import { ViewerError } from "./errors.ts";
import { Backgrounds } from "./page/backgrounds.ts";
import { Comparing } from "./page/comparing.ts";
import { type Content, findContent } from "./page/content.ts";
import { button, press } from "./page/controls.ts";
import { filesOf, type Given, kindOf } from "./page/dropped.ts";
import { type Key, listen } from "./page/keys.ts";
import { LifeSwitches } from "./page/life.ts";
import { Loading } from "./page/loading.ts";
import { Maker } from "./page/maker.ts";
import { Panel } from "./page/panel.ts";
import { PoseTab } from "./page/pose_tab.ts";
import { type NamedClip, Transport } from "./page/transport.ts";
import { ViewTab } from "./page/view_tab.ts";
import { VIEWS, Views } from "./page/views.ts";
import { Player } from "./player.ts";

// The programmatic interface, for pages that embed the player and for tests.
const api: { loadAvatar: typeof loadAvatar; loadJson: typeof loadJson; Player: typeof Player; player?: Player } = {
  loadAvatar,
  loadJson,
  Player,
};
Object.assign(window, { flameport: api });

/** Metres. Nearer than the reference's 0.2, because here people may move close. */
const NEAR = 0.05;
const FACTS_EVERY_MS = 400;
/** CSS pixels of the page below which the panel is a sheet that covers part of the picture. */
const NARROW = 720;
const WIDE = 960;
const PANEL =
  "M4 7h9M19 7h1M4 17h1M11 17h9M13.500 7a2.500 2.500 0 1 0 5 0 2.500 2.500 0 1 0-5 0M5.500 17a2.500 2.500 0 1 0 5 0 2.500 2.500 0 1 0-5 0";

const stage = byId("stage");
const message = byId("message");
const panelRoot = byId("panel");
const picker = byId<HTMLInputElement>("file");

let player: Player | null = null;

function say(text: string): void {
  byId("message-text").textContent = text;
  message.hidden = !text;
}

function fail(error: unknown): void {
  const text =
    error instanceof ViewerError
      ? error.message
      : `Something went wrong: ${error instanceof Error ? error.message : error}`;
  say(text);
  if (!player?.avatar) byId("drop").hidden = false;
}

class Page {
  private readonly player: Player;
  private readonly orbit: Orbit;
  private readonly transport: Transport;
  private readonly panel: Panel;
  private readonly views: Views;
  private readonly backgrounds: Backgrounds;
  private readonly life: LifeSwitches;
  private readonly maker: Maker;
  private readonly loading = new Loading();
  private readonly toggle: HTMLButtonElement;
  private readonly keys: Key[];
  private readonly comparing: Comparing;
  private content: Content = { avatar: null, clips: [], camera: null, reference: null, bare: false };
  private clipName: string | null = null;
  private told = 0;
  private attempts = 0;
  private clips: NamedClip[] = [];

  constructor(canvas: HTMLCanvasElement, device: Device) {
    this.player = new Player(canvas, {
      device,
      resize: true,
      near: NEAR,
      background: null,
      onError: fail,
      onRestored: () => say(""),
    });
    player = this.player;
    api.player = this.player;
    this.orbit = new Orbit(canvas, (camera) => {
      this.player.setCamera(camera);
      this.panel?.view.moved();
    });
    this.transport = new Transport(byId("transport"), this.player, () => this.maker.record(this.transport).catch(fail));
    this.views = new Views(this.player, stage, NEAR, fail);
    this.backgrounds = new Backgrounds(this.player, stage);
    this.life = new LifeSwitches(this.player);
    this.maker = new Maker(this.player, stage, NEAR);
    const pose = new PoseTab(this.player, {
      idle: (on) => this.life.idle(on).catch(fail),
      gaze: (on) => this.life.gaze(on).catch(fail),
    });
    const view = new ViewTab(this.player, this.orbit, this.views, this.backgrounds, {
      open: () => picker.click(),
      embed: () => this.maker.embed({ avatar: this.content.avatar, sequence: this.clipName }).catch(fail),
      help: () => this.maker.help(this.keys).catch(fail),
      picture: (options) => this.maker.picture(options).catch(fail),
    });
    this.panel = new Panel(panelRoot, this.player, pose, view, () => picker.click());
    this.comparing = new Comparing(this.player, stage, this.panel, fail);
    this.toggle = button("Controls", () => this.togglePanel(), {
      path: PANEL,
      kind: "icon",
      pressed: false,
      title: "Controls (c)",
    });
    this.toggle.id = "panel-toggle";
    this.toggle.setAttribute("aria-controls", "panel");
    byId("toolbar").append(this.views.bar.row, this.toggle);
    this.keys = this.makeKeys();
    this.listen();
  }

  private makeKeys(): Key[] {
    const { panel, transport, views } = this;
    const flip = (name: "idle" | "gaze") => {
      const on = !(name === "idle" ? this.life.idling : this.life.gazing);
      panel.pose[name].set(on);
      this.life[name](on).catch(fail);
    };
    return [
      { key: " ", what: "play, pause", act: () => transport.toggle() },
      { key: ",", what: "one frame back", act: () => this.step(-1) },
      { key: ".", what: "one frame on", act: () => this.step(1) },
      { key: "l", what: "loop", act: () => transport.toggleLoop() },
      ...VIEWS.map((name, i) => ({
        key: String(i + 1),
        what: `show ${{ splats: "splats", mesh: "the mesh", points: "points", uv: "the UV layout" }[name]}`,
        act: () => views.show(name),
      })),
      { key: "w", what: "wireframe", act: () => views.setEdges(!views.edges) },
      { key: "f", what: "frame the face", act: () => panel.view.frame("face") },
      { key: "h", what: "frame the head", act: () => panel.view.frame("head") },
      { key: "b", what: "next background", act: () => this.backgrounds.next() },
      { key: "i", what: "idle", act: () => flip("idle") },
      { key: "g", what: "look at the pointer", act: () => flip("gaze") },
      { key: "r", what: "reset face and pose", act: () => panel.resetPose() },
      { key: "p", what: "save a picture", act: () => this.maker.picture({ transparent: false, scale: 1 }).catch(fail) },
      { key: "o", what: "open files", act: () => picker.click() },
      { key: "c", what: "show or hide the controls", act: () => this.togglePanel() },
      { key: "?", what: "these keys", act: () => this.maker.help(this.keys).catch(fail) },
    ];
  }

  private step(by: number): void {
    if (this.comparing.isOpen) this.comparing.step(by);
    else this.transport.step(by);
  }

  private listen(): void {
    const shown = this.player;
    shown.onFrame = () => {
      this.transport.update();
      this.views.draw();
      this.panel.view.update();
      const now = performance.now();
      if (now - this.told < FACTS_EVERY_MS) return;
      this.told = now;
      this.describe();
      this.panel.follow();
    };
    shown.onEnded = () => this.transport.update();
    new ResizeObserver(() => this.fit()).observe(byId("transport"));
    addEventListener("resize", () => this.fit());
    byId("message-close").addEventListener("click", () => say(""));
    picker.addEventListener("change", () => {
      const files = [...(picker.files ?? [])].map((file) => ({ path: file.name, file }));
      picker.value = "";
      this.open(files);
    });
    for (const one of document.querySelectorAll("[data-open]")) one.addEventListener("click", () => picker.click());
    addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dragging");
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dragging");
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dragging");
      const { dataTransfer } = event;
      if (dataTransfer) filesOf(dataTransfer).then((files) => this.open(files), fail);
    });
    listen(this.keys);
  }

  /** Begin with what there is. */
  start(): void {
    this.attempt("the avatar", async (signal) => {
      const content = await findContent();
      this.content = content;
      document.body.classList.toggle("bare", content.bare);
      if (!content.avatar) {
        byId("drop").hidden = false;
        return;
      }
      // The camera comes while the avatar does; the clip after it, so that nobody waits for it to see a face.
      const camera = content.camera ? loadJson(content.camera) : null;
      camera?.catch(() => {});
      this.show(await loadAvatar(content.avatar, { signal, progress: this.progress }), this.bytes);
      if (camera) this.stand(await camera);
      // What is beside the page takes the place of the avatar's own.
      if (content.clips.length) this.clips = [];
      for (const { name, file } of content.clips) this.offer(file, name);
      const [first] = content.clips;
      if (first) await this.loadClip(first.file, first.name, signal);
      if (content.reference) {
        if (panelRoot.hidden) this.togglePanel();
        await this.comparing.load(content.reference);
      }
    });
  }

  private bytes: number | null = null;
  private readonly progress = (loaded: number, total: number | null): void => {
    this.bytes = loaded;
    this.loading.progress(loaded, total);
  };

  private attempt(what: string, work: (signal: AbortSignal) => Promise<void>): void {
    say("");
    byId("drop").hidden = true;
    document.body.dataset.state = "loading";
    const mine = ++this.attempts;
    let stopped: AbortSignal | null = null;
    this.loading
      .during(what, (signal) => {
        stopped = signal;
        return work(signal);
      })
      .catch((error) => {
        // Something else was asked for meanwhile, which speaks for itself.
        if (mine !== this.attempts) return;
        if (!stopped?.aborted) fail(error);
        else {
          say("Loading was stopped.");
          if (!this.player.avatar) byId("drop").hidden = false;
        }
      })
      .finally(() => {
        if (mine === this.attempts) document.body.dataset.state = "ready";
      });
  }

  // --- What is shown -------------------------------------------------------------------------------------------------

  private show(avatar: Avatar, bytes: number | null): void {
    this.comparing.close();
    this.player.setAvatar(avatar);
    this.orbit.start(this.player.getCamera()!, middleOf(avatar));
    byId("drop").hidden = true;
    byId("title").hidden = false;
    byId("toolbar").hidden = false;
    document.title = `${avatar.name} · flameport`;
    byId("name").textContent = avatar.name;
    this.clipName = null;
    this.clips = avatar.clip ? [{ name: "in the file", load: async () => this.playOwn(avatar) }] : [];
    this.transport.offer(this.clips, fail);
    this.panel.info.bytes = bytes;
    this.panel.refresh(avatar);
    if (panelRoot.hidden && innerWidth > WIDE && !this.content.bare) this.togglePanel();
    this.views.refresh();
    this.begin();
  }

  /** Play what there is to play. */
  private begin(): void {
    this.transport.refresh();
    this.panel.view.clipChanged();
    this.fit();
    this.describe();
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.player.play();
    this.transport.update();
  }

  /** Play the clip that came with the avatar. */
  private playOwn(avatar: Avatar): void {
    this.player.setSequence(avatar.clip);
    this.clipName = null;
    this.begin();
  }

  /** Let a person choose this clip, too. */
  private offer(source: string | Blob, name: string): void {
    const clip = { name, load: () => this.loadClip(source, name) };
    this.clips = [...this.clips.filter((other) => other.name !== name), clip];
    this.transport.offer(this.clips, fail);
  }

  private async loadClip(source: string | Blob, name: string, signal?: AbortSignal): Promise<void> {
    const { avatar } = this.player;
    if (!avatar) throw new ViewerError("Load an avatar before its clip.");
    const sequence = await loadSequence(source, avatar.head, signal ? { signal } : {});
    if (this.player.avatar !== avatar || signal?.aborted) return;
    if (typeof source !== "string") this.offer(source, name);
    this.player.setSequence(sequence);
    this.clipName = typeof source === "string" ? source : null;
    this.transport.choose(name);
    this.begin();
    await sequence.whole;
    this.transport.refresh();
  }

  private stand(json: Json): void {
    const { avatar } = this.player;
    this.orbit.start(cameraOf(json), avatar ? middleOf(avatar) : [0, 0, 0]);
  }

  private open(files: Given[]): void {
    if (!files.length) return;
    this.attempt(files.length > 1 ? "files" : files[0].path, async (signal) => {
      const kinds = await Promise.all(files.map(kindOf));
      const of = (kind: string) => files.filter((_, i) => kinds[i] === kind);
      // The avatar first, so that a clip dropped with it finds its head.
      for (const [i, { file }] of files.entries()) {
        if (kinds[i] !== "avatar" && kinds[i] !== "bundle") continue;
        const avatar =
          kinds[i] === "avatar"
            ? await loadAvatar(file, { signal })
            : await (await import("./bundle/bundle.ts")).readBundle(file);
        signal.throwIfAborted();
        this.show(avatar, file.size);
      }
      const unknown = of("unknown");
      if (unknown.length)
        throw new ViewerError(
          `${unknown[0].path} is nothing this page opens: an avatar (.glb, a bundle as .zip), a clip, a camera or PNGs.`,
        );
      for (const { file } of of("clip")) await this.loadClip(file, file.name, signal);
      let reference: Json = null;
      let camera: Json = null;
      for (const { file } of of("json")) {
        const json = file.size < 1 << 20 ? await loadJson(file) : null;
        const format = String(json?.format ?? "");
        if (format.startsWith("flameport.camera/")) {
          camera = json;
          this.stand(json);
        } else if (format.startsWith("flameport.reference/")) reference = json;
        else if (json?.avatar === undefined || json?.frames) await this.loadClip(file, file.name, signal);
      }
      const pictures = of("picture");
      if (pictures.length || reference) {
        const beside = this.content.camera;
        camera ??= beside ? await loadJson(beside).catch(() => null) : null;
        if (panelRoot.hidden) this.togglePanel();
        await this.comparing.take(pictures, reference, camera);
      }
    });
  }

  // --- Its looks -----------------------------------------------------------------------------------------------------

  private describe(): void {
    const { stats, isPlaying } = this.player;
    const rate = isPlaying && stats.fps ? ` · ${stats.fps.toFixed(0)} fps` : "";
    byId("facts").textContent = `${stats.count.toLocaleString("en")} Gaussians${rate}`;
  }

  /** Keep the picture clear of the playback bar, and the choice of view where there is room. */
  private fit(): void {
    const bar = byId("transport");
    // Without a box, e.g. where nothing can play, it takes no room.
    const shown = bar.getClientRects().length > 0;
    const top = shown ? stage.getBoundingClientRect().bottom - bar.getBoundingClientRect().top : 0;
    stage.style.setProperty("--bar", `${Math.round(top)}px`);
    const { row } = this.views.bar;
    const home = innerWidth <= NARROW ? this.panel.view.showSection : byId("toolbar");
    if (home && row.parentElement !== home) home.prepend(row);
  }

  private togglePanel(): void {
    panelRoot.hidden = !panelRoot.hidden;
    this.toggle.setAttribute("aria-expanded", String(!panelRoot.hidden));
    press(this.toggle, !panelRoot.hidden);
    this.panel.follow();
    this.fit();
  }
}

function middleOf({ head }: Avatar): Point {
  const sum: Point = [0, 0, 0];
  head.template.forEach((value, i) => {
    sum[i % 3] += value / head.vertexCount;
  });
  return sum;
}

/** Draw with what the address wishes; WebGL2 where it wishes nothing, which was tried on more machines. */
async function begin(): Promise<void> {
  const canvas = byId<HTMLCanvasElement>("view");
  const wish = new URLSearchParams(location.search).get("device");
  new Page(canvas, await chooseDevice(canvas, wish === "auto" || wish === "webgpu" ? wish : "webgl2")).start();
}

begin().catch(fail);
