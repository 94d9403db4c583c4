/** What of the avatar is shown: its splats, the head's mesh, the centres of the splats, or the UV layout. */
import { byId, element } from "../elements.ts";
import type { Look } from "../gl/head_mesh.ts";
import type { Player } from "../player.ts";
import { choice } from "./controls.ts";
import type { MeshView } from "./mesh_view.ts";
import type { UvView } from "./uv_view.ts";

export const VIEWS = ["splats", "mesh", "points", "uv"] as const;
export type ViewName = (typeof VIEWS)[number];
const LABELS = { splats: "Splats", mesh: "Mesh", points: "Points", uv: "UV" };

export class Views {
  readonly bar;
  name: ViewName = "splats";
  edges = false;
  clay = false;
  readonly uv = { image: true, gaussians: true, edges: false };
  private mesh: MeshView | null = null;
  private layout: UvView | null = null;
  /** Called when something about it has changed. */
  onChange: () => void = () => {};

  constructor(
    private readonly player: Player,
    private readonly stage: HTMLElement,
    private readonly near: number,
    private readonly fail: (error: unknown) => void,
  ) {
    const options = VIEWS.map((value, i) => ({ value, label: LABELS[value], title: `${LABELS[value]} (${i + 1})` }));
    this.bar = choice<ViewName>("View", options, "splats", (value) => this.show(value));
    new ResizeObserver(() => this.drawUv()).observe(stage);
  }

  /** Whether the mesh's canvas has something on it. */
  private get needsMesh(): boolean {
    return this.name === "mesh" || this.name === "points" || (this.name === "splats" && this.edges);
  }

  show(name: ViewName): void {
    this.name = name;
    this.bar.set(name);
    this.stage.dataset.view = name;
    this.refresh();
  }

  setEdges(on: boolean): void {
    this.edges = on;
    this.refresh();
  }

  setClay(on: boolean): void {
    this.clay = on;
    this.refresh();
  }

  setUv(what: "image" | "gaussians" | "edges", on: boolean): void {
    this.uv[what] = on;
    this.drawUv();
  }

  /** Show what was chosen; another avatar may be there. */
  refresh(): void {
    this.load().catch(this.fail);
    this.onChange();
  }

  private async load(): Promise<void> {
    byId("mesh").hidden = !this.needsMesh;
    byId("uv").hidden = this.name !== "uv";
    if (!this.player.avatar) return;
    if (this.needsMesh) {
      const { MeshView } = await import("./mesh_view.ts");
      this.mesh ??= new MeshView(byId<HTMLCanvasElement>("mesh"), this.player, this.near);
      await this.mesh.follow();
      this.draw();
    }
    if (this.name === "uv") {
      const { UvView } = await import("./uv_view.ts");
      this.layout ??= new UvView(byId<HTMLCanvasElement>("uv-canvas"));
      const found = await this.layout.follow(this.player.avatar);
      const box = byId("uv");
      box.querySelector("p")?.remove();
      if (!found.edges) {
        box.append(
          element("p", {
            className: "quiet",
            textContent: "This head has no texture coordinates, so there is no layout to show.",
          }),
        );
      }
      byId("uv-canvas").hidden = !found.edges;
      if (!found.image && !found.gaussians) this.uv.edges = true;
      this.drawUv();
    }
  }

  /** Draw over what the player has just drawn. */
  draw(): void {
    if (!this.needsMesh) return;
    const look: Look = {
      surface:
        this.name === "splats"
          ? "hidden"
          : this.name === "points"
            ? this.edges
              ? "hidden"
              : "none"
            : this.clay
              ? "clay"
              : "painted",
      edges: this.edges,
      points: this.name === "points",
      // Ink on what is painted, the accent's warmth over splats.
      edgeColor: this.name === "mesh" ? [0.1, 0.08, 0.07, 0.45] : [1, 0.42, 0.18, 0.5],
    };
    this.mesh?.draw(look);
  }

  private drawUv(): void {
    if (this.name !== "uv" || !this.layout) return;
    const style = getComputedStyle(this.stage);
    const box = byId("uv");
    const above = Number.parseFloat(getComputedStyle(box).paddingTop) || 0;
    const colors = { ground: style.getPropertyValue("--raised"), line: style.getPropertyValue("--edge") };
    this.layout.draw(box.clientWidth, box.clientHeight - above, this.uv, colors);
  }
}
