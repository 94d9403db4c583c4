/**
 * The head's own mesh and the Gaussians' centres, for looking at what lies under the splats: textured or as clay, with its
 * edges over it, or as points. A picture of its own with depth, in a context that has a depth buffer and smooths edges.
 */
import type { Avatar } from "../avatar/avatar.ts";
import type { View } from "../device.ts";
import { albedoOf } from "../painting.ts";
import { HeadPoser } from "../posing/head.ts";
import type { Pose } from "../posing/pose.ts";
import { PosedAvatar } from "../posing/posed_avatar.ts";
import { vertexNormals } from "../posing/surface.ts";
import { type GL, Program } from "./device.ts";
import { ImageArray } from "./image_array.ts";
import { DEPTH_FRAGMENT, MESH_VERTEX, NORMAL, POSITION, UV } from "./mesh_shader.ts";

export interface Look {
  /** Painted as its file says, or clay where nothing is painted; clay; or only hiding what lies behind it. */
  surface: "painted" | "clay" | "hidden" | "none";
  edges: boolean;
  points: boolean;
  /** Display sRGB and alpha of edges. */
  edgeColor: [number, number, number, number];
}

const IO = "in vec3 point,turned;in vec2 place;out vec4 o;";
const PAINTED = `${IO}uniform sampler2DArray image;void main(){o=vec4(textureLod(image,vec3(place,0),0.).xyz,1);}`;
/** `turned` carries a colour here. */
const COLORED = `${IO}void main(){o=vec4(turned,1);}`;
/** Lit from where the camera is, from above and a little from behind: for seeing shape, not for truth. */
const CLAY = `${IO}uniform vec3 eye;void main(){
  vec3 n=normalize(turned),d=normalize(eye-point);
  if(dot(n,d)<0.)n=-n;
  float key=max(dot(n,normalize(d+vec3(.35,.75,.1))),0.),rim=pow(1.-max(dot(n,d),0.),3.);
  o=vec4(vec3(.86,.82,.79)*(.3+.62*key)+.18*rim,1);}`;
const EDGE = `${IO}uniform vec4 color;void main(){o=vec4(color.xyz*color.w,color.w);}`;
const DOT = `${IO}void main(){
  vec2 p=2.*gl_PointCoord-1.;
  float r=dot(p,p);
  if(r>1.)discard;
  o=vec4(turned*(1.-.35*r),1);}`;
const SH_C0 = 0.28209479177387814;

/** Return a vertex shader that does one more thing at its end; `declared` goes before it. */
function ending(declared: string, line: string): string {
  const end = MESH_VERTEX.lastIndexOf("}");
  return `${declared}${MESH_VERTEX.slice(0, end)}${line}}`;
}

export class HeadMesh {
  private readonly poser: HeadPoser;
  private posed: PosedAvatar | null = null;
  private pose: Pose | null = null;
  private readonly programs = new Map<string, Program>();
  private readonly buffers: WebGLBuffer[] = [];
  private readonly arrays: WebGLVertexArrayObject[] = [];
  private readonly triangles: WebGLVertexArrayObject;
  private readonly lines: WebGLVertexArrayObject;
  private dots: WebGLVertexArrayObject | null = null;
  private readonly cornerData: Float32Array;
  private readonly vertexData: Float32Array;
  private dotData: Float32Array | null = null;
  private readonly normals: Float64Array;
  private readonly colors: Float32Array | null;
  private readonly edgeCount: number;
  /** What took the place of the file's own image, and where it is on the card. */
  private painted: ImageBitmap | null = null;
  private over: ImageArray | null = null;

