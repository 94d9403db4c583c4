/** How the avatar is looked at: viewpoint, lens, background, what is shown, and pictures of it. */
import type { PinholeCamera, Point } from "../camera/camera.ts";
import type { Orbit } from "../camera/orbit.ts";
import { element } from "../elements.ts";
import type { Player } from "../player.ts";
import type { Backgrounds } from "./backgrounds.ts";
import { button, choice, type Slider, slider, toggle } from "./controls.ts";
import {
  cameraOn,
  type Framing,
  faceBox,
  fieldOfView,
  headBox,
  VIEWPOINTS,
  type Viewpoint,
  withFieldOfView,
} from "./viewpoints.ts";
import type { Views } from "./views.ts";

export interface ViewActions {
  open: () => void;
  embed: () => void;
  help: () => void;
  picture: (options: { transparent: boolean; scale: number }) => void;
}

const SCALES = ["1", "2", "4"] as const;

export class ViewTab {
  readonly root = element("div");
  private fov: Slider | null = null;
  private show: HTMLElement | null = null;
  private framing: Framing = "head";
  private yaw = 0;
  /** Follow the clip's camera. */
  private clipCamera = false;
  private lastFrame = -1;
  private readonly clipSwitch = toggle("The clip's camera", false, (on) => this.followClip(on));

  constructor(
    private readonly player: Player,
    private readonly orbit: Orbit,
    private readonly views: Views,
    private readonly backgrounds: Backgrounds,
    private readonly actions: ViewActions,
  ) {}

  /** Build it for the player's avatar. */
  refresh(): void {
    const { views, actions } = this;
    const points = Object.keys(VIEWPOINTS) as Viewpoint[];
    const viewpoints = element(
      "div",
      { className: "viewpoints", role: "group", "aria-label": "Viewpoint" },
      ...points.map((name) => button(name, () => this.stand(name), { path: HEADS[name], kind: "icon" })),
    );
    const frames = element(
      "div",
      { className: "row" },
      button("Face", () => this.frame("face"), { title: "Frame the face (f)" }),
      button("Head", () => this.frame("head"), { title: "Frame the head (h)" }),
      button("Reset", () => this.reset(), { title: "Back to the first view (0)" }),
    );
    this.fov = slider({
      label: "Field of view",
      low: 5,
      high: 90,
      value: this.fieldOfView(),
      unit: "°",
      change: (degrees) => this.lens(degrees),
      reset: () => this.reset(),
    });
    const edges = toggle(
      "Wireframe",
      views.edges,
      (on) => views.setEdges(on),
      "Edges of the head's mesh, over anything",
    );
    const clay = toggle("Clay", views.clay, (on) => views.setClay(on), "The mesh lit, without its colours");
    const uv = (["image", "gaussians", "edges"] as const).map((what) => {
      const label = { image: "Image", gaussians: "Gaussians", edges: "Triangles" }[what];
      return toggle(label, views.uv[what], (on) => views.setUv(what, on)).row;
    });
    const uvBox = element("div", { className: "body inner" }, ...uv);
    views.onChange = () => {
      edges.set(views.edges);
      clay.row.hidden = views.name !== "mesh";
      edges.row.hidden = views.name === "uv";
      uvBox.hidden = views.name !== "uv";
    };
    views.onChange();
    const transparent = toggle("Transparent background", false, () => {});
    let scale: (typeof SCALES)[number] = "1";
    const sizes = choice(
      "Size",
      SCALES.map((value) => ({ value, label: `${value}×`, title: `${value} times the size on the page` })),
      scale,
      (value) => {
        scale = value;
      },
    );
    const save = button("Save picture", () =>
      actions.picture({
        transparent: (transparent.row.querySelector("input") as HTMLInputElement).checked,
        scale: Number(scale),
      }),
    );
    this.show = section("Show", edges.row, clay.row, uvBox);
    const camera = section("Camera", viewpoints, frames, this.fov.row);
    const files = element(
      "div",
      { className: "row" },
      button("Open…", actions.open, { title: "Open an avatar, a clip, a camera or pictures (o)" }),
      button("Embed…", actions.embed, { title: "Code for other pages" }),
      button("Keys", actions.help, { title: "All keys (?)" }),
    );
    this.root.replaceChildren(
      camera,
      this.show,
      section("Background", this.backgrounds.root),
      section("Picture", element("div", { className: "split" }, sizes.row, save), transparent.row),
      section("Files", files),
    );
    this.clipChanged();
  }

