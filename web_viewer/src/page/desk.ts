/** Everything beyond watching: views, the panel with its tabs, comparing, and what the page makes. Fetched after the first picture. */
import type { Avatar } from "../avatar/avatar.ts";
import type { Json } from "../avatar/glb.ts";
import { byId } from "../elements.ts";
import { Backgrounds } from "./backgrounds.ts";
import { Comparing } from "./comparing.ts";
import { button, press } from "./controls.ts";
import type { Given } from "./dropped.ts";
import type { Key } from "./keys.ts";
import { LifeSwitches } from "./life.ts";
import { Maker } from "./maker.ts";
import { NEAR, type Page } from "./page.ts";
import { Panel } from "./panel.ts";
import { PoseTab } from "./pose_tab.ts";
import { ViewTab } from "./view_tab.ts";
import { VIEWS, Views } from "./views.ts";
import "../desk.css";

/** CSS pixels of the page below which the panel is a sheet that covers part of the picture. */
const NARROW = 720;
const PANEL =
  "M4 7h9M19 7h1M4 17h1M11 17h9M13.500 7a2.500 2.500 0 1 0 5 0 2.500 2.500 0 1 0-5 0M5.500 17a2.500 2.500 0 1 0 5 0 2.500 2.500 0 1 0-5 0";

export class Desk {
  readonly panel: Panel;
  readonly maker: Maker;
  readonly comparing: Comparing;
  private readonly root = byId("panel");
  private readonly views: Views;
  private readonly backgrounds: Backgrounds;
  private readonly life: LifeSwitches;
  private readonly toggle: HTMLButtonElement;

  constructor(private readonly page: Page) {
    const { player, stage, orbit, fail, picker } = page;
    this.views = new Views(player, stage, NEAR, fail);
    this.backgrounds = new Backgrounds(player, stage);
    this.life = new LifeSwitches(player);
    this.maker = new Maker(player, stage, NEAR);
    const pose = new PoseTab(player, {
      idle: (on) => this.life.idle(on).catch(fail),
      gaze: (on) => this.life.gaze(on).catch(fail),
    });
    const view = new ViewTab(player, orbit, this.views, this.backgrounds, {
      open: () => picker.click(),
      embed: () => this.maker.embed({ ...page.content, sequence: page.clipName }).catch(fail),
      help: () => this.maker.help(page.keys).catch(fail),
      picture: (options) => this.maker.picture(options).catch(fail),
    });
    this.panel = new Panel(this.root, player, pose, view, () => picker.click());
    this.comparing = new Comparing(player, stage, this.panel, (on) => this.views.cover(on), fail);
    this.toggle = button("Controls", () => this.togglePanel(), {
      path: PANEL,
      kind: "icon",
      pressed: !this.root.hidden,
      title: "Controls (c)",
    });
    this.toggle.id = "panel-toggle";
    this.toggle.setAttribute("aria-controls", "panel");
    this.toggle.setAttribute("aria-expanded", String(!this.root.hidden));
    byId("toolbar").append(this.views.bar.row, this.toggle);
    byId("toolbar").hidden = false;
    page.keys.push(...this.keys());
  }

  private keys(): Key[] {
    const { page } = this;
    const flip = (name: "idle" | "gaze") => {
      const on = !(name === "idle" ? this.life.idling : this.life.gazing);
      this.panel.pose[name].set(on);
      this.life[name](on).catch(page.fail);
    };
    return [
      ...VIEWS.map((name, i) => ({
        key: String(i + 1),
        what: `show ${{ splats: "splats", mesh: "the mesh", points: "points", uv: "the UV maps" }[name]}`,
        act: () => this.views.show(name),
      })),
      { key: "w", what: "wireframe", act: () => this.views.setEdges(!this.views.edges) },
      { key: "f", what: "frame the face", act: () => this.panel.view.frame("face") },
      { key: "h", what: "frame the head", act: () => this.panel.view.frame("head") },
      { key: "b", what: "next background", act: () => this.backgrounds.next() },
      { key: "i", what: "idle", act: () => flip("idle") },
      { key: "g", what: "look at the pointer", act: () => flip("gaze") },
      { key: "r", what: "reset face and pose", act: () => this.panel.resetPose() },
      {
        key: "p",
        what: "save a picture",
        act: () => this.maker.picture({ transparent: false, scale: 1 }).catch(page.fail),
      },
      { key: "o", what: "open files", act: () => page.picker.click() },
      { key: "c", what: "show or hide the controls", act: () => this.togglePanel() },
      { key: "?", what: "these keys", act: () => this.maker.help(page.keys).catch(page.fail) },
    ];
  }

  /** Make everything ready for an avatar that has just been shown. */
  take(avatar: Avatar): void {
    this.panel.info.bytes = this.page.bytes;
    this.panel.refresh(avatar);
    this.views.refresh();
    this.page.fit();
  }

  /** Compare the avatar with pictures. */
  async takePictures(pictures: Given[], reference: Json, camera: Json): Promise<void> {
    if (!reference && (await this.views.replace(pictures))) return;
    this.openPanel();
    await this.comparing.take(pictures, reference, camera);
  }

  /** A frame was drawn. */
  drawn(): void {
    this.views.draw();
    this.panel.view.update();
  }

  /** Keep the choice of view where there is room for it. */
  fit(): void {
    const { row } = this.views.bar;
    const home = innerWidth <= NARROW ? this.panel.view.showSection : byId("toolbar");
    if (home && row.parentElement !== home) home.prepend(row);
  }

  openPanel(): void {
    if (this.root.hidden) this.togglePanel();
  }

  private togglePanel(): void {
    this.root.hidden = !this.root.hidden;
    this.toggle.setAttribute("aria-expanded", String(!this.root.hidden));
    press(this.toggle, !this.root.hidden);
    this.panel.follow();
    this.page.fit();
  }
}
