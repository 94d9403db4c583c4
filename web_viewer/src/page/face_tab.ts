/** Sliders of the face, grouped by what they move. */
import type { Avatar } from "../avatar/avatar.ts";
import { element } from "../elements.ts";
import type { Player } from "../player.ts";
import type { Pose } from "../posing/pose.ts";
import { button, type Slider, slider } from "./controls.ts";
import { type Region, regionsOf, type Shape } from "./regions.ts";

export class FaceTab {
  readonly root = element("div");
  private sliders: Slider[] = [];
  private followers: ((pose: Pose) => void)[] = [];

  constructor(
    private readonly player: Player,
    private readonly resetAll: () => void,
  ) {}

  /** Build it for an avatar. */
  refresh(avatar: Avatar): void {
    this.sliders = [];
    this.followers = [];
    const regions = regionsOf(avatar.head);
    if (!regions.length) {
      this.root.replaceChildren(element("p", { className: "quiet", textContent: "This head has no expressions." }));
      return;
    }
    const search = element("input", { type: "search", placeholder: "Search shapes", "aria-label": "Search shapes" });
    const head = element(
      "div",
      { className: "bar" },
      search,
      button("Reset", this.resetAll, { title: "Reset face and pose (r)" }),
    );
    const sections = regions.map((region, i) => this.section(avatar, region, i === 0 || regions.length === 1));
    const none = element("p", { className: "quiet", textContent: "No shape has that name.", hidden: true });
    this.root.replaceChildren(head, ...sections, none);
    search.addEventListener("input", () => {
      none.hidden = find(this.root, search.value.trim().toLowerCase());
    });
  }

  private section(avatar: Avatar, { title, shapes, first, note }: Region, open: boolean): HTMLElement {
    const list = element("div", { className: "sliders" });
    shapes.forEach((shape, i) => {
      const row = this.row(avatar, shape);
      if (i >= first) row.classList.add("further");
      list.append(row);
    });
    const body = element(
      "div",
      { className: "body" },
      note ? element("p", { className: "quiet", textContent: note }) : null,
      list,
    );
    if (shapes.length > first) {
      const more = button(`Show all ${shapes.length}`, () => {
        const all = body.classList.toggle("all");
        more.textContent = all ? `Show the strongest ${first}` : `Show all ${shapes.length}`;
      });
      body.append(more);
    }
    const count = element("span", { className: "count", textContent: String(shapes.length) });
    return element("details", { open }, element("summary", {}, title, count), body);
  }

  private row(avatar: Avatar, { name, label, low, high, viaMap }: Shape): HTMLElement {
    const { player } = this;
    const made = slider({
      label,
      name,
      low,
      high,
      change: (value) => (viaMap ? player.setArkit(name, value) : player.setExpression(name, value)),
      reset: () => (viaMap ? player.setArkit(name, 0) : player.setExpression(name, null)),
    });
    this.sliders.push(made);
    const at = viaMap ? -1 : avatar.head.exprNames.indexOf(name);
    if (at >= 0) this.followers.push((pose) => made.follow(pose.expr[at]));
    return made.row;
  }

  /** Let sliders that nobody holds follow the clip. */
  follow(pose: Pose): void {
    for (const follow of this.followers) follow(pose);
  }

  release(): void {
    for (const made of this.sliders) made.release();
  }
}

/** Show the rows whose label or name holds what is wanted, in regions that open for it. Tells whether there are any. */
export function find(root: HTMLElement, wanted: string): boolean {
  root.classList.toggle("searching", wanted !== "");
  let any = false;
  for (const section of root.querySelectorAll("details")) {
    let found = false;
    for (const row of section.querySelectorAll<HTMLElement>(".slider")) {
      const label = row.firstElementChild as HTMLElement;
      const shown = `${label.textContent} ${label.title}`.toLowerCase().includes(wanted);
      row.hidden = !shown;
      found ||= shown;
    }
    section.hidden = !found;
    if (wanted) {
      section.dataset.was ??= String(section.open);
      section.open = true;
    } else if (section.dataset.was !== undefined) {
      section.open = section.dataset.was === "true";
      delete section.dataset.was;
    }
    any ||= found;
  }
  return any;
}
