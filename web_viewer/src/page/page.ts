/** The stage: what is loaded, played and turned. What a visitor may do beyond that is at the desk, which comes later. */
import type { Avatar } from "../avatar/avatar.ts";
import type { Json } from "../avatar/glb.ts";
import { loadAvatar, loadJson } from "../avatar/load.ts";
import { cameraOf, type Point } from "../camera/camera.ts";
import { Orbit } from "../camera/orbit.ts";
import type { Device } from "../device.ts";
import { byId } from "../elements.ts";
import { ViewerError } from "../errors.ts";
import { Player } from "../player.ts";
import { type Content, findContent } from "./content.ts";
import type { Desk } from "./desk.ts";
import { filesOf, type Given, kindOf } from "./dropped.ts";
import { type Key, listen } from "./keys.ts";
import { Loading } from "./loading.ts";
import { say, wordsOf } from "./message.ts";
import { type NamedClip, Transport } from "./transport.ts";

/** Metres. Nearer than the reference's 0.2, because here people may move close. */
export const NEAR = 0.05;
const FACTS_EVERY_MS = 400;
/** CSS pixels of the page from which on the panel is open at first. */
const WIDE = 960;

export class Page {
  readonly player: Player;
  readonly orbit: Orbit;
  readonly transport: Transport;
  readonly keys: Key[];
  readonly stage = byId("stage");
  readonly picker = byId<HTMLInputElement>("file");
  content: Content = { avatar: null, clips: [], camera: null, reference: null, poster: null, bare: false };
  /** Address of the clip that plays, where it has one. */
  clipName: string | null = null;
  /** Of the avatar's file, where it came from one. */
  bytes: number | null = null;
  private readonly loading = new Loading();
  private desk: Desk | null = null;
  private deskComes: Promise<Desk> | null = null;
  private told = 0;
  private attempts = 0;
  private clips: NamedClip[] = [];

  constructor(canvas: HTMLCanvasElement, device: Device) {
    this.player = new Player(canvas, {
      device,
      resize: true,
      near: NEAR,
      background: null,
      onError: this.fail,
      onRestored: () => say(""),
    });
    this.orbit = new Orbit(canvas, (camera) => {
      this.player.setCamera(camera);
      this.desk?.panel.view.moved();
    });
    this.transport = new Transport(byId("transport"), this.player, () => {
      this.atDesk((desk) => desk.maker.record(this.transport));
    });
    this.keys = [
      { key: " ", what: "play, pause", act: () => this.transport.toggle() },
      { key: ",", what: "one frame back", act: () => this.step(-1) },
      { key: ".", what: "one frame on", act: () => this.step(1) },
      { key: "l", what: "loop", act: () => this.transport.toggleLoop() },
    ];
    listen(this.keys);
    this.listen();
  }

  readonly fail = (error: unknown): void => {
    say(wordsOf(error));
    if (!this.player?.avatar) byId("drop").hidden = false;
  };

  private step(by: number): void {
    if (this.desk?.comparing.isOpen) this.desk.comparing.step(by);
    else this.transport.step(by);
  }

