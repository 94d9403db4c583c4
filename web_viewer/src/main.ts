/** The page: finds what to show, wires the player to its controls, and says what went wrong. */
import type { Avatar } from "./avatar.ts";
import { cameraOf, type Point } from "./camera.ts";
import { chooseDevice, type Wanted } from "./devices.ts";
import { byId } from "./elements.ts";
import { ViewerError } from "./errors.ts";
import type { Json } from "./glb.ts";
import { loadAvatar, loadJson } from "./load.ts";
import { Orbit } from "./orbit.ts";
import { Panel } from "./panel.ts";
import { Player } from "./player.ts";
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

const stage = byId("stage");
const message = byId("message");
const busy = byId("busy");
const panelRoot = byId("panel");
const panelToggle = byId<HTMLButtonElement>("panel-toggle");
const picker = byId<HTMLInputElement>("file");

function say(text: string): void {
  message.textContent = text;
  message.hidden = !text;
}

function fail(error: unknown): void {
  busy.hidden = true;
  say(
    error instanceof ViewerError
      ? error.message
      : `Something went wrong: ${error instanceof Error ? error.message : error}`,
  );
  if (!player?.avatar) byId("drop").hidden = false;
}

let player: Player | null = null;

/** Return what the address wishes to draw with; WebGL2 where it wishes nothing, which was tried on more machines. */
function wishedDevice(): Wanted {
  const wish = new URLSearchParams(location.search).get("device");
  return wish === "auto" || wish === "webgpu" ? wish : "webgl2";
}

async function start(): Promise<void> {
  const canvas = byId<HTMLCanvasElement>("view");
  const device = await chooseDevice(canvas, wishedDevice());
  player = new Player(canvas, { device, resize: true, near: NEAR, onError: fail, onRestored: () => say("") });
  const shown = player;
  api.player = shown;
  const orbit = new Orbit(canvas, (camera) => shown.setCamera(camera));
  const transport = new Transport(byId("transport"), shown);
  const panel = new Panel(panelRoot, shown, {
    open: () => picker.click(),
    resetView: () => orbit.reset(),
    setBackground(css) {
      stage.classList.toggle("checker", css === null);
      stage.style.setProperty("--stage", css ?? "");
      const channel = (at: number) => Number.parseInt(css!.slice(at, at + 2), 16) / 255;
      shown.setBackground(css === null ? null : [channel(1), channel(3), channel(5)]);
    },
  });

  let told = 0;
  shown.onFrame = () => {
    transport.update();
    const now = performance.now();
    if (now - told < FACTS_EVERY_MS) return;
    told = now;
    describe(shown);
    panel.follow();
    panel.updateFacts();
  };

  const show = (avatar: Avatar) => {
    shown.setAvatar(avatar);
    orbit.start(shown.getCamera()!, middleOf(avatar));
    byId("drop").hidden = true;
    byId("title").hidden = false;
    panelToggle.hidden = false;
    if (panelRoot.hidden && innerWidth > 960) togglePanel();
    document.title = `${avatar.name} · flameport`;
    byId("name").textContent = avatar.name;
    transport.offer([], fail);
    panel.refresh();
    begin();
  };
  const begin = () => {
    transport.refresh();
    fitBar();
    describe(shown);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) shown.play();
    transport.update();
  };
  const use = (json: Json) => {
    if (typeof json?.format === "string" && json.format.startsWith("flameport.camera/")) {
      orbit.start(cameraOf(json), shown.avatar ? middleOf(shown.avatar) : [0, 0, 0]);
    } else {
      shown.setSequence(json);
      begin();
    }
  };
  const attempt = async (work: () => Promise<void>) => {
    say("");
    busy.hidden = false;
    try {
      await work();
    } catch (error) {
      fail(error);
    }
    busy.hidden = true;
  };
  const openFiles = (files: Iterable<File>) =>
    attempt(async () => {
      // The avatar first, so that a clip dropped with it finds its head.
      const list = [...files].sort((a, b) => Number(b.name.endsWith(".glb")) - Number(a.name.endsWith(".glb")));
      for (const file of list) {
        if (file.name.toLowerCase().endsWith(".json")) use(await loadJson(file));
        else show(await loadAvatar(file));
      }
    });

  new ResizeObserver(fitBar).observe(byId("transport"));
  message.addEventListener("click", () => say(""));
  picker.addEventListener("change", () => {
    openFiles(picker.files ?? []);
    picker.value = "";
  });
  for (const button of document.querySelectorAll("[data-open]")) button.addEventListener("click", () => picker.click());
  panelToggle.addEventListener("click", togglePanel);
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
    openFiles(event.dataTransfer?.files ?? []);
  });

  attempt(async () => {
    const found = await findContent();
    if (!found.avatar) {
      byId("drop").hidden = false;
      return;
    }
    show(await loadAvatar(found.avatar));
    const clips: NamedClip[] = found.clips.map(({ name, file }) => ({
      name,
      load: async () => use(await loadJson(file)),
    }));
    transport.offer(clips, fail);
    if (clips.length) await clips[0].load();
    if (found.camera) use(await loadJson(found.camera));
  });
}

interface Content {
  avatar: string | null;
  clips: { name: string; file: string }[];
  camera: string | null;
}

/** Return what the address names, or else what a manifest beside the page names. */
async function findContent(): Promise<Content> {
  const query = new URLSearchParams(location.search);
  const named = (key: string) => query.get(key);
  if (named("avatar")) {
    const clip = named("sequence");
    return { avatar: named("avatar"), clips: clip ? [{ name: "clip", file: clip }] : [], camera: named("camera") };
  }
  const response = await fetch("manifest.json").catch(() => null);
  if (!response?.ok) return { avatar: null, clips: [], camera: null };
  const manifest: Json = await response.json().catch(() => null);
  if (typeof manifest?.avatar !== "string") throw new ViewerError("manifest.json beside this page names no avatar.");
  const clips = Array.isArray(manifest.sequences) ? manifest.sequences : [];
  return { avatar: manifest.avatar, clips, camera: manifest.camera ?? null };
}

function describe(shown: Player): void {
  const { stats, isPlaying } = shown;
  const rate = isPlaying && stats.fps ? ` · ${stats.fps.toFixed(0)} fps` : "";
  byId("facts").textContent = `${stats.count.toLocaleString("en")} Gaussians${rate}`;
}

/** Keep the picture clear of the playback bar. */
function fitBar(): void {
  const bar = byId("transport");
  const top = bar.hidden ? 0 : stage.getBoundingClientRect().bottom - bar.getBoundingClientRect().top;
  stage.style.setProperty("--bar", `${Math.round(top)}px`);
}

function togglePanel(): void {
  panelRoot.hidden = !panelRoot.hidden;
  panelToggle.setAttribute("aria-expanded", String(!panelRoot.hidden));
  panelToggle.setAttribute("aria-pressed", String(!panelRoot.hidden));
}

function middleOf({ head }: Avatar): Point {
  const sum: Point = [0, 0, 0];
  head.template.forEach((value, i) => {
    sum[i % 3] += value / head.vertexCount;
  });
  return sum;
}

start().catch(fail);
