/** One mesh layer on the card: its triangles, its images, and drawing it. */
import type { BasisMix, MeshLayer } from "../avatar/avatar.ts";
import type { View } from "../device.ts";
import { AvatarFormatError, DeviceError } from "../errors.ts";
import type { MeshPoser } from "../posing/mesh_poser.ts";
import { type GL, Program } from "./device.ts";
import { ImageArray } from "./image_array.ts";
import { DEPTH_FRAGMENT, MESH_VERTEX, meshShader, NORMAL, POSITION, rowsOf, UV } from "./mesh_shader.ts";

const IDENTITY = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);

export class MeshLayerOnCard {
  private readonly array: WebGLVertexArrayObject;
  private readonly buffers: WebGLBuffer[];
  private readonly color: Program;
  private readonly data: Float32Array;
  private first: Float32Array | null = null;
  private second: Float32Array | null = null;

  private constructor(
    private readonly gl: GL,
    readonly layer: MeshLayer,
    private readonly depth: Program,
    /** By the name of their sampler. */
    private readonly images: Map<string, ImageArray>,
    exact: boolean,
  ) {
    this.color = new Program(gl, MESH_VERTEX, meshShader(layer, exact));
    this.data = new Float32Array(6 * layer.drawn.length);
    this.array = gl.createVertexArray();
    const [moving, uvs, triangles] = [gl.createBuffer(), gl.createBuffer(), gl.createBuffer()];
    this.buffers = [moving, uvs, triangles];
    // A host of the context draws between the layers, and remembers what it bound.
    const before = gl.getParameter(gl.VERTEX_ARRAY_BINDING) as WebGLVertexArrayObject | null;
    const buffer = gl.getParameter(gl.ARRAY_BUFFER_BINDING) as WebGLBuffer | null;
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, moving);
    gl.bufferData(gl.ARRAY_BUFFER, this.data.byteLength, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(POSITION);
    gl.vertexAttribPointer(POSITION, 3, gl.FLOAT, false, 24, 0);
    gl.enableVertexAttribArray(NORMAL);
    gl.vertexAttribPointer(NORMAL, 3, gl.FLOAT, false, 24, 12);
    gl.bindBuffer(gl.ARRAY_BUFFER, uvs);
    gl.bufferData(gl.ARRAY_BUFFER, layer.uvs, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(UV);
    gl.vertexAttribPointer(UV, 2, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, triangles);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, layer.triangles, gl.STATIC_DRAW);
    gl.bindVertexArray(before);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  }

  /** Put a layer on the card; `depth` is the program of `DEPTH_FRAGMENT`, shared and owned by the caller. */
  static async load(gl: GL, layer: MeshLayer, depth: Program, exact: boolean): Promise<MeshLayerOnCard> {
    const mix = layer.shading;
    if (mix) checkUniforms(gl, layer.name, mix);
    const wanted: [string, Promise<ImageArray>][] = mix
      ? [
          ["bases", ImageArray.load(gl, mix.bases, 3)],
          ...(mix.features.length
            ? [["features", ImageArray.load(gl, mix.features, mix.featureChannels)] as [string, Promise<ImageArray>]]
            : []),
          ...(mix.alpha ? [["shade", ImageArray.load(gl, [mix.alpha], 1)] as [string, Promise<ImageArray>]] : []),
        ]
      : [["painted", ImageArray.load(gl, [layer.texture!], 4)]];
    const images = new Map<string, ImageArray>();
    const settled = await Promise.allSettled(wanted.map(([, loading]) => loading));
    settled.forEach((result, i) => {
      if (result.status === "fulfilled") images.set(wanted[i][0], result.value);
    });
    try {
      for (const result of settled) if (result.status === "rejected") throw result.reason;
      const made = new MeshLayerOnCard(gl, layer, depth, images, exact);
      for (const [key, picture] of layer.painted) {
        const [sampler, index] = key.split("/");
        await made.paint(sampler, Number(index), picture);
      }
      return made;
    } catch (error) {
      for (const array of images.values()) array.dispose();
      throw error;
    }
  }

  /** Bytes on the card. */
  get bytes(): number {
    let sum = this.data.byteLength + 4 * (this.layer.uvs.length + this.layer.triangles.length);
    for (const array of this.images.values()) sum += array.bytes;
    return sum;
  }

