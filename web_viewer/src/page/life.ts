/** What the avatar does by itself: idling, and looking at the pointer. Loaded when it is first asked for. */
import type { Player } from "../player.ts";

export class LifeSwitches {
  private readonly ends: { idle: (() => void) | null; gaze: (() => void) | null } = { idle: null, gaze: null };
  private wanted = { idle: false, gaze: false };

  constructor(private readonly player: Player) {}

  get idling(): boolean {
    return this.wanted.idle;
  }

  get gazing(): boolean {
    return this.wanted.gaze;
  }

  async idle(on: boolean): Promise<void> {
    this.wanted.idle = on;
    const { Idle } = await import("../driving/idle.ts");
    this.ends.idle?.();
    // Eyes that look at the pointer do not wander.
    this.ends.idle = this.wanted.idle ? this.player.addDriver(new Idle({ gaze: this.wanted.gaze ? 0 : 1 })) : null;
  }

  async gaze(on: boolean): Promise<void> {
    this.wanted.gaze = on;
    const { followPointer, Gaze } = await import("../driving/gaze.ts");
    this.ends.gaze?.();
    this.ends.gaze = null;
    if (this.wanted.idle) await this.idle(true);
    if (!this.wanted.gaze) return;
    const gaze = new Gaze();
    const [away, still] = [this.player.addDriver(gaze), followPointer(gaze, this.player)];
    this.ends.gaze = () => {
      still();
      away();
    };
  }
}
