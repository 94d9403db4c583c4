/** The side panel: expressions, pose, view, files, and what is known about the avatar. */
import { ARKIT_52 } from "./arkit.ts";
import type { Avatar } from "./avatar.ts";
import { element, type Slider, slider } from "./elements.ts";
import type { Player } from "./player.ts";
import type { Pose } from "./pose.ts";

const DEGREE = Math.PI / 180;

export interface PanelActions {
  open: () => void;
  resetView: () => void;
  setBackground: (css: string | null) => void;
}

type Follower = (pose: Pose) => void;

export class Panel {
  private followers: Follower[] = [];
  private sliders: Slider[] = [];
  /** Fields of the pose that a person holds, as they hold them. */
  private readonly held = new Map<string, Float64Array>();
  private readonly facts = element("dl");

  constructor(
    private readonly root: HTMLElement,
    private readonly player: Player,
    private readonly actions: PanelActions,
  ) {}

  /** Build the panel for the player's avatar. */
  refresh(): void {
    const { avatar } = this.player;
    if (!avatar) return;
    this.followers = [];
    this.sliders = [];
    this.root.replaceChildren(
      this.expressions(avatar),
      this.pose(avatar),
      this.joints(avatar) ?? "",
      this.view(),
      this.about(avatar),
    );
  }

  /** Let sliders that nobody holds follow the clip. */
  follow(): void {
    const pose = this.player.getPose();
    if (pose && this.root.getClientRects().length) for (const follow of this.followers) follow(pose);
  }

  private section(title: string, open: boolean, ...children: (Node | string)[]): HTMLDetailsElement {
    return element(
      "details",
      { open },
      element("summary", { textContent: title }),
      element("div", { className: "body" }, ...children),
    );
  }

  private add(made: Slider, follow?: (pose: Pose) => number): HTMLElement {
    this.sliders.push(made);
    if (follow) this.followers.push((pose) => made.follow(follow(pose)));
    return made.row;
  }

  private resetButton(): HTMLElement {
    const button = element("button", { type: "button", textContent: "Reset face and pose" });
    button.addEventListener("click", () => {
      this.player.resetPose();
      this.held.clear();
      for (const made of this.sliders) made.release();
    });
    return button;
  }

  private expressions(avatar: Avatar): HTMLElement {
    const { head } = avatar;
    const viaMap = head.arkitMap !== null && !head.edition.startsWith("arkit");
    const list = element("div", { className: "sliders" });
    const search = element("input", {
      type: "search",
      placeholder: "Search expressions",
      "aria-label": "Search expressions",
    });
    if (viaMap) {
      for (const name of ARKIT_52) {
        const set = (weight: number) => this.player.setArkit(name, weight);
        list.append(this.add(slider({ label: words(name), name, low: 0, high: 1, change: set, reset: () => set(0) })));
      }
    }
    const known = new Set(viaMap ? ARKIT_52 : []);
    head.exprNames.forEach((name, i) => {
      if (known.has(name)) return;
      const [low, high] = ARKIT_52.includes(name) ? [0, 1] : [-3, 3];
      const made = slider({
        label: words(name),
        name,
        low,
        high,
        change: (value) => this.player.setExpression(name, value),
        reset: () => this.player.setExpression(name, null),
      });
      list.append(this.add(made, (pose) => pose.expr[i]));
    });
    filter(search, list);
    return this.section("Expression", true, search, list, this.resetButton());
  }

  private pose(avatar: Avatar): HTMLElement {
    const { roles, eyelids } = avatar.head;
    const held = this.held;
    held.clear();
    const parts: HTMLElement[] = [];
    const turn = (
      field: "rotation" | "neck" | "jaw" | "eyes" | "eyelids",
      label: string,
      axes: number[],
      range: [number, number],
      unit = DEGREE,
    ) => {
      const [low, high] = range;
      const made = slider({
        label,
        low,
        high,
        unit: unit === DEGREE ? "°" : "",
        change: (value) => {
          const values = held.get(field) ?? Float64Array.from(this.player.getPose()?.[field] ?? []);
          held.set(field, values);
          for (const axis of axes) values[axis] = value * unit;
          this.player.setPose({ [field]: values });
        },
        reset: () => {
          held.delete(field);
          this.player.releasePose(field);
        },
      });
      parts.push(this.add(made, (pose) => pose[field][axes[0]] / unit));
    };
    const heading = (text: string) => parts.push(element("h3", { textContent: text }));
    if (roles.root !== undefined || roles.neck !== undefined) {
      const field = roles.neck !== undefined ? "neck" : "rotation";
      heading("Head");
      turn(field, "Nod", [0], [-40, 40]);
      turn(field, "Turn", [1], [-60, 60]);
      turn(field, "Tilt", [2], [-40, 40]);
    }
    if (roles.jaw !== undefined) {
      heading("Jaw");
      turn("jaw", "Open", [0], [-5, 30]);
      turn("jaw", "Side", [1], [-15, 15]);
    }
    if (roles.left_eye !== undefined || roles.right_eye !== undefined) {
      heading("Gaze");
      turn("eyes", "Up and down", [0, 3], [-30, 30]);
      turn("eyes", "Left and right", [1, 4], [-40, 40]);
    }
    if (eyelids.length) {
      heading("Eyelids");
      turn("eyelids", "Left", [0], [0, 1], 1);
      turn("eyelids", "Right", [1], [0, 1], 1);
    }
    return this.section("Pose", false, ...parts);
  }

