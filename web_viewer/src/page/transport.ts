/** The playback bar: time line with named ranges, play, frame steps, loop, speed, clips, and recording. */
import { element, icon } from "../elements.ts";
import type { Player } from "../player.ts";
import { button, press } from "./controls.ts";

const PLAY = "M8 5v14l11-7z";
const PAUSE = "M7 5h4v14H7zM13 5h4v14h-4z";
const BACK = "M19 6l-8 6 8 6zM6 6v12";
const ON = "M5 6l8 6-8 6zM18 6v12";
const LOOP = "M17 3l3 3-3 3M4 11V9a3 3 0 0 1 3-3h13M7 21l-3-3 3-3M20 13v2a3 3 0 0 1-3 3H4";
const RECORD = "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10z";

export interface NamedClip {
  name: string;
  load: () => Promise<void>;
}

export class Transport {
  private readonly play = button("Play", () => this.toggle(), { path: PLAY, kind: "icon play" });
  private readonly loop = button("Loop", () => this.toggleLoop(), { path: LOOP, kind: "icon plain", pressed: true });
  private readonly scrub = element("input", { type: "range", min: "0", step: "any", "aria-label": "Time" });
  private readonly now = element("span");
  private readonly total = element("span", { className: "total" });
  private readonly frame = element("span", { className: "frame" });
  private readonly ranges = element("div", { className: "ranges", role: "group", "aria-label": "Ranges of the clip" });
  /** The same where there is no room for them along the time line. */
  private readonly rangeList = element("select", {
    className: "range",
    "aria-label": "Range of the clip",
    title: "Range",
  });
  private readonly clips = element("select", { "aria-label": "Clip", title: "Clip" });
  private readonly record: HTMLButtonElement;
  private drawn = "";

  constructor(
    private readonly root: HTMLElement,
    private readonly player: Player,
    record: () => void,
  ) {
    this.scrub.addEventListener("input", () => {
      player.pause();
      player.seek(this.scrub.valueAsNumber);
      this.update();
    });
    this.scrub.addEventListener("keydown", (event) => {
      // One frame, not a hundredth of the clip.
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.step(step);
    });
    const speed = element("select", { "aria-label": "Speed", title: "Speed" });
    for (const value of [0.1, 0.25, 0.5, 1, 1.5, 2])
      speed.append(new Option(`${value}×`, String(value), value === 1, value === 1));
    speed.addEventListener("change", () => {
      player.speed = Number(speed.value);
    });
    this.record = button("Record what is shown as a clip", record, {
      path: RECORD,
      kind: "icon plain record",
      pressed: false,
    });
    const clock = element("time", {}, this.now, this.total, this.frame);
    const buttons = element(
      "div",
      { className: "buttons" },
      button("Frame back", () => this.step(-1), { path: BACK, kind: "icon plain", title: "One frame back (,)" }),
      this.play,
      button("Frame on", () => this.step(1), { path: ON, kind: "icon plain", title: "One frame on (.)" }),
      this.loop,
    );
    this.rangeList.addEventListener("change", () => this.playRange(this.rangeList.value || null));
    const line = element("div", { className: "line" }, this.ranges, this.scrub);
    const more = element("div", { className: "more" }, this.clips, this.rangeList, speed, this.record);
    root.replaceChildren(line, buttons, clock, more);
    this.clips.hidden = true;
  }

  /** Offer these clips, the first of which is playing. */
  offer(clips: NamedClip[], fail: (error: unknown) => void): void {
    this.clips.replaceChildren(...clips.map((clip, i) => new Option(clip.name, String(i))));
    this.clips.onchange = () => {
      clips[Number(this.clips.value)].load().catch(fail);
    };
    this.clips.hidden = clips.length < 2;
  }

  /** Mark a clip as the one that plays. */
  choose(name: string): void {
    const at = [...this.clips.options].findIndex((option) => option.text === name);
    if (at >= 0) this.clips.selectedIndex = at;
  }

  /** Show the player's present clip. */
  refresh(): void {
    const { sequence } = this.player;
    const still = !sequence || sequence.frames < 2;
    this.root.classList.toggle("still", still);
    this.root.hidden = false;
    if (!sequence) {
      this.update();
      return;
    }
    this.scrub.max = String(sequence.duration);
    this.total.textContent = ` / ${clockOf(sequence.duration)}`;
    const names = Object.keys(sequence.ranges);
    this.ranges.hidden = !names.length;
    this.ranges.replaceChildren(
      ...names.map((name) => {
        const [first, end] = sequence.ranges[name];
        const made = element("button", { type: "button", textContent: name, title: `Play “${name}” alone` });
        made.style.setProperty("--at", `${(first / sequence.frames) * 100}%`);
        made.style.setProperty("--long", `${((end - first) / sequence.frames) * 100}%`);
        made.addEventListener("click", () => this.playRange(this.player.range === name ? null : name));
        return made;
      }),
    );
    this.rangeList.replaceChildren(new Option("All of it", ""), ...names.map((name) => new Option(name)));
    this.rangeList.classList.toggle("none", !names.length);
    this.update();
  }

  private playRange(name: string | null): void {
    this.player.setRange(name);
    this.player.play();
    this.update();
  }

  /** Show the present time. */
  update(): void {
    const { player } = this;
    const { seconds, isPlaying, sequence } = player;
    this.scrub.value = String(seconds);
    const share = seconds / (sequence?.duration || 1);
    this.scrub.style.setProperty("--span", `${Math.min(1, share) * 100}%`);
    const there = sequence ? Math.min(1, sequence.arrived / sequence.frames) : 1;
    this.scrub.style.setProperty("--there", `${there * 100}%`);
    const frame = Math.round(seconds * (sequence?.fps ?? 0));
    this.scrub.setAttribute("aria-valuetext", `${seconds.toFixed(2)} seconds, frame ${frame}`);
    this.now.textContent = clockOf(seconds);
    this.frame.textContent = `frame ${frame}`;
    for (const made of this.ranges.children) press(made as HTMLElement, made.textContent === player.range);
    if (document.activeElement !== this.rangeList) this.rangeList.value = player.range ?? "";
    press(this.loop, player.loop);
    const label = isPlaying ? "Pause" : "Play";
    if (label !== this.drawn) {
      this.drawn = label;
      this.play.replaceChildren(icon(isPlaying ? PAUSE : PLAY));
      this.play.title = `${label} (space)`;
      this.play.setAttribute("aria-label", label);
    }
  }

  /** Show whether what is seen is being recorded. */
  recording(on: boolean): void {
    press(this.record, on);
    const label = on ? "Stop recording and download the clip" : "Record what is shown as a clip";
    this.record.title = label;
    this.record.setAttribute("aria-label", label);
  }

  toggle(): void {
    if (this.player.isPlaying) this.player.pause();
    else this.player.play();
    this.update();
  }

  toggleLoop(): void {
    this.player.loop = !this.player.loop;
    this.update();
  }

  /** Go some frames on, or back. */
  step(frames: number): void {
    const { player } = this;
    if (!player.sequence) return;
    player.pause();
    player.seek({ frame: Math.round(player.seconds * player.sequence.fps) + frames });
    this.update();
  }
}

/** Return seconds as people write them: 0:07.3. */
function clockOf(seconds: number): string {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
}
