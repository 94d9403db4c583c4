/** The page: finds what to show, wires the player to its controls, and says what went wrong. */
import type { Avatar } from "./avatar.ts";
import { cameraOf, type Point } from "./camera.ts";
import type { Device } from "./device.ts";
import { chooseDevice } from "./devices.ts";
import { loadSequence } from "./driving/sequence_stream.ts";
import { byId } from "./elements.ts";
import { ViewerError } from "./errors.ts";
import type { Json } from "./glb.ts";
import { loadAvatar, loadJson } from "./load.ts";
import { Orbit } from "./orbit.ts";
import { Backgrounds } from "./page/backgrounds.ts";
import type { Comparison } from "./page/compare.ts";
import { type Content, findContent } from "./page/content.ts";
import { button, press } from "./page/controls.ts";
import { filesOf, type Given, kindOf } from "./page/dropped.ts";
import { type Key, listen } from "./page/keys.ts";
import { LifeSwitches } from "./page/life.ts";
import { Loading } from "./page/loading.ts";
import { PoseTab } from "./page/pose_tab.ts";
import type { References } from "./page/reference.ts";
import { ViewTab } from "./page/view_tab.ts";
import { VIEWS, Views } from "./page/views.ts";
import { Panel } from "./panel.ts";
import { Player } from "./player.ts";
import type { Sequence } from "./sequence.ts";
import { type NamedClip, Transport } from "./transport.ts";

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
  private readonly loading = new Loading();
  private readonly toggle: HTMLButtonElement;
  private readonly keys: Key[];
  private comparison: Comparison | null = null;
  private content: Content = { avatar: null, clips: [], camera: null, reference: null, bare: false };
  private clipName: string | null = null;
  private stopRecording: (() => Sequence) | null = null;
  private told = 0;

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
    this.transport = new Transport(byId("transport"), this.player, () => this.record().catch(fail));
    this.views = new Views(this.player, stage, NEAR, fail);
    this.backgrounds = new Backgrounds(this.player, stage);
    this.life = new LifeSwitches(this.player);
    const pose = new PoseTab(this.player, {
      idle: (on) => this.life.idle(on).catch(fail),
      gaze: (on) => this.life.gaze(on).catch(fail),
    });
    const view = new ViewTab(this.player, this.orbit, this.views, this.backgrounds, {
      open: () => picker.click(),
      embed: () => this.embed().catch(fail),
      help: () => this.help().catch(fail),
      picture: (options) => this.picture(options).catch(fail),
    });
    this.panel = new Panel(panelRoot, this.player, pose, view, () => picker.click());
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
      { key: "p", what: "save a picture", act: () => this.picture({ transparent: false, scale: 1 }).catch(fail) },
      { key: "o", what: "open files", act: () => picker.click() },
      { key: "c", what: "show or hide the controls", act: () => this.togglePanel() },
      { key: "?", what: "these keys", act: () => this.help().catch(fail) },
    ];
  }

  private step(by: number): void {
    if (this.comparison?.isOpen) this.comparison.step(by);
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
      const clips: NamedClip[] = content.clips.map(({ name, file }) => ({
        name,
        load: () => this.loadClip(file, name),
      }));
      this.transport.offer(clips, fail);
      if (clips.length) await clips[0].load();
      if (content.reference) await this.loadReference(content.reference);
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
    let stopped: AbortSignal | null = null;
    this.loading
      .during(what, (signal) => {
        stopped = signal;
        return work(signal);
      })
      .catch((error) => {
        if (!stopped?.aborted) fail(error);
        else {
          say("Loading was stopped.");
          if (!this.player.avatar) byId("drop").hidden = false;
        }
      })
      .finally(() => {
        document.body.dataset.state = "ready";
      });
  }

  // --- What is shown -------------------------------------------------------------------------------------------------

  private show(avatar: Avatar, bytes: number | null): void {
    this.comparison?.close();
    this.player.setAvatar(avatar);
    this.orbit.start(this.player.getCamera()!, middleOf(avatar));
    byId("drop").hidden = true;
    byId("title").hidden = false;
    byId("toolbar").hidden = false;
    document.title = `${avatar.name} · flameport`;
    byId("name").textContent = avatar.name;
    this.clipName = null;
    this.transport.offer([], fail);
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

  private async loadClip(source: string | Blob, name: string): Promise<void> {
    const { avatar } = this.player;
    if (!avatar) throw new ViewerError("Load an avatar before its clip.");
    const sequence = await loadSequence(source, avatar.head);
    if (this.player.avatar !== avatar) return;
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
      for (const { file } of of("avatar")) this.show(await loadAvatar(file, { signal }), file.size);
      for (const { file } of of("bundle")) {
        const { readBundle } = await import("./bundle/bundle.ts");
        this.show(await readBundle(file), file.size);
      }
      const unknown = of("unknown");
      if (unknown.length)
        throw new ViewerError(
          `${unknown[0].path} is nothing this page opens: an avatar (.glb, a bundle as .zip), a clip, a camera or PNGs.`,
        );
      for (const { file } of of("clip")) await this.loadClip(file, file.name);
      let reference: Json = null;
      let camera: Json = null;
      for (const { file } of of("json")) {
        const json = file.size < 1 << 20 ? await loadJson(file) : null;
        const format = String(json?.format ?? "");
        if (format.startsWith("flameport.camera/")) {
          camera = json;
          this.stand(json);
        } else if (format.startsWith("flameport.reference/")) reference = json;
        else if (json?.avatar === undefined || json?.frames) await this.loadClip(file, file.name);
      }
      const pictures = of("picture");
      if (pictures.length || reference) await this.comparePictures(pictures, reference, camera);
    });
  }

  // --- Comparing -----------------------------------------------------------------------------------------------------

  private async loadReference(address: string): Promise<void> {
    const { referencesIn } = await import("./page/reference.ts");
    const base = new URL(address, location.href);
    await this.compare(referencesIn(await loadJson(address), (file) => new URL(file, base).href));
  }

  private async comparePictures(pictures: Given[], reference: Json, camera: Json): Promise<void> {
    const { referencesIn, referencesFrom } = await import("./page/reference.ts");
    if (reference) {
      const named = (file: string) => pictures.find(({ path }) => path === file || path.endsWith(`/${file}`))?.file;
      return this.compare(referencesIn(reference, named));
    }
    const references = referencesFrom(pictures.map(({ path, file }) => ({ name: path, source: file })));
    const own = camera ?? (this.content.camera ? await loadJson(this.content.camera).catch(() => null) : null);
    await this.compare({ ...references, camera: own && cameraOf(own) });
  }

  private async compare(references: References): Promise<void> {
    const { Comparison } = await import("./page/compare.ts");
    if (!this.comparison) {
      const empty = [...this.panel.compare.children];
      this.comparison = new Comparison(
        this.player,
        () => {
          stage.classList.remove("comparing");
          this.panel.compare.replaceChildren(...empty);
        },
        fail,
      );
    }
    this.panel.compare.replaceChildren(this.comparison.root);
    stage.classList.add("comparing");
    if (panelRoot.hidden) this.togglePanel();
    this.panel.tabs.choose("Compare");
    await this.comparison.show(references);
  }

  // --- What it makes -------------------------------------------------------------------------------------------------

  private async record(): Promise<void> {
    if (!this.stopRecording) {
      const { record } = await import("./driving/recorder.ts");
      this.stopRecording = record(this.player);
      this.transport.recording(true);
      byId("said").textContent = "Recording.";
      return;
    }
    const sequence = this.stopRecording();
    this.stopRecording = null;
    this.transport.recording(false);
    byId("said").textContent = "The recording was saved.";
    const [{ writeSequence }, { download, fileName }] = await Promise.all([
      import("./driving/sequence_json.ts"),
      import("./page/downloads.ts"),
    ]);
    download(
      new Blob([writeSequence(sequence)], { type: "application/json" }),
      `${fileName(this.player.avatar!.name)}-recorded.json`,
    );
  }

  private async picture(options: { transparent: boolean; scale: number }): Promise<void> {
    if (!this.player.avatar) return;
    const { download, fileName, pictureOf } = await import("./page/downloads.ts");
    download(await pictureOf(this.player, stage, NEAR, options), `${fileName(this.player.avatar.name)}.png`);
    byId("said").textContent = "The picture was saved.";
  }

  private async help(): Promise<void> {
    (await import("./page/dialogs.ts")).showHelp(this.keys);
  }

  private async embed(): Promise<void> {
    const { showEmbed } = await import("./page/dialogs.ts");
    const here = new URL(location.href);
    here.hash = "";
    here.searchParams.set("ui", "none");
    const at = (file: string) => new URL(file, location.href).href;
    const addresses = {
      page: here.href,
      avatar: at(this.content.avatar ?? "avatar.glb"),
      sequence: this.clipName ? at(this.clipName) : null,
      element: at("lib/element.js"),
      module: at("lib/index.js"),
    };
    const local = /^(localhost|127\.|\[?::1)/.test(location.hostname) || location.protocol === "file:";
    const note = [
      local
        ? "These addresses work on this machine only: put the exported folder on a server, and copy them there."
        : "",
      this.content.avatar ? "" : "The avatar was opened from a file: put it beside the page first.",
      "Another site may need this one's permission (CORS) to load the files.",
    ];
    showEmbed(addresses, note.filter(Boolean).join(" "));
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
