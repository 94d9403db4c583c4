/** Comparing with reference pictures: one over the other, side by side, or their difference, with decibels. */
import type { PinholeCamera } from "../camera/camera.ts";
import { defaultCamera } from "../camera/framing.ts";
import { byId, element } from "../elements.ts";
import { SequenceError } from "../errors.ts";
import { pixelsOf } from "../painting.ts";
import type { Player } from "../player.ts";
import { Pose } from "../posing/pose.ts";
import { button, choice, type Slider, slider } from "./controls.ts";
import { Darkroom } from "./darkroom.ts";
import { decibels, psnr } from "./psnr.ts";
import type { Reference, References } from "./reference.ts";

type Mode = "wipe" | "side" | "difference";

/** How much a difference is made larger to be seen. */
const GAIN = 8;

export class Comparison {
  /** What goes into the panel. */
  readonly root = element("div");
  private darkroom: Darkroom | null = null;
  private references: References | null = null;
  private at = 0;
  private mode: Mode = "wipe";
  private readonly ours = element("canvas", { className: "ours", role: "img", "aria-label": "The player's picture" });
  private readonly theirs = element("canvas", {
    className: "theirs",
    role: "img",
    "aria-label": "The reference picture",
  });
  private readonly apart = element("canvas", {
    className: "apart",
    role: "img",
    "aria-label": "The difference, eight times",
  });
  private readonly wipe = element("input", {
    type: "range",
    min: "0",
    max: "100",
    value: "50",
    step: "any",
    "aria-label": "Where the pictures meet",
  });
  private readonly told = element("output", { className: "told" });
  private readonly rows: HTMLTableRowElement[] = [];
  private readonly results: (number | null)[] = [];
  private readonly mean = element("p", { className: "mean", role: "status" });
  private where: Slider | null = null;
  private turn = 0;

  constructor(
    private readonly player: Player,
    /** Called when it is closed. */
    private readonly closed: () => void,
    private readonly fail: (error: unknown) => void,
  ) {
    const stage = byId("compare");
    const frame = element("div", { className: "frame" }, this.ours, this.theirs, this.apart, this.wipe);
    const labels = element(
      "div",
      { className: "labels", "aria-hidden": "true" },
      element("span", { textContent: "Player" }),
      element("span", { textContent: "Reference" }),
    );
    stage.replaceChildren(frame, labels, this.told);
    this.wipe.addEventListener("input", () => this.cut());
    this.cut();
  }

  /** Compare with these; the clip that plays is the one they are of. */
  async show(references: References): Promise<void> {
    const { avatar } = this.player;
    if (!avatar) throw new SequenceError("Load an avatar before the pictures to compare it with.");
    this.player.pause();
    this.darkroom?.dispose();
    this.darkroom = new Darkroom(avatar, references.near);
    this.references = references;
    this.at = 0;
    byId("compare").hidden = false;
    this.build();
    this.setMode(this.mode);
    await this.measureAll();
  }

  get isOpen(): boolean {
    return this.references !== null;
  }

  close(): void {
    this.turn++;
    this.darkroom?.dispose();
    this.darkroom = null;
    this.references = null;
    byId("compare").hidden = true;
    this.root.replaceChildren();
    this.closed();
  }

  private build(): void {
    const { pictures } = this.references!;
    const modes = choice<Mode>(
      "How to compare",
      [
        { value: "wipe", label: "Wipe" },
        { value: "side", label: "Side by side" },
        { value: "difference", label: "Difference", title: `Difference, ${GAIN} times` },
      ],
      this.mode,
      (mode) => this.setMode(mode),
    );
    this.where = slider({
      label: "Where they meet",
      low: 0,
      high: 100,
      value: 50,
      unit: " %",
      digits: 0,
      change: (value) => {
        this.wipe.value = String(value);
        this.cut();
      },
      reset: () => {
        this.wipe.value = "50";
        this.cut();
      },
    });
    const body = element("tbody");
    this.rows.length = 0;
    this.results.length = 0;
    pictures.forEach(({ name, frame }, i) => {
      const go = button(name.split("/").at(-1)!, () => this.measure(i, true).catch(this.fail), { kind: "link" });
      const row = element(
        "tr",
        {},
        element("th", { scope: "row" }, go),
        element("td", { textContent: `${frame}` }),
        element("td", { textContent: "…" }),
      );
      this.rows.push(row);
      this.results.push(null);
      body.append(row);
    });
    const head = element(
      "tr",
      {},
      ...["Picture", "Frame", "PSNR"].map((text) => element("th", { scope: "col", textContent: text })),
    );
    this.root.replaceChildren(
      element("div", { className: "body" }, modes.row, this.where.row, this.mean),
      element(
        "div",
        { className: "body", tabIndex: 0, role: "region", "aria-label": "Decibels of every picture" },
        element("table", {}, element("thead", {}, head), body),
      ),
      element(
        "div",
        { className: "body" },
        button("End comparing", () => this.close()),
      ),
    );
  }

