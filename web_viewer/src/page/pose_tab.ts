/** Sliders of joints and eyelids, and what the avatar does by itself. */
import type { Avatar } from "../avatar/avatar.ts";
import { element } from "../elements.ts";
import type { Player } from "../player.ts";
import type { Pose } from "../posing/pose.ts";
import { type Slider, slider, toggle } from "./controls.ts";
import { find } from "./face_tab.ts";
import { words } from "./regions.ts";

const DEGREE = Math.PI / 180;

type Field = "rotation" | "neck" | "jaw" | "eyes" | "eyelids" | "translation";
/** Label, the numbers of the field that it sets, its ends in its unit, its unit (degrees where absent). */
type Row = [label: string, axes: number[], low: number, high: number, unit?: "mm" | ""];

const UNITS: Record<string, number> = { "°": DEGREE, mm: 1e-3, "": 1 };

/** What the page does for this tab. */
export interface Life {
  idle: (on: boolean) => void;
  gaze: (on: boolean) => void;
}

export class PoseTab {
  readonly root = element("div");
  private sliders: Slider[] = [];
  private followers: ((pose: Pose) => void)[] = [];
  /** Fields of the pose that a person holds, as they hold them. */
  private readonly held = new Map<string, Float64Array>();
  readonly idle;
  readonly gaze;

  constructor(
    private readonly player: Player,
    life: Life,
  ) {
    this.idle = toggle("Idle", false, life.idle, "Blinks, small motion of head and eyes");
    this.gaze = toggle("Look at the pointer", false, life.gaze, "Eyes first, the head after them");
  }

  /** Build it for an avatar. */
  refresh(avatar: Avatar): void {
    const { roles, eyelids } = avatar.head;
    this.sliders = [];
    this.followers = [];
    this.held.clear();
    const sections = [this.section("By itself", [this.idle.row, this.gaze.row], true)];
    const add = (title: string, field: Field, rows: Row[], open = true) => {
      sections.push(
        this.section(
          title,
          rows.map((row) => this.row(title, field, row)),
          open,
        ),
      );
    };
    const head: Row[] = [
      ["Nod", [0], -40, 40],
      ["Turn", [1], -60, 60],
      ["Tilt", [2], -40, 40],
    ];
    if (roles.neck !== undefined) add("Neck", "neck", head);
    else if (roles.root !== undefined) add("Head", "rotation", head);
    if (roles.jaw !== undefined) {
      const rows: Row[] = [
        ["Open", [0], -5, 30],
        ["Side", [1], -15, 15],
      ];
      add("Jaw", "jaw", rows);
    }
    if (roles.left_eye !== undefined || roles.right_eye !== undefined) {
      const rows: Row[] = [
        ["Up and down", [0, 3], -30, 30],
        ["Left and right", [1, 4], -40, 40],
      ];
      add("Eyes", "eyes", rows);
    }
    if (eyelids.length) {
      const rows: Row[] = [
        ["Left", [0], 0, 1, ""],
        ["Right", [1], 0, 1, ""],
      ];
      add("Eyelids", "eyelids", rows);
    }
    if (roles.neck !== undefined && roles.root !== undefined) add("Head and shoulders", "rotation", head, false);
    const moves: Row[] = ["x", "y", "z"].map((axis, c) => [`Along ${axis}`, [c], -200, 200, "mm"]);
    add("Place", "translation", moves, false);
    const joints = this.joints(avatar);
    this.root.replaceChildren(...sections, ...(joints ? [joints] : []));
  }

  private section(title: string, children: HTMLElement[], open: boolean): HTMLElement {
    return element(
      "details",
      { open },
      element("summary", { textContent: title }),
      element("div", { className: "body" }, element("div", { className: "sliders" }, ...children)),
    );
  }

  private row(title: string, field: Field, [label, axes, low, high, unit]: Row): HTMLElement {
    const { held, player } = this;
    const sign = unit ?? "°";
    const scale = UNITS[sign];
    const made = slider({
      label,
      name: `${title.toLowerCase()}, ${label.toLowerCase()}`,
      low,
      high,
      unit: sign === "mm" ? " mm" : sign,
      change: (value) => {
        const values = held.get(field) ?? Float64Array.from(player.getPose()?.[field] ?? []);
        held.set(field, values);
        for (const axis of axes) values[axis] = value * scale;
        player.setPose({ [field]: values });
      },
      reset: () => {
        held.delete(field);
        player.releasePose(field);
      },
    });
    this.sliders.push(made);
    this.followers.push((pose) => made.follow(pose[field][axes[0]] / scale));
    return made.row;
  }

  /** Joints by name, for heads that have more than FLAME's five: those that carry vertices. */
  private joints({ head }: Avatar): HTMLElement | null {
    const driven = new Set(Object.values(head.roles));
    const carrying = new Set(head.weights.joints);
    const others = head.jointNames.filter((_, j) => carrying.has(j) && !driven.has(j));
    if (!others.length) return null;
    const search = element("input", { type: "search", placeholder: "Search joints", "aria-label": "Search joints" });
    const rows = others.flatMap((name) => {
      const angle = new Float64Array(3);
      return ["x", "y", "z"].map((axis, c) => {
        const made = slider({
          label: `${words(name)} ${axis}`,
          name: `${name}.${axis}`,
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
        this.sliders.push(made);
        return made.row;
      });
    });
    const section = this.section("Other joints", rows, false);
    section.querySelector(".body")!.prepend(search);
    const list = element("div", {}, section);
    search.addEventListener("input", () => {
      find(list, search.value.trim().toLowerCase());
      section.hidden = false;
      (section as HTMLDetailsElement).open = true;
    });
    return list;
  }

  /** Let sliders that nobody holds follow the clip. */
  follow(pose: Pose): void {
    for (const follow of this.followers) follow(pose);
  }

  release(): void {
    this.held.clear();
    for (const made of this.sliders) made.release();
  }
}