  /** Take posed vertices and normals, and what the shading network said. */
  pose({ vertices, normals }: MeshPoser, shading: Float32Array | null): void {
    const { gl, data, layer } = this;
    layer.drawn.forEach((vertex, i) => {
      for (let c = 0; c < 3; c++) {
        data[6 * i + c] = vertices[3 * vertex + c];
        data[6 * i + 3 + c] = normals[3 * vertex + c];
      }
    });
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[0]);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, data);
    gl.bindBuffer(gl.ARRAY_BUFFER, null);
    if (layer.shading && shading) [this.first, this.second] = padRows(layer.shading, shading);
  }

  /** Draw into the bound framebuffer, which has a depth buffer of its own: nearest surface, straight over (premultiplied). */
  draw(view: View): void {
    const { gl, layer } = this;
    if (layer.shading && !this.first) return;
    this.enter();
    gl.clearDepth(1);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    if (!layer.opaque) {
      gl.colorMask(false, false, false, false);
      this.triangles(this.depth, view);
      gl.colorMask(true, true, true, true);
      gl.depthMask(false);
      gl.depthFunc(gl.EQUAL);
    }
    if (layer.opaque) gl.disable(gl.BLEND);
    else gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.triangles(this.color, view);
    this.leave();
  }

  /** Write only its depth, where it is nearer than what is there. */
  drawDepth(view: View): void {
    if (this.layer.shading && !this.first) return;
    this.enter();
    this.triangles(this.depth, view);
    this.leave();
  }

  private enter(): void {
    const { gl } = this;
    gl.bindVertexArray(this.array);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.CULL_FACE);
    gl.cullFace(gl.BACK);
    gl.frontFace(gl.CCW);
    gl.depthMask(true);
    gl.depthFunc(gl.LESS);
  }

  private leave(): void {
    const { gl } = this;
    gl.depthMask(true);
    gl.depthFunc(gl.LESS);
    gl.disable(gl.DEPTH_TEST);
    gl.disable(gl.CULL_FACE);
    gl.bindVertexArray(null);
  }

  private triangles(program: Program, view: View): void {
    const { gl, layer } = this;
    program.use();
    for (const [name, array] of this.images) program.texture(name, array);
    program
      .matrix("viewRotation", view.rotation)
      .floats("viewTranslation", ...view.translation)
      .floats("intrinsics", ...view.intrinsics)
      .floats("picture", view.width, view.height)
      .floats("near", view.near)
      .floats("eye", ...view.eye);
    const mix = layer.shading;
    if (mix) {
      // View axes are OpenGL's: x right, y up, z towards the viewer.
      const turned = view.rotation.map((value, i) => (i < 3 ? value : -value));
      program
        .matrix("axes", mix.space === "view" ? turned : IDENTITY)
        .floats("temperature", mix.temperature)
        .vectors("first", this.first!)
        .vectors("second", this.second!)
        .vectors("low", mix.featureMin)
        .vectors(
          "span",
          mix.featureMax.map((most, i) => most - mix.featureMin[i]),
        );
    }
    gl.drawElements(gl.TRIANGLES, layer.triangles.length, gl.UNSIGNED_INT, 0);
  }

  /** Replace an image by the name of its sampler and its place; blocks give way to bytes, into which pixels can be written. */
  async paint(sampler: string, index: number, picture: ImageBitmap): Promise<void> {
    const array = this.images.get(sampler);
    if (!array) return;
    if (array.compressed) {
      const mix = this.layer.shading;
      const all = { bases: mix?.bases, features: mix?.features, shade: mix?.alpha && [mix.alpha] }[sampler];
      const channels =
        sampler === "bases" ? 3 : sampler === "features" ? mix!.featureChannels : sampler === "shade" ? 1 : 4;
      this.images.set(sampler, await ImageArray.load(this.gl, all ?? [this.layer.texture!], channels, false));
      array.dispose();
    }
    this.images.get(sampler)!.write(picture, index);
  }

  dispose(): void {
    const { gl } = this;
    for (const array of this.images.values()) array.dispose();
    this.color.dispose();
    gl.deleteVertexArray(this.array);
    for (const buffer of this.buffers) gl.deleteBuffer(buffer);
  }
}

/** Return the program that writes depth alone. */
export function depthProgram(gl: GL): Program {
  return new Program(gl, MESH_VERTEX, DEPTH_FRAGMENT);
}

function checkUniforms(gl: GL, name: string, mix: BasisMix): void {
  const [inputs, hidden] = rowsOf(mix);
  const wanted = mix.hidden * inputs + mix.bases.length * hidden + 2 * Math.ceil(mix.featureCount / 4) + 16;
  const most = gl.getParameter(gl.MAX_FRAGMENT_UNIFORM_VECTORS);
  if (wanted > most) {
    throw new DeviceError(
      `Layer “${name}” mixes ${mix.bases.length} bases with ${wanted} vectors; this device holds ${most}.`,
    );
  }
}

/** Split W1 and W2, rows padded to whole vec4s. */
function padRows(mix: BasisMix, weights: Float32Array): [Float32Array, Float32Array] {
  const [inputs, hidden] = rowsOf(mix);
  const width = mix.featureCount + 6;
  const split = mix.hidden * width;
  if (weights.length !== split + mix.bases.length * mix.hidden) {
    throw new AvatarFormatError(`The shading network gave ${weights.length} numbers for another size of network.`);
  }
  const pad = (from: Float32Array, rows: number, columns: number, wide: number) => {
    const out = new Float32Array(rows * wide * 4);
    for (let r = 0; r < rows; r++) out.set(from.subarray(r * columns, (r + 1) * columns), r * wide * 4);
    return out;
  };
  return [
    pad(weights.subarray(0, split), mix.hidden, width, inputs),
    pad(weights.subarray(split), mix.bases.length, mix.hidden, hidden),
  ];
}
