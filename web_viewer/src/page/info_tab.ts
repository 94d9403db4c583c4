/** What is known about the avatar, and what is measured while it plays. */
import { element } from "../elements.ts";
import type { Player } from "../player.ts";
import { megabytes } from "./bytes.ts";

export class InfoTab {
  readonly root = element("div");
  private readonly live = element("dl", { className: "live" });
  /** Bytes of the avatar's file; null when it was not loaded from one. */
  bytes: number | null = null;

  constructor(private readonly player: Player) {}

  /** Build it for the player's avatar. */
  refresh(): void {
    const { avatar } = this.player;
    if (!avatar) return;
    const { head } = avatar;
    const about = element("dl");
    fill(about, [
      ["Name", avatar.name],
      ["System", avatar.system],
      ["Paper", avatar.paper],
      ["File", this.bytes === null ? "" : `${megabytes(this.bytes)}${avatar.grade ? `, grade ${avatar.grade}` : ""}`],
      ["Head", `${head.edition}, ${whole(head.vertexCount)} vertices, ${head.jointNames.length} joints`],
      ["Expressions", `${head.exprNames.length}${head.arkitMap ? ", ARKit map" : ""}`],
    ]);
    const layers = element("ul", { className: "layers" });
    for (const layer of avatar.layers) {
      const { binding, dynamics, strands, degree } = layer;
      const rides = binding.kind === "face" ? `on triangles (${binding.frame})` : "on the skin";
      const more = [
        strands ? "hair" : "",
        degree ? `harmonics of degree ${degree}` : "",
        dynamics ? (dynamics.live ? "moved by a network" : `${dynamics.rank} dynamics`) : "",
      ];
      layers.append(layerItem(layer.name, [`${whole(layer.count)} Gaussians ${rides}`, ...more]));
    }
    for (const mesh of avatar.meshes) {
      const [w, h] = mesh.imageSize;
      layers.append(layerItem(mesh.name, [`mesh of ${whole(mesh.vertexCount)} vertices`, `images of ${w} × ${h}`]));
    }
    const notices = avatar.licenseNotices.map((notice) => element("p", { className: "notice", textContent: notice }));
    this.root.replaceChildren(
      section("Now", this.live),
      section("Avatar", about),
      section("Layers", layers),
      ...(notices.length ? [section("Terms", ...notices)] : []),
    );
    this.update();
  }

  /** Show what is measured. */
  update(): void {
    const { stats, isPlaying, canvas } = this.player;
    fill(this.live, [
      ["Frames a second", isPlaying ? stats.fps.toFixed(stats.fps < 10 ? 1 : 0) : "standing still"],
      ["Time of a frame", `${stats.frameMs.toFixed(1)} ms, posing ${stats.poseMs.toFixed(1)} ms`],
      ["Gaussians", `${whole(stats.shown)} of ${whole(stats.count)} in front of the camera`],
      ["Picture", `${canvas.width} × ${canvas.height} pixels`],
      ["Graphics memory", megabytes(stats.gpuBytes)],
    ]);
  }
}

function layerItem(name: string, facts: string[]): HTMLElement {
  return element(
    "li",
    {},
    element("b", { textContent: name }),
    element("span", { textContent: facts.filter(Boolean).join(", ") }),
  );
}

function section(title: string, ...children: Node[]): HTMLElement {
  return element(
    "details",
    { open: true },
    element("summary", { textContent: title }),
    element("div", { className: "body" }, ...children),
  );
}

function fill(list: HTMLElement, rows: [string, string][]): void {
  const shown = rows.filter(([, value]) => value);
  // Texts change, rows seldom do: nothing jumps, and what is selected stays so.
  if (list.children.length !== 2 * shown.length) {
    list.replaceChildren(...shown.flatMap(([term]) => [element("dt", { textContent: term }), element("dd")]));
  }
  shown.forEach(([, value], i) => {
    const cell = list.children[2 * i + 1];
    if (cell.textContent !== value) cell.textContent = value;
  });
}

function whole(n: number): string {
  return n.toLocaleString("en");
}
