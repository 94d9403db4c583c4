/**
 * One texel per Gaussian: its rotation, scale, colour and opacity on the posed head (`formats.deform`), and the ellipse
 * it makes on the picture (`formats.render.project`). The centre comes from `binding.ts`.
 */
import type { Layer } from "../avatar/avatar.ts";
import { areaFloor } from "../posing/rest.ts";
import { FRAMES } from "../posing/surface.ts";
import { FETCH, POLAR, QUATERNIONS, TRIANGLES } from "./shader_math.ts";

const HARMONICS = `
#if DEGREE>0
uniform sampler2DArray rest;
vec3 harmonics(ivec2 p,vec3 d){
  float c[(DEGREE+1)*(DEGREE+1)*3];
  for(int i=0;i<(DEGREE+1)*(DEGREE+1)*3/4;i++){
    vec4 v=texelFetch(rest,ivec3(p,i),0);
    c[4*i]=v.x;c[4*i+1]=v.y;c[4*i+2]=v.z;c[4*i+3]=v.w;
  }
#define C(k) vec3(c[3*(k)-3],c[3*(k)-2],c[3*(k)-1])
  float x=d.x,y=d.y,z=d.z;
  vec3 s=.4886025119029199*(-y*C(1)+z*C(2)-x*C(3));
#if DEGREE>1
  float xx=x*x,yy=y*y,zz=z*z;
  s+=1.0925484305920792*(x*y*C(4)-y*z*C(5)-x*z*C(7))+.31539156525252005*(2.*zz-xx-yy)*C(6)
    +.5462742152960396*(xx-yy)*C(8);
#endif
#if DEGREE>2
  s+=-.5900435899266435*(y*(3.*xx-yy)*C(9)+x*(xx-3.*yy)*C(15))+2.890611442640554*x*y*z*C(10)
    -.4570457994644658*(4.*zz-xx-yy)*(y*C(11)+x*C(13))+.3731763325901154*z*(2.*zz-3.*xx-3.*yy)*C(12)
    +1.445305721320277*z*(xx-yy)*C(14);
#endif
  return s;
}
#endif
`;

