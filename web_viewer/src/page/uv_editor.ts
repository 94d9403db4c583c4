/** The view of a head's maps: the layout, a brush on it, and pictures that take a map's place or are taken from it. */
import type { Avatar } from "../avatar/avatar.ts";
import { byId, element } from "../elements.ts";
import { ALBEDO } from "../painting.ts";
import type { Player } from "../player.ts";
import { rgbOf } from "./backgrounds.ts";
import { line, type Touch } from "./brush.ts";
import { button, press, slider } from "./controls.ts";
import { EditedMap, type MapName, mapNamed, mapsOf } from "./edited_map.ts";
import { download, fileName } from "./files.ts";
import { type UvLook, UvView } from "./uv_view.ts";

/** Share of the map that arrow keys move the brush by. */
const STEP = 0.02;
const PICTURES = "image/png,image/jpeg,image/webp";
const UPLOAD = "M12 15V4M8 8l4-4 4 4M5 14v5h14v-5";
const DOWNLOAD = "M12 4v11M8 11l4 4 4-4M5 14v5h14v-5";
const UNDO = "M9 5L5 9l4 4M5 9h9a5 5 0 0 1 0 10H9";
const RESET = "M19 12a7 7 0 1 1-2-5M19 4v4h-4";
const PIPETTE = "M14 6l4 4M12.500 7.500l4 4-8 8H4.500v-4zM15 7l2-2a1.400 1.400 0 0 1 2 2l-2 2z";

export interface UvActions {
  fail: (error: unknown) => void;
  /** The mesh shows what is edited, or the splats do. */
  onMesh: (on: boolean) => void;
}

export class UvEditor {
  /** Everything that is done to the map. */
  readonly tools = element("div", { className: "tools", role: "group", "aria-label": "Map" });
  private readonly view: UvView;
  private readonly names = element("select", { "aria-label": "Map", title: "Map" });
  private readonly picker = element("input", { type: "file", accept: PICTURES, hidden: true });
  private readonly undo = icon("Undo (Ctrl+Z)", UNDO, () => this.run(async () => this.map?.undo()));
  private readonly pipette = button("Take a colour from the map", () => this.choose(!this.picking), {
    path: PIPETTE,
    kind: "icon",
    pressed: false,
  });
  private readonly ring = element("div", { className: "ring", hidden: true });
  private readonly color = element("input", {
    type: "color",
    value: "#c2185b",
    title: "Colour",
    "aria-label": "Colour",
  });
  /** The next touch takes the colour that is there. */
  private picking = false;
  private radius = 0.03;
  private strength = 0.6;
  private maps: MapName[] = [];
  private map: EditedMap | null = null;
  private of: Avatar | null = null;
  private at: { u: number; v: number } = { u: 0.5, v: 0.5 };
  private drawing: Touch | null = null;
  private frame = 0;
  private look: UvLook = { image: true, gaussians: false, edges: false };
  private opening = 0;

  constructor(
    private readonly player: Player,
    private readonly root: HTMLElement,
    private readonly canvas: HTMLCanvasElement,
    private readonly actions: UvActions,
  ) {
    this.view = new UvView(canvas);
    const size = slider({
      label: "Size",
      low: 0.5,
      high: 15,
      value: 3,
      unit: " %",
      digits: 1,
      change: (value) => {
        this.radius = Math.max(value, 0.1) / 100;
        this.drawRing();
      },
      reset: () => {
        this.radius = 0.03;
        this.drawRing();
      },
    });
    const strength = slider({
      label: "Strength",
      low: 1,
      high: 100,
      value: 60,
      unit: " %",
      digits: 0,
      change: (value) => {
        this.strength = Math.min(Math.max(value, 0), 100) / 100;
      },
      reset: () => {
        this.strength = 0.6;
      },
    });
    const files = element(
      "div",
      { className: "files" },
      icon("Put a picture in its place: PNG, JPEG or WebP", UPLOAD, () => this.picker.click()),
      icon("Save the map as a PNG, to change it elsewhere", DOWNLOAD, () => this.run(() => this.save())),
      this.undo,
      icon("Make it again what the file says", RESET, () => this.run(async () => this.map?.reset())),
    );
    const brush = element("div", { className: "brush" }, this.pipette, this.color, size.row, strength.row);
    this.tools.append(this.names, files, brush, this.picker);
    canvas.parentElement!.append(this.ring);
    root.append(this.tools);
    this.names.addEventListener("change", () => this.run(() => this.open(this.maps[this.names.selectedIndex])));
    this.picker.addEventListener("change", () => {
      const [chosen] = this.picker.files ?? [];
      this.picker.value = "";
      if (chosen) this.run(() => this.replace(chosen));
    });
    this.listen();
  }

  /** Take an avatar, and show the map that was chosen last where it has that, too. Tells what there is to show. */
  async follow(avatar: Avatar): Promise<{ maps: number; layout: boolean }> {
    if (avatar !== this.of) {
      this.of = avatar;
      this.view.take(avatar);
      this.maps = avatar.head.cornerUvs ? mapsOf(avatar) : [];
      const names = this.maps.map(({ label }, i) => new Option(label, String(i)));
      this.names.replaceChildren(...names);
      const before = this.map?.name.id;
      const at = Math.max(
        this.maps.findIndex(({ id }) => id === before),
        0,
      );
      this.names.selectedIndex = at;
      this.map = null;
      if (this.maps.length) await this.open(this.maps[at]);
    }
    this.tools.hidden = !this.maps.length;
    return { maps: this.maps.length, layout: avatar.head.cornerUvs !== null };
  }

