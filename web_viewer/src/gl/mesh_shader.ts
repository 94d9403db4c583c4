/** A mesh layer's pixels: where its triangles are, and the colour of `formats.mesh_shading`. */
import type { BasisMix, MeshLayer } from "../avatar/avatar.ts";

export const POSITION = 0;
export const NORMAL = 1;
export const UV = 2;

/**
 * `invariant`: the depth pass and the colour pass have to agree to the last bit. Depth runs from the near plane to infinity,
 * so that nothing far is cut off; 24 bits of it are finer than a micrometre on a head.
 */
export const MESH_VERTEX = `
layout(location=0) in vec3 position;
layout(location=1) in vec3 normal;
layout(location=2) in vec2 uv;
uniform mat3 viewRotation;
uniform vec3 viewTranslation;
uniform vec4 intrinsics; // fx fy cx cy
uniform vec2 picture;
uniform float near;
invariant gl_Position;
out vec3 point,turned;
out vec2 place;
void main(){
  vec3 t=viewRotation*position+viewTranslation;
  vec2 pixel=intrinsics.xy*t.xy+intrinsics.zw*t.z;
  gl_Position=vec4(2.*pixel.x/picture.x-t.z,t.z-2.*pixel.y/picture.y,t.z-2.*near,t.z);
  point=position;
  turned=normal;
  place=uv;
}`;

/** Writes depth only. */
export const DEPTH_FRAGMENT = "out vec4 o;void main(){o=vec4(0);}";

const SAMPLE = `
#ifdef EXACT
/** Bilinear in full precision; texture units blend with eight bits. */
vec4 look(sampler2DArray image,float layer){
  ivec2 size=textureSize(image,0).xy,last=size-1;
  vec2 p=place*vec2(size)-.5,low=floor(p),f=p-low;
  ivec2 a=clamp(ivec2(low),ivec2(0),last),b=clamp(ivec2(low)+1,ivec2(0),last);
  int l=int(layer);
  return mix(mix(texelFetch(image,ivec3(a,l),0),texelFetch(image,ivec3(b.x,a.y,l),0),f.x),
    mix(texelFetch(image,ivec3(a.x,b.y,l),0),texelFetch(image,ivec3(b,l),0),f.x),f.y);
}
#else
vec4 look(sampler2DArray image,float layer){return textureLod(image,vec3(place,layer),0.);}
#endif
`;

const INPUTS = `
in vec3 point,turned;
in vec2 place;
out vec4 o;
`;

const TEXTURED = `
uniform sampler2DArray painted;
void main(){
  vec4 c=look(painted,0.);
#ifdef OPAQUE
  c.w=1.;
#endif
  o=vec4(c.xyz*c.w,c.w);
}`;

const MIXED = `
uniform sampler2DArray bases,features,shade;
uniform vec4 first[HIDDEN*IN4],second[BASES*HIDDEN4];
uniform vec4 low[FEATURES4],span[FEATURES4];
uniform mat3 axes;
uniform vec3 eye;
uniform float temperature;
void main(){
  float x[IN4*4];
  for(int i=0;i<IN4*4;i++)x[i]=0.;
  for(int i=0;i<IMAGES;i++){
    vec4 v=look(features,float(i));
    for(int c=0;c<CHANNELS;c++){
      int n=i*CHANNELS+c;
      if(n<FEATURES)x[n]=low[n>>2][n&3]+span[n>>2][n&3]*v[c];
    }
  }
  vec3 n=axes*normalize(turned),d=axes*normalize(point-eye);
  for(int c=0;c<3;c++){x[FEATURES+c]=n[c];x[FEATURES+3+c]=d[c];}
  float h[HIDDEN4*4];
  for(int i=0;i<HIDDEN4*4;i++)h[i]=0.;
  for(int i=0;i<HIDDEN;i++){
    float sum=0.;
    for(int j=0;j<IN4;j++)sum+=dot(first[i*IN4+j],vec4(x[4*j],x[4*j+1],x[4*j+2],x[4*j+3]));
    h[i]=max(sum,0.);
  }
  float share[BASES],most=-1e30,total=0.;
  for(int k=0;k<BASES;k++){
    float sum=0.;
    for(int j=0;j<HIDDEN4;j++)sum+=dot(second[k*HIDDEN4+j],vec4(h[4*j],h[4*j+1],h[4*j+2],h[4*j+3]));
    share[k]=temperature*sum;
    most=max(most,share[k]);
  }
  vec3 c=vec3(0);
  for(int k=0;k<BASES;k++){
    float s=exp(share[k]-most);
    total+=s;
    c+=s*look(bases,float(k)).xyz;
  }
  c/=total;
#ifdef OPAQUE
  o=vec4(c,1);
#else
  float a=look(shade,0.).x;
  o=vec4(c*a,a);
#endif
}`;

const fours = (n: number) => Math.ceil(n / 4);

/** How wide rows of W1 and of W2 are in the shader, in vec4s. */
export function rowsOf(mix: BasisMix): [number, number] {
  return [fours(mix.featureCount + 6), fours(mix.hidden)];
}

/** Return the fragment shader of a layer. */
export function meshShader(layer: MeshLayer, exact: boolean): string {
  const lines: string[] = [];
  if (exact) lines.push("#define EXACT");
  if (layer.opaque) lines.push("#define OPAQUE");
  const mix = layer.shading;
  if (mix) {
    const [inputs, hidden] = rowsOf(mix);
    const numbers = {
      HIDDEN: mix.hidden,
      HIDDEN4: hidden,
      IN4: inputs,
      FEATURES: mix.featureCount,
      FEATURES4: Math.max(1, fours(mix.featureCount)),
      IMAGES: mix.features.length,
      CHANNELS: mix.featureChannels,
      BASES: mix.bases.length,
    };
    for (const [name, value] of Object.entries(numbers)) lines.push(`#define ${name} ${value}`);
  }
  return `${lines.join("\n")}\n${INPUTS}${SAMPLE}${mix ? MIXED : TEXTURED}`;
}
