/** Seconds that pass while the page is seen: a hidden page sleeps, and goes on where it was when it comes back. */
export class PageClock {
  private away = 0;
  private left: number | null = null;
  private readonly document: Document | null = globalThis.document ?? null;

  constructor() {
    this.document?.addEventListener("visibilitychange", this.changed);
    this.changed();
  }

  /** Seconds, at a moment of `performance.now()`, milliseconds. */
  now(milliseconds = performance.now()): number {
    return ((this.left ?? milliseconds) - this.away) / 1000;
  }

  private readonly changed = (): void => {
    const now = performance.now();
    if (this.document?.visibilityState === "hidden") this.left ??= now;
    else if (this.left !== null) {
      this.away += now - this.left;
      this.left = null;
    }
  };

  dispose(): void {
    this.document?.removeEventListener("visibilitychange", this.changed);
  }
}
