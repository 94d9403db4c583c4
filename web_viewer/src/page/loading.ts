/** What is seen while something loads: how much has come, and a way to stop it. */
import { byId } from "../elements.ts";
import { megabytes } from "./bytes.ts";

/** Milliseconds before it is said that something loads: what is quick does not flicker. */
const PATIENCE = 150;

export class Loading {
  private readonly box = byId("loading");
  private readonly text = byId("loading-text");
  private readonly bar = byId<HTMLProgressElement>("loading-bar");
  private stop: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    byId("loading-stop").addEventListener("click", () => this.stop?.abort());
  }

  /** Do something that takes time; it is stopped by a person, or by the next thing that is asked for. */
  async during(what: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.stop?.abort();
    const stop = new AbortController();
    this.stop = stop;
    this.text.textContent = `Loading ${what}…`;
    this.bar.removeAttribute("value");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.box.hidden = false;
    }, PATIENCE);
    try {
      await work(stop.signal);
    } finally {
      if (this.stop === stop) {
        clearTimeout(this.timer);
        this.box.hidden = true;
        this.stop = null;
      }
    }
  }

  /** Tell how many bytes have come. */
  readonly progress = (loaded: number, total: number | null): void => {
    if (total) this.bar.value = loaded / total;
    else this.bar.removeAttribute("value");
    this.text.textContent = total ? `${megabytes(loaded)} of ${megabytes(total)}` : megabytes(loaded);
  };
}
