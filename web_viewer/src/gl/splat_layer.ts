/** One layer of Gaussians on the card: its tables, and the pass that turns them into ellipses. */
import type { Head, Layer } from "../avatar/avatar.ts";
import type { View } from "../device.ts";
import { influencesOf } from "../posing/binding.ts";
import { sumFloor } from "../posing/rest.ts";
import { quatAlong } from "../posing/rotations.ts";
import { FRAME, triangleFrame } from "../posing/surface.ts";
import { type Format, FULLSCREEN, type GL, heightOf, Program, Table, WIDTH } from "./device.ts";
import { splatShader } from "./splat_shader.ts";
import { type RingRotation, VertexPass } from "./vertex_pass.ts";

const SH_C0 = 0.28209479177387814;

export class SplatLayer {
  readonly rows: number;
  readonly centers: Table;
  private readonly tables = new Map<string, Table>();
  private readonly programs = new Map<boolean, Program>();
  private readonly ring: VertexPass | null;
  private readonly coefficients: Float32Array;
  private readonly influenceTexels: number;

  constructor(
    private readonly gl: GL,
    private readonly layer: Layer,
    private readonly head: Head,
    /** Half floats for harmonics and dynamics, or exact ones. */
    private readonly exact: boolean,
  ) {
    const { count, binding } = layer;
    this.rows = heightOf(count);
    this.centers = new Table(gl, "rgb32f", count);
    this.add("quats", "rgba32f").write(layer.quats);
    this.add("shapes", "rgba32f");
    this.add("colors", "rgb32f");
    this.repaint();
    if (layer.degree > 0) this.addHarmonics((layer.degree + 1) ** 2 * 3 - 3);
    let ring: RingRotation | null = null;
    if (binding.kind === "face") {
      this.addCorners();
      if (binding.frame === "vertex" && !layer.strands) ring = "vertex";
    } else if (binding.rotation === "surface") {
      const ids = new Uint32Array(count);
      ids.set(binding.vertex!);
      this.add("ids", "r32ui").write(ids);
      ring = "surface";
    }
    const canonical = binding.kind === "face" ? binding.canonical : head.template;
    const floor = binding.kind === "face" ? sumFloor(binding) : 0;
    this.ring = ring && canonical ? new VertexPass(gl, ring, canonical, head.faces, head.vertexCount, floor) : null;
    this.influenceTexels = binding.kind === "skin" && binding.rotation === "skin" ? this.addInfluences() : 0;
    this.coefficients = new Float32Array(layer.dynamics?.rank ?? 0);
    if (layer.dynamics) this.addDynamics();
  }

  get bytes(): number {
    let sum = this.centers.bytes + (this.ring?.bytes ?? 0);
    for (const table of this.tables.values()) sum += table.bytes;
    return sum;
  }

  /** Tell whether its splats turn with the posed vertices, so that those must be on the card. */
  get readsVertices(): boolean {
    return this.layer.binding.kind === "face" || this.ring !== null;
  }

  get readsJoints(): boolean {
    return this.influenceTexels > 0;
  }

  private add(name: string, format: Format, layers = 0, count = this.layer.count): Table {
    const table = new Table(this.gl, format, count, layers);
    this.tables.set(name, table);
    return table;
  }

  /** Take the layer's opacities and colours as they are now; scales go with them, in the same texels. */
  repaint(): void {
    const { count, scales, opacities, sh, degree } = this.layer;
    const shapes = new Float32Array(4 * count);
    const colors = new Float32Array(3 * count);
    const k = (degree + 1) ** 2 * 3;
    for (let i = 0; i < count; i++) {
      shapes.set(scales.subarray(3 * i, 3 * i + 3), 4 * i);
      shapes[4 * i + 3] = opacities[i];
      for (let c = 0; c < 3; c++) colors[3 * i + c] = 0.5 + SH_C0 * sh[i * k + c];
    }
    this.tables.get("shapes")!.write(shapes);
    this.tables.get("colors")!.write(colors);
  }

  private addHarmonics(numbers: number): void {
    const { layer } = this;
    const texels = Math.ceil(numbers / 4);
    const table = this.add("rest", this.exact ? "rgba32f" : "rgba16f", texels);
    const part = new Float32Array(4 * layer.count);
    for (let t = 0; t < texels; t++) {
      for (let i = 0; i < layer.count; i++) {
        for (let c = 0; c < 4; c++) {
          const n = 4 * t + c;
          part[4 * i + c] = n < numbers ? layer.sh[i * (numbers + 3) + 3 + n] : 0;
        }
      }
      table.write(part, t);
    }
  }

  private addCorners(): void {
    const { layer, head } = this;
    const { binding } = layer;
    if (binding.kind !== "face") return;
    const ids = new Uint32Array(4 * layer.count);
    const more = new Float32Array(4 * layer.count);
    const frame = new Float64Array(FRAME);
    const canonical = binding.canonical && Float64Array.from(binding.canonical);
    for (let i = 0; i < layer.count; i++) {
      const f = binding.face[i];
      const [a, b, c] = head.faces.subarray(3 * f, 3 * f + 3);
      ids.set([a, b, c], 4 * i);
      if (canonical) triangleFrame(canonical, a, b, c, frame, 0);
      more.set([binding.barycentric[2 * i], binding.barycentric[2 * i + 1], frame[10] / 2], 4 * i);
    }
    this.add("ids", "rgba32ui").write(ids);
    if (canonical || binding.frame === "corner") this.add("aux", "rgba32f").write(more);
  }