  private setMode(mode: Mode): void {
    this.mode = mode;
    byId("compare").dataset.mode = mode;
    if (this.where) this.where.row.hidden = mode !== "wipe";
  }

  private cut(): void {
    byId("compare").style.setProperty("--cut", `${this.wipe.value}%`);
    this.wipe.setAttribute("aria-valuetext", `${Math.round(this.wipe.valueAsNumber)} percent of the player's picture`);
  }

  private async measureAll(): Promise<void> {
    const turn = ++this.turn;
    const { pictures } = this.references!;
    await this.measure(0, true);
    for (let i = 1; i < pictures.length && turn === this.turn; i++) await this.measure(i, false);
  }

  private async measure(i: number, seen: boolean): Promise<void> {
    const { references, darkroom, player } = this;
    if (!references || !darkroom) return;
    const reference = references.pictures[i];
    const { width, height, data } = await wanted(reference);
    const pose = poseAt(player, reference.frame);
    const camera = reference.camera ?? references.camera ?? defaultCamera(player.avatar!, width, height);
    const fitted = camera.width === width && camera.height === height ? camera : exactly(camera, width, height);
    const found = await darkroom.take({ width, height, camera: fitted, background: references.background, pose });
    if (this.references !== references) return;
    const value = psnr(found, data);
    this.results[i] = value;
    this.rows[i].cells[2].textContent = decibels(value);
    const known = this.results.filter((one) => one !== null);
    const finite = known.filter(Number.isFinite);
    const sum = finite.reduce((a, b) => a + b, 0);
    const mean = finite.length ? `${(sum / finite.length).toFixed(1)} dB` : known.length ? "equal" : "";
    this.mean.textContent = `${mean} on average, ${known.length} of ${this.results.length} pictures`;
    if (!seen) return;
    this.at = i;
    this.rows.forEach((row, k) => {
      row.setAttribute("aria-current", String(k === i));
    });
    player.seek({ frame: reference.frame });
    for (const [canvas, pixels] of [
      [this.ours, found],
      [this.theirs, data],
      [this.apart, difference(found, data)],
    ] as const) {
      canvas.width = width;
      canvas.height = height;
      canvas.getContext("2d")!.putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
    }
    byId("compare").style.setProperty("--ratio", `${width} / ${height}`);
    byId("compare").style.setProperty("--shape", String(width / height));
    this.told.textContent = `${reference.name.split("/").at(-1)} · frame ${reference.frame} · ${decibels(value)}`;
  }

  /** Look at the picture before or after. */
  step(by: number): void {
    const count = this.references?.pictures.length ?? 0;
    if (count) this.measure((this.at + by + count) % count, true).catch(this.fail);
  }
}

async function wanted({ source, name }: Reference) {
  const blob =
    typeof source === "string"
      ? await fetch(source).then((response) => {
          if (!response.ok) throw new SequenceError(`${name} could not be loaded: ${response.status}.`);
          return response.blob();
        })
      : source;
  const pixels = await pixelsOf(blob).catch(() => {
    throw new SequenceError(`${name} is no picture that this browser reads.`);
  });
  return pixels as { width: number; height: number; data: Uint8ClampedArray };
}

/** Return the pose of the clip at a frame; neutral without a clip. */
function poseAt(player: Player, frame: number): Pose {
  const { avatar, sequence } = player;
  const pose = new Pose(avatar!.head);
  if (sequence) sequence.sample(Math.min(frame, sequence.frames - 1), pose, sequence.columns(avatar!.head));
  return pose;
}

/** Return a camera for pictures of another size but the same shape. */
function exactly(camera: PinholeCamera, width: number, height: number): PinholeCamera {
  if (Math.abs(camera.width / camera.height - width / height) > 0.01) {
    throw new SequenceError(
      `The pictures are ${width} x ${height}, the camera's ${camera.width} x ${camera.height}: drop the camera that drew them.`,
    );
  }
  const scale = width / camera.width;
  const { fx, fy, cx, cy } = camera;
  return { ...camera, fx: fx * scale, fy: fy * scale, cx: cx * scale, cy: cy * scale, width, height };
}

function difference(a: ArrayLike<number>, b: ArrayLike<number>): Uint8ClampedArray {
  const out = new Uint8ClampedArray(a.length);
  for (let i = 0; i < a.length; i++) out[i] = i % 4 === 3 ? 255 : GAIN * Math.abs(a[i] - b[i]);
  return out;
}
