/** What is behind the avatar: the studio's soft light, flat colours, or nothing. */
import { element } from "../elements.ts";
import type { Player } from "../player.ts";

export interface Ground {
  name: string;
  /** Display sRGB as #rrggbb; null: the page's own, behind a transparent picture. */
  color: string | null;
  /** Of the stage, where the picture is transparent. */
  kind: "studio" | "checker" | "flat";
}

const GROUNDS: Ground[] = [
  { name: "Studio", color: null, kind: "studio" },
  { name: "White", color: "#ffffff", kind: "flat" },
  { name: "Light gray", color: "#d9dadd", kind: "flat" },
  { name: "Dark gray", color: "#24262b", kind: "flat" },
  { name: "Black", color: "#000000", kind: "flat" },
  { name: "Transparent", color: null, kind: "checker" },
];

/** Return #rrggbb as numbers 0..1. */
export function rgbOf(color: string): [number, number, number] {
  return [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255) as [number, number, number];
}

export class Backgrounds {
  readonly root = element("div", { className: "swatches", role: "group", "aria-label": "Background" });
  private readonly own = element("input", {
    type: "color",
    value: "#3b6ea5",
    title: "A colour of your own",
    "aria-label": "A colour of your own",
  });
  private at = 0;

  constructor(
    private readonly player: Player,
    private readonly stage: HTMLElement,
  ) {
    GROUNDS.forEach(({ name, color, kind }, i) => {
      const swatch = element("button", {
        type: "button",
        className: `swatch ${kind}`,
        title: name,
        "aria-label": name,
      });
      if (color) swatch.style.setProperty("--swatch", color);
      swatch.addEventListener("click", () => this.choose(i));
      this.root.append(swatch);
    });
    this.own.addEventListener("input", () => this.show({ name: "own", color: this.own.value, kind: "flat" }, -1));
    this.root.append(this.own);
    this.choose(0);
  }

  choose(i: number): void {
    this.show(GROUNDS[i], i);
  }

  next(): void {
    this.choose((this.at + 1) % GROUNDS.length);
  }

  private show({ color, kind }: Ground, i: number): void {
    if (i >= 0) this.at = i;
    [...this.root.querySelectorAll("button")].forEach((swatch, k) => {
      swatch.setAttribute("aria-pressed", String(k === i));
    });
    this.stage.dataset.ground = kind;
    this.stage.style.setProperty("--flat", color ?? "transparent");
    this.player.setBackground(color ? rgbOf(color) : null);
  }
}
