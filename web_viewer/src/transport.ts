/** The playback bar: play, scrub, speed, loop, clips and their named ranges. */
import { element, icon } from "./elements.ts";
import type { Player } from "./player.ts";

const PLAY = "M8 5v14l11-7z";
const PAUSE = "M7 5h4v14H7zM13 5h4v14h-4z";

export interface NamedClip {
  name: string;
  load: () => Promise<void>;
}

export class Transport {
  private readonly play = element("button", { type: "button", className: "icon play" }, icon(PLAY));
  private readonly scrub = element("input", { type: "range", min: "0", step: "any", "aria-label": "Time" });
  private readonly clock = element("time");
  private readonly total = element("span", { className: "total" });
  private readonly now = element("span");
  private readonly ranges = element("div", { className: "ranges" });
  private readonly clips = element("select", { "aria-label": "Clip" });
  private drawn = "";

  constructor(
    private readonly root: HTMLElement,
    private readonly player: Player,
  ) {
    this.clock.append(this.now, this.total);
    this.play.addEventListener("click", () => this.toggle());
    this.scrub.addEventListener("input", () => {
      player.pause();
      player.seek(this.scrub.valueAsNumber);
      this.update();
    });
    const speed = element("select", { "aria-label": "Speed", title: "Speed" });
    for (const value of [0.25, 0.5, 1, 1.5, 2])
      speed.append(new Option(`${value}×`, String(value), value === 1, value === 1));
    speed.addEventListener("change", () => {
      player.speed = Number(speed.value);
    });
    const loop = element(
      "button",
      { type: "button", className: "icon loop", title: "Loop", "aria-label": "Loop", "aria-pressed": "true" },
      icon("M17 3l3 3-3 3M4 11V9a3 3 0 0 1 3-3h13M7 21l-3-3 3-3M20 13v2a3 3 0 0 1-3 3H4"),
    );
    loop.addEventListener("click", () => {
      player.loop = !player.loop;
      loop.setAttribute("aria-pressed", String(player.loop));
    });
    root.replaceChildren(this.ranges, this.play, this.scrub, this.clock, speed, loop);
    document.addEventListener("keydown", (event) => this.key(event));
  }

  /** Offer these clips, the first of which is playing. */
  offer(clips: NamedClip[], fail: (error: unknown) => void): void {
    this.clips.replaceChildren(...clips.map((clip, i) => new Option(clip.name, String(i))));
    this.clips.onchange = () => {
      clips[Number(this.clips.value)].load().catch(fail);
    };
    if (clips.length > 1) this.ranges.before(this.clips);
    else this.clips.remove();
  }

  /** Show the player's present clip. */
  refresh(): void {
    const { sequence } = this.player;
    this.root.hidden = !sequence || sequence.frames < 2;
    if (!sequence) return;
    this.scrub.max = String(sequence.duration);
    this.total.textContent = ` / ${sequence.duration.toFixed(1)} s`;
    const names = Object.keys(sequence.ranges);
    this.ranges.hidden = !names.length;
    this.ranges.replaceChildren(
      ...names.map((name) => {
        const button = element("button", { type: "button", textContent: name, title: `Play “${name}” alone` });
        button.addEventListener("click", () => {
          this.player.setRange(this.player.range === name ? null : name);
          this.player.play();
          this.update();
        });
        return button;
      }),
    );
    this.update();
  }

  /** Show the present time. */
  update(): void {
    const { player } = this;
    const { seconds, isPlaying } = player;
    this.scrub.value = String(seconds);
    const share = seconds / (player.sequence?.duration || 1);
    this.scrub.style.setProperty("--span", `${Math.min(1, share) * 100}%`);
    this.now.textContent = `${seconds.toFixed(1)}`;
    for (const button of this.ranges.children)
      button.setAttribute("aria-pressed", String(button.textContent === player.range));
    const label = isPlaying ? "Pause" : "Play";
    if (label !== this.drawn) {
      this.drawn = label;
      this.play.replaceChildren(icon(isPlaying ? PAUSE : PLAY));
      this.play.title = `${label} (space)`;
      this.play.setAttribute("aria-label", label);
    }
  }

  private toggle(): void {
    if (this.player.isPlaying) this.player.pause();
    else this.player.play();
    this.update();
  }

  private key(event: KeyboardEvent): void {
    const { player } = this;
    const at = event.target as HTMLElement;
    if (!player.sequence || at.closest("input, select, button, summary, textarea") || event.ctrlKey || event.metaKey)
      return;
    if (event.key === " ") this.toggle();
    else if (event.key === "," || event.key === ".") {
      player.pause();
      player.seek(player.seconds + (event.key === "." ? 1 : -1) / player.sequence.fps);
      this.update();
    } else return;
    event.preventDefault();
  }
}