const MAIN = `
uniform sampler2D centers,quats,shapes,colors,aux,vertices,turns,joints,coefficients;
uniform usampler2D ids;
uniform sampler2DArray influences,dynamicTurn,dynamicScale,dynamicColor;
uniform int row,count,rank;
uniform mat3 viewRotation,rootRotation,shRotation;
uniform vec3 viewTranslation,eye;
uniform vec4 intrinsics; // fx fy cx cy
uniform vec2 picture;
uniform float near,thin;
const float LOW_PASS=.3;
layout(location=0) out vec4 place;
layout(location=1) out vec4 axes;
layout(location=2) out vec4 paint;

vec3 vertex(uint i){return texelFetch(vertices,at(int(i)),0).xyz;}

void main(){
  place=axes=paint=vec4(0);
  ivec2 p=ivec2(gl_FragCoord.xy)-ivec2(0,row);
  if(p.y*1024+p.x>=count)return;
  vec3 center=texelFetch(centers,p,0).xyz;
  vec4 q=texelFetch(quats,p,0),shape=texelFetch(shapes,p,0);
  vec3 s=shape.xyz,color=texelFetch(colors,p,0).xyz;
  float o=shape.w;
#ifdef DYNAMICS
  vec4 dTurn=vec4(0),dScale=vec4(0),dColor=vec4(0);
  for(int k=0;k<rank;k++){
    float c=texelFetch(coefficients,ivec2(k,0),0).x;
    if(c==0.)continue;
#ifdef DYNAMIC_TURN
    dTurn+=c*texelFetch(dynamicTurn,ivec3(p,k),0);
#endif
#ifdef DYNAMIC_SCALE
    dScale+=c*texelFetch(dynamicScale,ivec3(p,k),0);
#endif
#ifdef DYNAMIC_COLOR
    dColor+=c*texelFetch(dynamicColor,ivec3(p,k),0);
#endif
  }
#ifdef OPACITY_MOVES
  float safe=clamp(o,1e-7,1.-1e-7);
  o=1./(1.+exp(-(log(safe)-log(1.-safe)+dTurn.w)));
#endif
  color+=dColor.xyz;
  vec4 extra=fromAxisAngle(dTurn.xyz);
#ifdef CANONICAL
  q=multiply(q,extra);
  s*=exp(dScale.xyz);
#endif
#endif
  mat3 R=toMatrix(normalize(q));
#if defined(ON_FACE)
  uvec3 f=texelFetch(ids,p,0).xyz;
  vec2 size;
  mat3 A=triangle(vertex(f.x),vertex(f.y),vertex(f.z),size);
#if FRAME==0
  R=A*R;
#elif FRAME==1
  vec3 b=texelFetch(aux,p,0).xyz;
  vec4 turn=b.x*texelFetch(turns,at(int(f.x)),0)+b.y*texelFetch(turns,at(int(f.y)),0)
    +(1.-b.x-b.y)*texelFetch(turns,at(int(f.z)),0);
  R=toMatrix(turn/max(length(turn),1e-20))*R;
#elif FRAME==3
  {
    vec2 b=texelFetch(aux,p,0).xy;
    float u=1.-b.x-b.y;
    vec3 first=vertex(f.x),e=vertex(f.y)-first,side=vertex(f.z)-first;
    vec3 d=-b.y*e-u*side,n=u*cross(e,side);
    n/=max(length(n),1e-20);
    R=rootRotation*toMatrix(normalize(fromAxes(transpose(rootRotation)*mat3(d,cross(n,d),n))+q));
  }
#elif FRAME==4
  R=rootRotation*R;
#endif
#if STRAND_GAIN==1
  s.x*=size.x;
#elif STRAND_GAIN==2
  s.x*=size.y;
#endif
#if SPLAT_SCALE==1
  s*=size.x;
#elif SPLAT_SCALE==2
  s=UNIT*exp(log(max(s/UNIT,1e-30))*(size.y*.5+AREA_FLOOR)/(texelFetch(aux,p,0).z+AREA_FLOOR));
#endif
#elif defined(SURFACE_TURNS)
  R=toMatrix(texelFetch(turns,at(int(texelFetch(ids,p,0).x)),0))*R;
#elif defined(SKIN_TURNS)
  mat3 B=mat3(0);
  float missing=1.;
  for(int k=0;k<INFLUENCES;k++){
    vec4 pair=texelFetch(influences,ivec3(p,k),0);
    for(int h=0;h<2;h++){
      float w=h==0?pair.y:pair.w;
      int j=int(h==0?pair.x:pair.z);
      missing-=w;
      B+=w*mat3(texelFetch(joints,at(3*j),0).xyz,texelFetch(joints,at(3*j+1),0).xyz,texelFetch(joints,at(3*j+2),0).xyz);
    }
  }
  B+=mat3(missing);
  mat3 G=frameOf(B[0],B[1]);
  R=polar(B,G)*R;
#endif
#if defined(DYNAMICS)&&!defined(CANONICAL)
  R=toMatrix(extra)*R;
  s*=exp(dScale.xyz);
#endif
#ifdef STRANDS
  // Every thin'th strand is drawn, as opaque as so many on top of each other, and wider by what that leaves uncovered: the
  // same opacity times width on the picture, low pass included.
  if(thin>1.){
    float pixel=((viewRotation*center).z+viewTranslation.z)/intrinsics.x,low=LOW_PASS*pixel*pixel;
    float more=1.-pow(1.-min(o,.99),thin),f=thin*o/max(more,1e-6);
    s.yz=vec2(sqrt(max(f*f*(s.y*s.y+low)-low,0.)));
    o=more;
  }
#endif
  mat3 L=mat3(R[0]*s.x,R[1]*s.y,R[2]*s.z);
#if DEGREE>0
  color+=harmonics(p,normalize(center-eye)*shRotation);
#endif
  color=max(color,0.);
#ifdef WORLD
  mat3 V=L*transpose(L);
  place=vec4(color,o);
  axes=vec4(V[0][0],V[0][1],V[0][2],V[1][1]);
  paint=vec4(V[1][2],V[2][2],0,0);
#else
  vec3 t=viewRotation*center+viewTranslation;
  if(!(t.z>near)||o<1./255.)return;
  vec2 margin=.15*picture;
  vec2 slope=clamp(t.xy/t.z,-(intrinsics.zw+margin)/intrinsics.xy,(picture-intrinsics.zw+margin)/intrinsics.xy);
  vec3 j0=vec3(intrinsics.x/t.z,0,-intrinsics.x*slope.x/t.z),j1=vec3(0,intrinsics.y/t.z,-intrinsics.y*slope.y/t.z);
  vec3 g=(j0*viewRotation)*L,h=(j1*viewRotation)*L;
  float xx=dot(g,g)+LOW_PASS,xy=dot(g,h),yy=dot(h,h)+LOW_PASS;
  // The determinant by Lagrange's identity, which loses nothing for needle-thin ellipses.
  vec3 gh=cross(g,h);
  float det=dot(gh,gh)+LOW_PASS*(dot(g,g)+dot(h,h))+LOW_PASS*LOW_PASS;
  float half_=.5*(xx-yy),d=sqrt(half_*half_+xy*xy),large=.5*(xx+yy)+d,small=det/large;
  vec2 e=half_>=0.?vec2(half_+d,xy):vec2(xy,d-half_);
  e=d>1e-9*large?normalize(e):vec2(1,0);
  float reach=sqrt(2.*log(255.*o));
  vec2 mean=intrinsics.xy*t.xy/t.z+intrinsics.zw;
  vec2 box=reach*sqrt(vec2(xx,yy));
  if(any(greaterThan(mean-box,picture))||any(lessThan(mean+box,vec2(0))))return;
  place=vec4(mean,reach,t.z);
  axes=vec4(reach*sqrt(large)*e,reach*sqrt(small)*vec2(-e.y,e.x));
  paint=vec4(color,o);
#endif
}`;

