/** What of the avatar is shown: its splats, the head's mesh, the centres of the splats, or the maps on its UV layout. */
import { byId, element } from "../elements.ts";
import type { Look } from "../gl/head_mesh.ts";
import type { Player } from "../player.ts";
import { choice } from "./controls.ts";
import type { Given } from "./dropped.ts";
import type { MeshView } from "./mesh_view.ts";
import type { UvEditor } from "./uv_editor.ts";

export const VIEWS = ["splats", "mesh", "points", "uv"] as const;
export type ViewName = (typeof VIEWS)[number];
const LABELS = { splats: "Splats", mesh: "Mesh", points: "Points", uv: "UV" };

export class Views {
  readonly bar;
  name: ViewName = "splats";
  edges = false;
  clay = false;
  readonly uv = { image: true, gaussians: false, edges: false };
  private mesh: MeshView | null = null;
  private editor: UvEditor | null = null;
  /** Beside the maps: the mesh, where a map of the mesh is edited, else the splats. */
  private mapOfMesh = false;
  private covered = false;
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

  /** What stands in the place of the avatar. */
  private get shown(): "splats" | "mesh" | "points" {
    if (this.name === "uv") return this.mapOfMesh ? "mesh" : "splats";
    return this.name;
  }

  /** Whether the mesh's canvas has something on it. */
  private get needsMesh(): boolean {
    return this.shown !== "splats" || (this.name === "splats" && this.edges);
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

  /** Something covers the avatar altogether, or does no more. */
  cover(on: boolean): void {
    this.covered = on;
    this.see();
  }

  /** Draw splats where they are seen, and nowhere else. */
  private see(): void {
    const seen = this.shown === "splats";
    this.player.visible = seen && !this.covered;
    byId("view").classList.toggle("unseen", !seen);
    byId("mesh").hidden = !this.needsMesh;
  }

  /** Show what was chosen; another avatar may be there. */
  refresh(): void {
    this.load().catch(this.fail);
    this.onChange();
  }

  private async load(): Promise<void> {
    this.see();
    byId("uv").hidden = this.name !== "uv";
    const { avatar } = this.player;
    if (!avatar) return;
    if (this.name === "uv") {
      const editor = await this.edit();
      const found = await editor.follow(avatar);
      const box = byId("uv");
      box.querySelector(".none")?.remove();
      if (!found.layout) {
        box.append(
          element("p", {
            className: "quiet none",
            textContent: "This head has no texture coordinates, so there is no layout to show.",
          }),
        );
      }
      byId("uv-canvas").hidden = !found.layout;
      if (!found.maps) this.uv.edges = true;
      this.drawUv();
    }
    if (!this.needsMesh) return;
    const { MeshView } = await import("./mesh_view.ts");
    this.mesh ??= new MeshView(byId<HTMLCanvasElement>("mesh"), this.player, this.near);
    await this.mesh.follow();
    this.draw();
  }

  private async edit(): Promise<UvEditor> {
    const { UvEditor } = await import("./uv_editor.ts");
    this.editor ??= new UvEditor(this.player, byId("uv"), byId<HTMLCanvasElement>("uv-canvas"), {
      fail: this.fail,
      onMesh: (on) => {
        if (on === this.mapOfMesh) return;
        this.mapOfMesh = on;
        this.refresh();
      },
    });
    return this.editor;
  }

  /**
   * Put a picture in the place of a map: in the view of the maps any, elsewhere one that is named after a map or that no
   * reference picture can be. Tells whether it was taken.
   */
  async replace(pictures: Given[]): Promise<boolean> {
    const { avatar } = this.player;
    if (pictures.length !== 1 || !avatar?.head.cornerUvs) return false;
    const [{ file }] = pictures;
    if (this.name !== "uv" && /\.png$/i.test(file.name)) {
      const { mapNamed } = await import("./edited_map.ts");
      if (!mapNamed(avatar, file.name)) return false;
    }
    if (this.name !== "uv") {
      this.name = "uv";
      this.bar.set("uv");
      this.stage.dataset.view = "uv";
      this.onChange();
    }
    await this.load();
    await this.editor?.replace(file);
    return true;
  }

  /** Draw over what the player has just drawn. */
  draw(): void {
    if (!this.needsMesh || this.covered) return;
    const { shown } = this;
    const surface = {
      splats: "hidden",
      points: this.edges ? "hidden" : "none",
      mesh: this.clay ? "clay" : "painted",
    } as const;
    const look: Look = {
      surface: this.name === "uv" ? "painted" : surface[shown],
      edges: this.edges && this.name !== "uv",
      points: shown === "points",
      // Ink on what is painted, the accent's warmth over splats.
      edgeColor: shown === "mesh" ? [0.1, 0.08, 0.07, 0.45] : [1, 0.42, 0.18, 0.5],
    };
    this.mesh?.draw(look);
  }

  private drawUv(): void {
    if (this.name === "uv") this.editor?.draw(this.uv);
  }
}