  /** Where the choice of view goes when there is no room for it over the picture. */
  get showSection(): HTMLElement | null {
    return this.show?.querySelector<HTMLElement>(".body") ?? null;
  }

  /** The clip has changed: offer its camera. */
  clipChanged(): void {
    this.followClip(false);
    const { sequence } = this.player;
    if (sequence?.cameras.length) this.fov?.row.before(this.clipSwitch.row);
    else this.clipSwitch.row.remove();
  }

  private followClip(on: boolean): void {
    this.clipCamera = on;
    this.lastFrame = -1;
    this.clipSwitch.set(on);
    this.update();
  }

  /** A frame was drawn. */
  update(): void {
    const { sequence, seconds } = this.player;
    if (this.clipCamera && sequence?.cameras.length) {
      const frame = Math.min(Math.round(seconds * sequence.fps), sequence.cameras.length - 1);
      if (frame === this.lastFrame) return;
      this.lastFrame = frame;
      this.orbit.go(sequence.cameras[frame]);
    }
  }

  /** A person moved the camera. */
  moved(): void {
    this.fov?.follow(this.fieldOfView());
  }

  private fieldOfView(): number {
    const camera = this.player.getCamera();
    return camera ? fieldOfView(camera) : 20;
  }

  private lens(degrees: number): void {
    const camera = this.player.getCamera();
    if (!camera) return;
    this.clipOff();
    this.orbit.go(withFieldOfView(camera, Math.min(Math.max(degrees, 2), 140), [...this.orbit.target] as Point));
  }

  private clipOff(): void {
    if (this.clipCamera) this.followClip(false);
  }

  stand(name: Viewpoint): void {
    this.yaw = VIEWPOINTS[name];
    this.frame(this.framing);
  }

  frame(framing: Framing): void {
    const { avatar } = this.player;
    const camera = this.player.getCamera();
    if (!avatar || !camera) return;
    this.clipOff();
    this.framing = framing;
    const head = headBox(avatar);
    const like: PinholeCamera = camera;
    this.orbit.go(cameraOn(framing === "face" ? faceBox(head) : head, this.yaw, like), softly());
  }

  reset(): void {
    this.clipOff();
    this.yaw = 0;
    this.orbit.reset(softly());
    this.fov?.release();
    this.moved();
  }
}

function softly(): boolean {
  return !matchMedia("(prefers-reduced-motion: reduce)").matches;
}

function section(title: string, ...children: (Node | null)[]): HTMLElement {
  return element(
    "details",
    { open: true },
    element("summary", { textContent: title }),
    element("div", { className: "body" }, ...children),
  );
}

/** Heads as seen from each viewpoint. */
const HEADS: Record<Viewpoint, string> = {
  Front:
    "M12 4c-4 0-5.5 3-5.5 6.500 0 5 3 9.500 5.500 9.500s5.500-4.500 5.500-9.500C17.500 7 16 4 12 4zM9.500 11h.5M14 11h.5M10.500 15.500h3",
  "Three-quarter right":
    "M11 4c-4 0-5.500 3-5 6.500.5 5 3.500 9.500 6.500 9.500 2.500 0 5-4.500 5-9.500C17.500 7 15 4 11 4zM12 11h.5M16 11h.2M12.500 15.500h3",
  "Three-quarter left":
    "M13 4c4 0 5.500 3 5 6.500-.5 5-3.500 9.500-6.500 9.500-2.500 0-5-4.500-5-9.500C6.500 7 9 4 13 4zM12 11h-.5M8 11h-.2M11.500 15.500h-3",
  "Profile right":
    "M10 4c-4 0-6 3-6 6.500 0 3 1 5 2.500 6.500v3M10 4c4 0 6 2 6 5l1.800 4-1.800.6.2 2.400c0 1.500-1 2-2.500 1.800L11.500 18v2M13 10.500h.3",
  "Profile left":
    "M14 4c4 0 6 3 6 6.500 0 3-1 5-2.500 6.500v3M14 4c-4 0-6 2-6 5l-1.800 4 1.800.6-.2 2.400c0 1.500 1 2 2.500 1.800l2.200.2v2M11 10.500h-.3",
};