  private listen(): void {
    const shown = this.player;
    shown.onFrame = () => {
      if (shown.isShown) byId("poster").hidden = true;
      this.transport.update();
      this.desk?.drawn();
      const now = performance.now();
      if (now - this.told < FACTS_EVERY_MS) return;
      this.told = now;
      this.describe();
      this.desk?.panel.follow();
    };
    shown.onEnded = () => this.transport.update();
    new ResizeObserver(() => this.fit()).observe(byId("transport"));
    addEventListener("resize", () => this.fit());
    byId("message-close").addEventListener("click", () => say(""));
    this.picker.addEventListener("change", () => {
      const files = [...(this.picker.files ?? [])].map((file) => ({ path: file.name, file }));
      this.picker.value = "";
      this.open(files);
    });
    for (const one of document.querySelectorAll("[data-open]"))
      one.addEventListener("click", () => this.picker.click());
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
      if (dataTransfer) filesOf(dataTransfer).then((files) => this.open(files), this.fail);
    });
  }

  /** Do something at the desk, which is fetched for the first of such things. */
  private async atDesk(work: (desk: Desk) => unknown): Promise<void> {
    try {
      this.deskComes ??= import("./desk.ts").then(({ Desk }) => {
        this.desk = new Desk(this);
        return this.desk;
      });
      await work(await this.deskComes);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Begin with what there is. */
  start(): void {
    this.attempt("the avatar", async (signal) => {
      const content = await findContent();
      this.content = content;
      document.body.classList.toggle("bare", content.bare);
      // Its place is kept from the beginning, so that nothing jumps when it is filled.
      byId("panel").hidden = content.bare || !content.avatar || innerWidth <= WIDE;
      if (!content.avatar) {
        byId("drop").hidden = false;
        return;
      }
      const poster = byId<HTMLImageElement>("poster");
      if (content.poster && !poster.src) poster.src = content.poster;
      // An address may name another avatar than the one in the picture.
      poster.hidden = !content.poster;
      // The camera comes while the avatar does; the clip after it, so that nobody waits for it to see a face.
      const camera = content.camera ? loadJson(content.camera) : null;
      camera?.catch(() => {});
      let stands = false;
      // Its first picture is there while the rest of it arrives.
      const glimpse = (avatar: Avatar) => {
        this.player.setAvatar(avatar);
        this.orbit.start(this.player.getCamera()!, middleOf(avatar));
        stands = true;
        camera?.then((json) => this.stand(json)).catch(() => {});
      };
      const avatar = await loadAvatar(content.avatar, { signal, progress: this.progress, first: glimpse });
      const ready = this.show(avatar, this.bytes);
      const from = await camera;
      if (from && !stands) this.stand(from);
      // What is beside the page takes the place of the avatar's own.
      if (content.clips.length) this.clips = [];
      for (const { name, file } of content.clips) this.offer(file, name);
      const [first] = content.clips;
      if (first) await this.loadClip(first.file, first.name, signal);
      await ready;
      const { reference } = content;
      if (reference) {
        await this.atDesk((desk) => {
          desk.openPanel();
          return desk.comparing.load(reference);
        });
      }
    });
  }

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
        byId("poster").hidden = true;
        delete document.body.dataset.expects;
        // Something else was asked for meanwhile, which speaks for itself.
        if (mine !== this.attempts) return;
        if (!stopped?.aborted) this.fail(error);
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

  /** Show an avatar; settles when everything that can be done with it is there, too. */
  private async show(avatar: Avatar, bytes: number | null): Promise<void> {
    this.bytes = bytes;
    this.desk?.comparing.close();
    this.player.setAvatar(avatar);
    this.orbit.start(this.player.getCamera()!, middleOf(avatar));
    byId("drop").hidden = true;
    byId("title").hidden = false;
    document.title = `${avatar.name} · flameport`;
    byId("name").textContent = avatar.name;
    this.clipName = null;
    this.clips = avatar.clip ? [{ name: "in the file", load: async () => this.playOwn(avatar) }] : [];
    this.transport.offer(this.clips, this.fail);
    delete document.body.dataset.expects;
    this.begin();
    if (!this.content.bare) await this.atDesk((desk) => desk.take(avatar));
  }

  /** Play what there is to play. */
  private begin(): void {
    this.transport.refresh();
    this.desk?.panel.view.clipChanged();
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
    this.transport.offer(this.clips, this.fail);
  }

  private async loadClip(source: string | Blob, name: string, signal?: AbortSignal): Promise<void> {
    const { avatar } = this.player;
    if (!avatar) throw new ViewerError("Load an avatar before its clip.");
    const { loadSequence } = await import("../driving/sequence_stream.ts");
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
            : await (await import("../bundle/bundle.ts")).readBundle(file);
        signal.throwIfAborted();
        await this.show(avatar, file.size);
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
        await this.atDesk((desk) => desk.takePictures(pictures, reference, camera));
      }
    });
  }

  // --- Its looks -----------------------------------------------------------------------------------------------------

  private describe(): void {
    const { stats, isPlaying } = this.player;
    const rate = isPlaying && stats.fps ? ` · ${stats.fps.toFixed(0)} fps` : "";
    byId("facts").textContent = `${stats.count.toLocaleString("en")} Gaussians${rate}`;
  }

  /** Keep the picture clear of the playback bar. */
  readonly fit = (): void => {
    // Until there is an avatar, an exported page keeps the place of what it expects.
    if (document.body.dataset.expects !== undefined) return;
    const bar = byId("transport");
    // Without a box, e.g. where nothing can play, it takes no room.
    const shown = bar.getClientRects().length > 0;
    const top = shown ? this.stage.getBoundingClientRect().bottom - bar.getBoundingClientRect().top : 0;
    this.stage.style.setProperty("--bar", `${Math.round(top)}px`);
    this.desk?.fit();
  };
}

function middleOf({ head }: Avatar): Point {
  const sum: Point = [0, 0, 0];
  head.template.forEach((value, i) => {
    sum[i % 3] += value / head.vertexCount;
  });
  return sum;
}