  /** Put a picture in the place of a map: the one it is named after, else the one that is shown. */
  async replace(file: File): Promise<void> {
    const named = this.of && mapNamed(this.of, file.name);
    if (named && named.id !== this.map?.name.id) {
      this.names.selectedIndex = this.maps.findIndex(({ id }) => id === named.id);
      await this.open(named);
    }
    if (!this.map) return;
    await this.map.replace(file);
    byId("said").textContent = `${file.name} is the map “${this.map.name.label}” now.`;
    this.redraw();
  }

  private async open(name: MapName): Promise<void> {
    const turn = ++this.opening;
    const map = await EditedMap.open(this.player, name);
    if (turn !== this.opening) return;
    this.map = map;
    this.actions.onMesh(name.id === ALBEDO && name.kind === "texture");
    this.redraw();
  }

  private async save(): Promise<void> {
    if (!this.map || !this.of) return;
    download(await this.map.save(), `${fileName(`${this.of.name}-${this.map.name.id}`)}.png`);
    byId("said").textContent = "The map was saved.";
  }

  private run(work: () => Promise<unknown>): void {
    work()
      .catch(this.actions.fail)
      .finally(() => this.redraw());
  }

  private choose(picking: boolean): void {
    this.picking = picking;
    press(this.pipette, picking);
    this.canvas.classList.toggle("picking", picking);
    this.drawRing();
  }

  // --- Drawing -------------------------------------------------------------------------------------------------------

  private listen(): void {
    const { canvas } = this;
    const place = (event: PointerEvent) => {
      const box = canvas.getBoundingClientRect();
      this.at = { u: (event.clientX - box.left) / box.width, v: (event.clientY - box.top) / box.height };
      this.drawRing();
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      place(event);
      canvas.setPointerCapture(event.pointerId);
      if (this.picking || event.altKey) this.pick();
      else this.down();
    });
    canvas.addEventListener("pointermove", (event) => {
      place(event);
      if (this.drawing) this.drag();
    });
    for (const name of ["pointerup", "pointercancel"] as const) canvas.addEventListener(name, () => this.up());
    canvas.addEventListener("pointerleave", () => {
      if (document.activeElement !== canvas) this.ring.hidden = true;
    });
    for (const name of ["focus", "blur"] as const) {
      canvas.addEventListener(name, () => {
        this.ring.hidden = name === "blur" || !canvas.matches(":focus-visible");
      });
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "z" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.undo.click();
    });
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? STEP / 4 : STEP;
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    const clip = (x: number) => Math.min(Math.max(x, 0), 1);
    if (move) {
      this.at = { u: clip(this.at.u + move[0]), v: clip(this.at.v + move[1]) };
      this.drawRing();
    } else if (event.key !== " " && event.key !== "Enter") return;
    else if (this.picking) this.pick();
    else {
      this.down();
      this.up();
    }
    event.preventDefault();
  }

  private pick(): void {
    if (!this.map) return;
    const hex = this.map.at(this.at.u, this.at.v).map((byte) => byte.toString(16).padStart(2, "0"));
    this.color.value = `#${hex.join("")}`;
    this.choose(false);
  }

  private touch(): Touch {
    return { ...this.at, radius: this.radius, strength: this.strength, rgb: rgbOf(this.color.value) };
  }

  private down(): void {
    if (!this.map) return;
    this.map.begin();
    this.drawing = this.touch();
    this.map.touch([this.drawing]);
    this.later();
  }

  private drag(): void {
    const touch = this.touch();
    const touches = line(this.drawing!, touch);
    this.drawing = touch;
    this.map?.touch(touches);
    this.later();
  }

  private up(): void {
    this.drawing = null;
    this.later();
  }

  /** Show what was drawn, once for all that comes before the next picture. */
  private later(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.redraw();
      this.map?.show().catch(this.actions.fail);
    });
  }

  private drawRing(): void {
    const { canvas, ring, at, radius } = this;
    ring.hidden = this.picking;
    const size = 2 * radius * canvas.clientWidth;
    ring.style.width = ring.style.height = `${size}px`;
    ring.style.translate = `${canvas.offsetLeft + at.u * canvas.clientWidth - size / 2}px ${
      canvas.offsetTop + at.v * canvas.clientHeight - size / 2
    }px`;
  }

  /** Draw it as large as there is room; `look` says what. */
  draw(look: UvLook): void {
    this.look = look;
    this.redraw();
  }

  private redraw(): void {
    this.undo.disabled = !this.map?.canUndo;
    const sheet = this.canvas.parentElement!;
    const style = getComputedStyle(this.root);
    const colors = { ground: style.getPropertyValue("--raised"), line: style.getPropertyValue("--edge") };
    this.view.draw(sheet.clientWidth, sheet.clientHeight, this.look, colors, this.map?.canvas ?? null);
    if (!this.ring.hidden) this.drawRing();
  }
}

function icon(label: string, path: string, act: () => void): HTMLButtonElement {
  return button(label, act, { path, kind: "icon" });
}
