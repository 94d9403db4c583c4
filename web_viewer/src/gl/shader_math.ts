/** GLSL that several passes share. Matrices are GLSL's: m[column][row]. Quaternions are wxyz in .x .yzw order. */

export const FETCH = `
ivec2 at(int i){return ivec2(i&1023,i>>10);}
`;

export const QUATERNIONS = `
mat3 toMatrix(vec4 q){
  float w=q.x,x=q.y,y=q.z,z=q.w;
  return mat3(1.-2.*(y*y+z*z),2.*(x*y+w*z),2.*(x*z-w*y), 2.*(x*y-w*z),1.-2.*(x*x+z*z),2.*(y*z+w*x),
    2.*(x*z+w*y),2.*(y*z-w*x),1.-2.*(x*x+y*y));
}
vec4 multiply(vec4 a,vec4 b){return vec4(a.x*b.x-dot(a.yzw,b.yzw),a.x*b.yzw+b.x*a.yzw+cross(a.yzw,b.yzw));}
/** Series below a radian or so: drivers' own sine and cosine may be good to 1e-4 only. */
vec4 fromAxisAngle(vec3 r){
  float h=dot(r,r)*.25;
  if(h>1.5){float a=sqrt(h);return vec4(cos(a),r*(.5*sin(a)/a));}
  return vec4(1.-h*.5*(1.-h/12.*(1.-h/30.*(1.-h/56.*(1.-h/90.)))),r*.5*(1.-h/6.*(1.-h/20.*(1.-h/42.*(1.-h/72.)))));
}
/** Shepperd's branches: 4 q_i q of the i whose square, own = 4 q_i^2, is the largest. */
vec4 candidate(mat3 m,out float own){
  float t=m[0][0]+m[1][1]+m[2][2];
  vec3 d=vec3(m[0][0],m[1][1],m[2][2]);
  vec3 odd=vec3(m[1][2]-m[2][1],m[2][0]-m[0][2],m[0][1]-m[1][0]);
  float xy=m[0][1]+m[1][0],xz=m[0][2]+m[2][0],yz=m[1][2]+m[2][1];
  if(t>=max(d.x,max(d.y,d.z)))return vec4(own=1.+t,odd);
  if(d.x>=d.y&&d.x>=d.z)return vec4(odd.x,own=1.+2.*d.x-t,xy,xz);
  if(d.y>=d.z)return vec4(odd.y,xy,own=1.+2.*d.y-t,yz);
  return vec4(odd.z,xz,yz,own=1.+2.*d.z-t);
}
/** Unit, w >= 0. */
vec4 fromMatrix(mat3 m){
  float own;
  vec4 q=normalize(candidate(m,own));
  return q.x<0.?-q:q;
}
/** Not unit: what the conversion makes of axes that are no rotation (formats.deform.corner_quats). */
vec4 fromAxes(mat3 m){
  float own;
  vec4 q=candidate(m,own);
  return q/(2.*sqrt(own));
}
`;

export const TRIANGLES = `
/** Columns: first edge, normal, their cross product; x: size k, y: double area (formats.deform.triangle_frames). */
mat3 triangle(vec3 v0,vec3 v1,vec3 v2,out vec2 size){
  vec3 e=v1-v0,s=v2-v0;
  float l=length(e);
  vec3 a=l>1e-12?e/l:vec3(1,0,0);
  vec3 n=cross(a,s);
  float h=length(n);
  vec3 o=abs(a.y)<.9?vec3(0,1,0):vec3(0,0,1);
  vec3 b=h>1e-12?n/h:normalize(o-a*dot(a,o));
  vec3 c=cross(a,b);
  size=vec2((l+abs(dot(c,s)))*.5,l*h);
  return mat3(a,b,c);
}
`;

/**
 * The rotation nearest to S, from a start near it: Newton's method on tr(R^T S), which the nearest rotation maximises.
 * With M = R^T S, the step solves (tr(M) I - sym(M)) w = axial(M); it converges quadratically, also where S mirrors.
 */
export const POLAR = `
mat3 polar(mat3 S,mat3 R){
  for(int i=0;i<8;i++){
    mat3 M=transpose(R)*S;
    float t=M[0][0]+M[1][1]+M[2][2];
    vec3 a=vec3(M[1][2]-M[2][1],M[2][0]-M[0][2],M[0][1]-M[1][0]);
    mat3 H=mat3(t)-.5*(M+transpose(M));
    float d=determinant(H);
    vec3 w=t>0.&&d>1e-6*t*t*t?inverse(H)*a:a/(abs(t)+1e-12);
    float l=length(w);
    if(l>1.)w/=l;
    R=R*toMatrix(normalize(vec4(1.,w*.5)));
    // The next step would be about the square of this one.
    if(l<1e-4)break;
  }
  return R;
}
/** An orthonormal frame from two directions: n, then what of t is square to it. */
mat3 frameOf(vec3 n,vec3 t){
  float a=length(n);
  n=a>1e-12?n/a:vec3(0,0,1);
  t-=n*dot(n,t);
  float b=length(t);
  if(b<1e-12){t=abs(n.x)<.9?vec3(1,0,0):vec3(0,1,0);t-=n*dot(n,t);b=length(t);}
  t/=b;
  return mat3(n,t,cross(n,t));
}
`;
