/** Finding what to compare with, and opening the comparison. */

import type { Json } from "../avatar/glb.ts";
import { loadJson } from "../avatar/load.ts";
import { cameraOf } from "../camera/camera.ts";
import type { Player } from "../player.ts";
import type { Comparison } from "./compare.ts";
import type { Given } from "./dropped.ts";
import type { Panel } from "./panel.ts";
import type { References } from "./reference.ts";

export class Comparing {
  private comparison: Comparison | null = null;

  constructor(
    private readonly player: Player,
    private readonly stage: HTMLElement,
    private readonly panel: Panel,
    /** Called when the pictures take the avatar's place, and when they leave it. */
    private readonly cover: (on: boolean) => void,
    private readonly fail: (error: unknown) => void,
  ) {}

  get isOpen(): boolean {
    return this.comparison?.isOpen ?? false;
  }

  close(): void {
    if (this.isOpen) this.comparison?.close();
  }

  step(by: number): void {
    this.comparison?.step(by);
  }

  /** Compare with what the `reference.json` at an address names. */
  async load(address: string): Promise<void> {
    const { referencesIn } = await import("./reference.ts");
    const base = new URL(address, location.href);
    await this.open(referencesIn(await loadJson(address), (file) => new URL(file, base).href));
  }

  /** Compare with pictures, as a `reference.json` describes them; without one, they are of `camera` and of their names' frames. */
  async take(pictures: Given[], reference: Json, camera: Json): Promise<void> {
    const { referencesIn, referencesFrom } = await import("./reference.ts");
    if (reference) {
      const named = (file: string) => pictures.find(({ path }) => path === file || path.endsWith(`/${file}`))?.file;
      return this.open(referencesIn(reference, named));
    }
    const references = referencesFrom(pictures.map(({ path, file }) => ({ name: path, source: file })));
    await this.open({ ...references, camera: camera && cameraOf(camera) });
  }

  private async open(references: References): Promise<void> {
    const { Comparison } = await import("./compare.ts");
    const { panel, stage } = this;
    if (!this.comparison) {
      const empty = [...panel.compare.children];
      const closed = () => {
        stage.classList.remove("comparing");
        this.cover(false);
        panel.compare.replaceChildren(...empty);
      };
      this.comparison = new Comparison(this.player, closed, this.fail);
    }
    panel.compare.replaceChildren(this.comparison.root);
    stage.classList.add("comparing");
    this.cover(true);
    panel.tabs.choose("Compare");
    await this.comparison.show(references);
  }
}
