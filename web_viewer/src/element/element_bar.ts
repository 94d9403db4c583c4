/** The bar of the custom element: play, time. */
import { element, icon } from "../elements.ts";
import type { Player } from "../player.ts";

const PLAY = "M8 5v14l11-7z";
const PAUSE = "M7 5h4v14H7zM13 5h4v14h-4z";

export class Bar {
  readonly root = element("div", { className: "bar", role: "group", "aria-label": "Playback" });
  private readonly button = element("button", { type: "button" });
  private readonly scrub = element("input", { type: "range", min: "0", step: "any", "aria-label": "Time, seconds" });
  private readonly clock = element("span", { className: "time" });
  private playing: boolean | null = null;
  private told = "";

  /** `toggle` plays or pauses, `seek` goes to seconds. */
  constructor(toggle: () => void, seek: (seconds: number) => void) {
    this.button.addEventListener("click", toggle);
    this.scrub.addEventListener("input", () => seek(this.scrub.valueAsNumber));
    this.root.append(this.button, this.scrub, this.clock);
  }

  /** Show where the player is. */
  update(player: Player): void {
    const { sequence, seconds, isPlaying } = player;
    const duration = sequence?.duration ?? 0;
    this.scrub.max = String(duration);
    this.scrub.value = String(seconds);
    const told = `${seconds.toFixed(1)} / ${duration.toFixed(1)} s`;
    if (told !== this.told) this.clock.textContent = told;
    this.told = told;
    if (isPlaying === this.playing) return;
    this.playing = isPlaying;
    const label = isPlaying ? "Pause" : "Play";
    this.button.replaceChildren(icon(isPlaying ? PAUSE : PLAY));
    this.button.title = label;
    this.button.setAttribute("aria-label", label);
  }
}
