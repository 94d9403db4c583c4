/**
 * One texel per head vertex: the rotation of its surroundings from the canonical to the posed head, a quaternion wxyz.
 * `surface`: polar rotation of the one-ring (`formats.deform.surface_rotations`). `vertex`: area-weighted sum of face
 * rotations (`formats.deform.vertex_rotations`).
 */
import { fansOf, ringsOf } from "../posing/rings.ts";
import { type Format, FULLSCREEN, type GL, heightOf, Program, Table, Target, WIDTH } from "./device.ts";
import { FETCH, POLAR, QUATERNIONS, TRIANGLES } from "./shader_math.ts";

export type RingRotation = "surface" | "vertex";

const SOURCE = `
uniform sampler2D posed;
uniform usampler2D starts,ring;
uniform int count;
uniform float floor_;
out vec4 turn;
vec3 here(uint i){return texelFetch(posed,at(int(i)),0).xyz;}
#ifdef SURFACE
uniform sampler2D frames;
#else
uniform sampler2D canonical;
vec3 there(uint i){return texelFetch(canonical,at(int(i)),0).xyz;}
#endif
void main(){
  ivec2 p=ivec2(gl_FragCoord.xy);
  uint i=uint(p.y*1024+p.x);
  turn=vec4(1,0,0,0);
  if(int(i)>=count)return;
  uvec4 span=texelFetch(starts,p,0);
  if(span.x==span.y)return;
#ifdef SURFACE
  // Along the fan: each neighbour once, and a face between it and the one before. Millimetres, so that products of small
  // edges stay far from float32's floor.
  float square=uintBitsToFloat(span.w);
  vec3 w=here(i),m=vec3(0),c=vec3(0);
  mat3 S=mat3(0);
  for(uint k=span.x;k<span.y;k++){
    uvec4 e=texelFetch(ring,at(int(k)),0);
    vec3 d=1e3*(here(e.w>>3)-w);
    if((e.w&1u)==0u)m+=cross(c,d);
    S+=outerProduct(d*float((e.w>>1)&3u),uintBitsToFloat(e.xyz));
    c=d;
  }
  mat3 F=toMatrix(texelFetch(frames,p,0));
  m/=max(length(m),1e-14);
  S+=.5*max(square,0.)*outerProduct(m,F[0]);
  turn=fromMatrix(polar(S/abs(square),frameOf(m,here(span.z)-w)*transpose(F)));
#else
  vec4 sum=vec4(0);
  for(uint k=span.x;k<span.y;k++){
    uvec3 f=texelFetch(ring,at(int(k)),0).xyz;
    vec2 size,unused;
    mat3 A=triangle(there(f.x),there(f.y),there(f.z),size);
    mat3 B=triangle(here(f.x),here(f.y),here(f.z),unused);
    sum+=fromMatrix(B*transpose(A))*(.5*size.y);
  }
  turn=sum/max(length(sum),floor_);
#endif
}`;

export class VertexPass {
  readonly rotations: Table;
  private readonly program: Program;
  private readonly target: Target;
  private readonly tables: Record<string, Table>;

  constructor(
    private readonly gl: GL,
    kind: RingRotation,
    canonical: Float32Array,
    faces: Uint32Array,
    private readonly count: number,
    /** Square metres; a `vertex` rotation's sum is divided by no less. */
    private readonly floor: number,
  ) {
    const define = kind === "surface" ? "#define SURFACE\n" : "";
    this.program = new Program(gl, FULLSCREEN, define + FETCH + QUATERNIONS + TRIANGLES + POLAR + SOURCE);
    this.rotations = new Table(gl, "rgba32f", count);
    this.target = new Target(gl, [this.rotations.texture]);
    const add = (format: Format, data: Float32Array | Uint32Array, width = 4) =>
      new Table(gl, format, data.length / width).write(data);
    if (kind === "surface") {
      const { spans, chain, frames } = fansOf(canonical, faces, count);
      this.tables = { starts: add("rgba32ui", spans), ring: add("rgba32ui", chain), frames: add("rgba32f", frames) };
    } else {
      const { spans, corners } = ringsOf(faces, count);
      this.tables = {
        starts: add("rgba32ui", spans),
        ring: add("rgba32ui", corners),
        canonical: add("rgb32f", canonical, 3),
      };
    }
  }

  get bytes(): number {
    return Object.values(this.tables).reduce((sum, table) => sum + table.bytes, this.rotations.bytes);
  }

  run(posed: Table): void {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.framebuffer);
    gl.viewport(0, 0, WIDTH, heightOf(this.count));
    this.program.use().texture("posed", posed).integers("count", this.count).floats("floor_", this.floor);
    for (const [name, table] of Object.entries(this.tables)) this.program.texture(name, table);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  dispose(): void {
    for (const owned of [this.program, this.target, this.rotations, ...Object.values(this.tables)]) owned.dispose();
  }
}