  private addInfluences(): number {
    const { layer } = this;
    if (layer.binding.kind !== "skin") return 0;
    const influences = influencesOf(layer.binding, this.head);
    const { starts, joints, weights } = influences;
    const texels = Math.max(1, Math.ceil(influences.widest() / 2));
    const table = this.add("influences", "rgba32f", texels);
    for (let t = 0; t < texels; t++) {
      const part = new Float32Array(4 * layer.count);
      for (let i = 0; i < layer.count; i++) {
        for (let h = 0; h < 2; h++) {
          const s = starts[i] + 2 * t + h;
          if (s < starts[i + 1]) part.set([joints[s], weights[s]], 4 * i + 2 * h);
        }
      }
      table.write(part, t);
    }
    return texels;
  }

  private addDynamics(): void {
    const { exact } = this;
    const { rank, tables } = this.layer.dynamics!;
    const { rotvecs, opacity_logits, log_scales, rgb } = tables;
    const format = exact ? "rgba32f" : "rgba16f";
    if (rotvecs || opacity_logits) this.add("dynamicTurn", format, rank);
    if (log_scales) this.add("dynamicScale", format, rank);
    if (rgb) this.add("dynamicColor", format, rank);
    this.writeDynamics();
    this.add("coefficients", "r32f", 0, rank);
  }

  private writeDynamics(): void {
    const { layer } = this;
    const { rank, tables } = layer.dynamics!;
    const part = new Float32Array(4 * layer.count);
    const pack = (name: string, first: Float32Array | undefined, width: number, last?: Float32Array) => {
      const table = this.tables.get(name);
      if (!table) return;
      for (let k = 0; k < rank; k++) {
        for (let i = 0; i < layer.count; i++) {
          const n = k * layer.count + i;
          for (let c = 0; first && c < width; c++) part[4 * i + c] = first[n * width + c];
          if (last) part[4 * i + 3] = last[n];
        }
        table.write(part, k);
      }
    };
    pack("dynamicTurn", tables.rotvecs, 3, tables.opacity_logits);
    part.fill(0);
    pack("dynamicScale", tables.log_scales, 3);
    part.fill(0);
    pack("dynamicColor", tables.rgb, 3);
  }

  /** Take a new pose: centres, dynamics coefficients, and the head's vertices where they matter. */
  pose(
    centers: Float32Array,
    coefficients: Float64Array | null,
    vertices: Table,
    steps: Float64Array | null = null,
  ): void {
    this.centers.write(centers);
    if (steps) this.followSteps(steps);
    if (coefficients) {
      this.coefficients.set(coefficients);
      this.tables.get("coefficients")?.write(this.coefficients);
      if (this.layer.dynamics?.live) this.writeDynamics();
    }
    this.ring?.run(vertices);
  }

  /** Turn and stretch strands along steps in world space, where no frame of their triangle does. */
  private followSteps(steps: Float64Array): void {
    const { quats, scales, count, strands } = this.layer;
    for (let i = 0; i < count; i++) {
      const length = Math.hypot(steps[3 * i], steps[3 * i + 1], steps[3 * i + 2]);
      quatAlong(steps, 3 * i, length, quats, 4 * i);
      scales[3 * i] = strands!.segmentScale * length;
    }
    this.tables.get("quats")!.write(quats);
    this.repaint();
  }

  /** Draw the layer's ellipses (or, for tests, world-space covariances) into the bound target at `row`. */
  run(
    row: number,
    view: View,
    vertices: Table,
    joints: Table,
    rootRotation: Float64Array,
    world = false,
    thin = 1,
  ): void {
    const { gl } = this;
    const program = this.program(world).use();
    for (const [name, table] of this.tables) program.texture(name, table);
    program
      .texture("centers", this.centers)
      .texture("vertices", vertices)
      .texture("joints", joints)
      .texture("turns", this.ring?.rotations)
      .integers("row", row)
      .integers("count", this.layer.count)
      .integers("rank", this.coefficients.length)
      .floats("thin", thin)
      .matrix("viewRotation", view.rotation)
      .matrix("rootRotation", rootRotation)
      .matrix("shRotation", this.layer.shFrame === "head" ? rootRotation : IDENTITY)
      .floats("viewTranslation", ...view.translation)
      .floats("eye", ...view.eye)
      .floats("intrinsics", ...view.intrinsics)
      .floats("picture", view.width, view.height)
      .floats("near", view.near);
    gl.viewport(0, row, WIDTH, this.rows);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  private program(world: boolean): Program {
    let program = this.programs.get(world);
    if (!program) {
      const source = splatShader(this.layer, this.influenceTexels, world);
      program = new Program(this.gl, FULLSCREEN, source);
      this.programs.set(world, program);
    }
    return program;
  }

  dispose(): void {
    this.centers.dispose();
    this.ring?.dispose();
    for (const owned of [...this.tables.values(), ...this.programs.values()]) owned.dispose();
  }
}

const IDENTITY = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