  private constructor(
    private readonly gl: GL,
    private readonly avatar: Avatar,
    private readonly own: ImageArray | null,
  ) {
    const { head } = avatar;
    this.poser = new HeadPoser(head);
    this.cornerData = new Float32Array(6 * head.faces.length);
    this.vertexData = new Float32Array(3 * head.vertexCount);
    this.normals = new Float64Array(3 * head.vertexCount);
    this.colors = head.vertexColors?.map(display) ?? null;
    this.triangles = this.array();
    this.stream(this.cornerData.byteLength, 24, true);
    const uvs = this.buffer(gl.ARRAY_BUFFER);
    gl.bufferData(gl.ARRAY_BUFFER, head.cornerUvs ?? new Float32Array(2 * head.faces.length), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(UV);
    gl.vertexAttribPointer(UV, 2, gl.FLOAT, false, 0, 0);
    this.buffers.push(uvs);
    this.lines = this.array();
    this.stream(this.vertexData.byteLength, 12, false);
    const edges = edgesOf(head.faces);
    this.edgeCount = edges.length;
    this.buffers.push(this.buffer(gl.ELEMENT_ARRAY_BUFFER));
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, edges, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
  }

  static async load(gl: GL, avatar: Avatar): Promise<HeadMesh> {
    const textured = avatar.headTexture && avatar.head.cornerUvs;
    return new HeadMesh(gl, avatar, textured ? await ImageArray.load(gl, [avatar.headTexture!], 4, false) : null);
  }

  /** Whether the file, or a person, says how the head is painted. */
  get isPainted(): boolean {
    return this.over !== null || this.own !== null || this.colors !== null;
  }

  private array(): WebGLVertexArrayObject {
    const made = this.gl.createVertexArray();
    this.gl.bindVertexArray(made);
    this.arrays.push(made);
    return made;
  }

  private buffer(target: number): WebGLBuffer {
    const made = this.gl.createBuffer();
    this.gl.bindBuffer(target, made);
    return made;
  }

  /** Make a buffer of positions, and normals or colours after them, that changes with the pose. */
  private stream(bytes: number, stride: number, normals: boolean): void {
    const { gl } = this;
    this.buffers.push(this.buffer(gl.ARRAY_BUFFER));
    gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(POSITION);
    gl.vertexAttribPointer(POSITION, 3, gl.FLOAT, false, stride, 0);
    if (!normals) return;
    gl.enableVertexAttribArray(NORMAL);
    gl.vertexAttribPointer(NORMAL, 3, gl.FLOAT, false, stride, 12);
  }

  private program(name: string, vertex: string, fragment: string): Program {
    const found = this.programs.get(name) ?? new Program(this.gl, vertex, fragment);
    this.programs.set(name, found);
    return found;
  }

  /** Take what was put in the place of the file's own image, or the file's own again. */
  private repaint(): void {
    const painted = albedoOf(this.avatar);
    if (painted === this.painted) return;
    this.painted = painted;
    if (painted) {
      this.over ??= ImageArray.empty(this.gl, painted.width, painted.height, 4);
      this.over.write(painted, 0);
    } else {
      this.over?.dispose();
      this.over = null;
    }
  }

  /** Draw the pose into the bound framebuffer, over nothing. */
  draw(pose: Pose, view: View, look: Look): void {
    const { gl } = this;
    this.pose = pose;
    this.repaint();
    gl.viewport(0, 0, view.width, view.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clearDepth(1);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    gl.depthMask(true);
    gl.disable(gl.BLEND);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (look.surface !== "none" || look.edges) this.poser.pose(pose);
    if (look.surface !== "none") this.drawSurface(view, look.surface);
    if (look.points) this.drawDots(view);
    if (look.edges) this.drawEdges(view, look);
    gl.bindVertexArray(null);
  }

  private drawSurface(view: View, surface: Look["surface"]): void {
    const { gl, cornerData, colors, normals } = this;
    const image = this.over ?? this.own;
    const { vertices, head } = this.poser;
    const painted = surface === "painted" && this.isPainted;
    const rows = painted && colors && !image ? colors : normals;
    if (rows === normals) vertexNormals(vertices, head.faces, normals);
    head.faces.forEach((vertex, i) => {
      for (let c = 0; c < 3; c++) {
        cornerData[6 * i + c] = vertices[3 * vertex + c];
        cornerData[6 * i + 3 + c] = rows[3 * vertex + c];
      }
    });
    gl.bindVertexArray(this.triangles);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[0]);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, cornerData);
    const hidden = surface === "hidden";
    const program = hidden
      ? this.program("depth", MESH_VERTEX, DEPTH_FRAGMENT)
      : painted && image
        ? this.program("painted", MESH_VERTEX, PAINTED)
        : painted
          ? this.program("colored", MESH_VERTEX, COLORED)
          : this.program("clay", MESH_VERTEX, CLAY);
    stand(program.use(), view);
    if (image) program.texture("image", image);
    gl.colorMask(!hidden, !hidden, !hidden, !hidden);
    // A little further away, so that the surface does not cut its own edges.
    gl.enable(gl.POLYGON_OFFSET_FILL);
    gl.polygonOffset(1, 2);
    gl.drawArrays(gl.TRIANGLES, 0, head.faces.length);
    gl.disable(gl.POLYGON_OFFSET_FILL);
    gl.colorMask(true, true, true, true);
  }

