/**
 * One texel per head vertex: the rotation of its surroundings from the canonical to the posed head, a quaternion wxyz.
 * `surface`: polar rotation of the one-ring (`formats.deform.surface_rotations`). `vertex`: area-weighted sum of face
 * rotations (`formats.deform.vertex_rotations`).
 */
import { FULLSCREEN, type GL, heightOf, Program, Table, Target, WIDTH } from "./device.ts";
import { FETCH, POLAR, QUATERNIONS, TRIANGLES } from "./shader_math.ts";

export type RingRotation = "surface" | "vertex";

const SOURCE = `
uniform sampler2D canonical,posed;
uniform usampler2D starts,ring;
uniform int count;
uniform float floor_;
out vec4 turn;
vec3 here(uint i){return texelFetch(posed,at(int(i)),0).xyz;}
vec3 there(uint i){return texelFetch(canonical,at(int(i)),0).xyz;}
void main(){
  ivec2 p=ivec2(gl_FragCoord.xy);
  uint i=uint(p.y*1024+p.x);
  turn=vec4(1,0,0,0);
  if(int(i)>=count)return;
  uvec2 span=texelFetch(starts,p,0).xy;
  if(span.x==span.y)return;
#ifdef SURFACE
  // Millimetres, so that products of small edges stay far from float32's floor.
  vec3 v=there(i),w=here(i),n=vec3(0),m=vec3(0),e0=vec3(0),f0=vec3(0);
  mat3 S=mat3(0);
  float square=0.;
  for(uint k=span.x;k<span.y;k++){
    uvec3 f=texelFetch(ring,at(int(k)),0).xyz;
    uvec2 o=f.x==i?f.yz:f.y==i?f.zx:f.xy;
    vec3 a=1e3*(there(o.x)-v),b=1e3*(there(o.y)-v),c=1e3*(here(o.x)-w),d=1e3*(here(o.y)-w);
    S+=outerProduct(c,a)+outerProduct(d,b);
    square+=dot(a,a)+dot(b,b);
    n+=cross(a,b);
    m+=cross(c,d);
    if(dot(a,a)>dot(e0,e0)){e0=a;f0=c;}
  }
  if(square<=0.)return;
  n/=max(length(n),1e-14);
  m/=max(length(m),1e-14);
  S+=.5*square*outerProduct(m,n);
  turn=fromMatrix(polar(S/square,frameOf(m,f0)*transpose(frameOf(n,e0))));
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
  private readonly canonical: Table;
  private readonly starts: Table;
  private readonly ring: Table;

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
    this.canonical = new Table(gl, "rgb32f", count).write(canonical);
    const degree = new Uint32Array(count + 1);
    for (const v of faces) degree[v + 1]++;
    for (let v = 0; v < count; v++) degree[v + 1] += degree[v];
    const spans = new Uint32Array(2 * count);
    for (let v = 0; v < count; v++) spans.set([degree[v], degree[v + 1]], 2 * v);
    const corners = new Uint32Array(4 * faces.length);
    const next = degree.slice();
    for (let f = 0; f < faces.length; f += 3) {
      for (let k = 0; k < 3; k++) corners.set(faces.subarray(f, f + 3), 4 * next[faces[f + k]]++);
    }
    this.starts = new Table(gl, "rg32ui", count).write(spans);
    this.ring = new Table(gl, "rgba32ui", faces.length).write(corners);
  }

  get bytes(): number {
    return this.rotations.bytes + this.canonical.bytes + this.starts.bytes + this.ring.bytes;
  }

  run(posed: Table): void {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.framebuffer);
    gl.viewport(0, 0, WIDTH, heightOf(this.count));
    this.program
      .use()
      .texture("canonical", this.canonical)
      .texture("posed", posed)
      .texture("starts", this.starts)
      .texture("ring", this.ring)
      .integers("count", this.count)
      .floats("floor_", this.floor);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  dispose(): void {
    for (const owned of [this.program, this.target, this.rotations, this.canonical, this.starts, this.ring])
      owned.dispose();
  }
}