/** Return the fragment shader for a layer; `world` writes world-space covariances instead of ellipses, for tests. */
export function splatShader(layer: Layer, influenceTexels: number, world: boolean): string {
  const { binding, dynamics } = layer;
  const lines = [`#define DEGREE ${layer.degree}`];
  if (world) lines.push("#define WORLD");
  if (binding.kind === "face") {
    lines.push("#define ON_FACE");
    // Strands along a Phong normal turn with no frame: their steps come from the CPU (`PosedAvatar.steps`).
    const free = layer.strands !== null && binding.frame === "vertex";
    lines.push(
      `#define FRAME ${FRAMES.indexOf(free ? "none" : binding.frame)}`,
      `#define UNIT ${binding.unit.toExponential()}`,
    );
    lines.push(`#define AREA_FLOOR ${areaFloor(binding).toExponential()}`);
    // A strand's segment is as long as its triangle's size makes it, and as wide as it always was.
    const gains = ["none", "edge_height", "double_area"];
    lines.push(`#define STRAND_GAIN ${layer.strands && !free ? gains.indexOf(binding.offsetScale) : 0}`);
    if (layer.strands) lines.push("#define STRANDS");
    lines.push(`#define SPLAT_SCALE ${["none", "edge_height", "log_area_ratio"].indexOf(binding.splatScale)}`);
  } else if (binding.rotation === "surface") {
    lines.push("#define SURFACE_TURNS");
  } else if (binding.rotation === "skin") {
    lines.push("#define SKIN_TURNS", `#define INFLUENCES ${influenceTexels}`);
  }
  if (dynamics) {
    const { rotvecs, opacity_logits, log_scales, rgb } = dynamics.tables;
    if (rotvecs || opacity_logits || log_scales || rgb) lines.push("#define DYNAMICS");
    if (rotvecs || opacity_logits) lines.push("#define DYNAMIC_TURN");
    if (opacity_logits) lines.push("#define OPACITY_MOVES");
    if (log_scales) lines.push("#define DYNAMIC_SCALE");
    if (rgb) lines.push("#define DYNAMIC_COLOR");
    if (dynamics.space === "canonical") lines.push("#define CANONICAL");
  }
  return `${lines.join("\n")}\n${FETCH}${QUATERNIONS}${TRIANGLES}${POLAR}${HARMONICS}${MAIN}`;
}