  private drawEdges(view: View, { edgeColor }: Look): void {
    const { gl, vertexData } = this;
    vertexData.set(this.poser.vertices);
    gl.bindVertexArray(this.lines);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[2]);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, vertexData);
    const program = this.program("edge", MESH_VERTEX, EDGE).use();
    stand(program, view).floats("color", ...edgeColor);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawElements(gl.LINES, this.edgeCount, gl.UNSIGNED_INT, 0);
  }

  private drawDots(view: View): void {
    const { gl } = this;
    this.posed ??= new PosedAvatar(this.avatar);
    this.posed.pose(this.pose!);
    this.dots ??= this.makeDots();
    const data = this.dotData!;
    let o = 0;
    for (const centers of this.posed.centers) {
      for (let i = 0; i < centers.length; i += 3, o += 6) {
        for (let c = 0; c < 3; c++) data[o + c] = centers[i + c];
      }
    }
    gl.bindVertexArray(this.dots);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[4]);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, data);
    const size = "gl_PointSize=clamp(.0011*intrinsics.x/t.z,1.5,24.);";
    stand(this.program("dot", ending("", size), DOT).use(), view);
    gl.drawArrays(gl.POINTS, 0, data.length / 6);
  }

  private makeDots(): WebGLVertexArrayObject {
    const { avatar } = this;
    const data = new Float32Array(6 * avatar.count);
    let o = 3;
    for (const { sh, degree, count } of avatar.layers) {
      const stride = 3 * (degree + 1) ** 2;
      for (let i = 0; i < count; i++, o += 6) {
        for (let c = 0; c < 3; c++) data[o + c] = Math.min(Math.max(0.5 + SH_C0 * sh[stride * i + c], 0), 1);
      }
    }
    this.dotData = data;
    const array = this.array();
    this.stream(data.byteLength, 24, true);
    return array;
  }

  dispose(): void {
    const { gl } = this;
    this.own?.dispose();
    this.over?.dispose();
    this.posed?.dispose();
    for (const program of this.programs.values()) program.dispose();
    for (const buffer of this.buffers) gl.deleteBuffer(buffer);
    for (const array of this.arrays) gl.deleteVertexArray(array);
  }
}

function stand(program: Program, view: View): Program {
  return program
    .matrix("viewRotation", view.rotation)
    .floats("viewTranslation", ...view.translation)
    .floats("intrinsics", ...view.intrinsics)
    .floats("picture", view.width, view.height)
    .floats("near", view.near)
    .floats("eye", ...view.eye);
}

/** Linear light to display sRGB (IEC 61966-2-1). */
function display(x: number): number {
  return x <= 0.0031308 ? 12.92 * x : 1.055 * Math.max(x, 0) ** (1 / 2.4) - 0.055;
}

/** Return each edge of the triangles once, as pairs of vertices. */
export function edgesOf(faces: Uint32Array): Uint32Array {
  const seen = new Set<number>();
  const out: number[] = [];
  for (let i = 0; i < faces.length; i++) {
    const a = faces[i];
    const b = faces[i % 3 === 2 ? i - 2 : i + 1];
    const key = Math.min(a, b) * 4294967296 + Math.max(a, b);
    if (seen.has(key)) continue;
    seen.add(key);
    out.push(a, b);
  }
  return Uint32Array.from(out);
}