  /** Joints by name, for heads that have more than FLAME's five: those that carry vertices. */
  private joints(avatar: Avatar): HTMLElement | null {
    const { head } = avatar;
    const driven = new Set(Object.values(head.roles));
    const carrying = new Set(head.weights.joints);
    const others = head.jointNames.filter((_, j) => carrying.has(j) && !driven.has(j));
    if (!others.length) return null;
    const search = element("input", { type: "search", placeholder: "Search joints", "aria-label": "Search joints" });
    const list = element("div", { className: "sliders" });
    for (const name of others) {
      const angle = new Float64Array(3);
      ["x", "y", "z"].forEach((axis, c) => {
        const made = slider({
          label: `${name} ${axis}`,
          low: -60,
          high: 60,
          unit: "°",
          change: (value) => {
            angle[c] = value * DEGREE;
            this.player.setPose({ [name]: angle });
          },
          reset: () => {
            angle.fill(0);
            this.player.releasePose(name);
          },
        });
        list.append(this.add(made));
      });
    }
    filter(search, list);
    return this.section("Joints", false, search, list);
  }

  private view(): HTMLElement {
    const swatches = element("div", { className: "row", role: "group", "aria-label": "Background" });
    const colors: [string, string | null, string][] = [
      ["White", "#ffffff", "#ffffff"],
      ["Light gray", "#d9dadd", "#d9dadd"],
      ["Dark gray", "#24262b", "#24262b"],
      ["Black", "#000000", "#000000"],
      ["Transparent", null, "repeating-conic-gradient(#bbb 0 25%, #fff 0 50%) 0 0 / 12px 12px"],
    ];
    colors.forEach(([name, value, css], i) => {
      const swatch = element("button", {
        type: "button",
        className: "swatch",
        title: name,
        "aria-label": name,
        "aria-pressed": i === 0,
      });
      swatch.style.setProperty("--swatch", css);
      swatch.addEventListener("click", () => {
        for (const other of swatches.children) other.setAttribute("aria-pressed", String(other === swatch));
        this.actions.setBackground(value);
      });
      swatches.append(swatch);
    });
    const reset = element("button", { type: "button", textContent: "Reset view" });
    reset.addEventListener("click", this.actions.resetView);
    const open = element("button", { type: "button", textContent: "Open file…" });
    open.addEventListener("click", this.actions.open);
    return this.section("View", true, swatches, element("div", { className: "row" }, reset, open));
  }

  private about(avatar: Avatar): HTMLElement {
    const notices = avatar.licenseNotices.map((notice) => element("p", { className: "notice", textContent: notice }));
    const section = this.section("About", true, this.facts, ...notices);
    this.updateFacts();
    return section;
  }

  /** Show what is known and measured. */
  updateFacts(): void {
    const { avatar, stats } = this.player;
    if (!avatar) return;
    const rows: [string, string][] = [
      ["Name", avatar.name],
      ["System", avatar.system],
      ["Paper", avatar.paper],
      ["Gaussians", avatar.count.toLocaleString("en")],
      ["Head", `${avatar.head.edition}, ${avatar.head.vertexCount.toLocaleString("en")} vertices`],
      ["Graphics memory", `${(stats.gpuBytes / 1e6).toFixed(1)} MB`],
      ["Posing", `${stats.poseMs.toFixed(1)} ms`],
    ];
    this.facts.replaceChildren(
      ...rows
        .filter(([, value]) => value)
        .flatMap(([term, value]) => [element("dt", { textContent: term }), element("dd", { textContent: value })]),
    );
  }
}

/** Hide the rows of `list` whose label lacks what is typed into `search`. */
function filter(search: HTMLInputElement, list: HTMLElement): void {
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    for (const row of list.children) {
      const { firstElementChild } = row;
      const text = `${firstElementChild?.textContent} ${firstElementChild?.getAttribute("title")}`;
      (row as HTMLElement).hidden = !text.toLowerCase().includes(wanted);
    }
  });
}

/** Return a camel-case name as words: browDownLeft, Brow down left. */
function words(name: string): string {
  const spaced = name.replace(/([a-z])([A-Z0-9])/g, "$1 $2").toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
