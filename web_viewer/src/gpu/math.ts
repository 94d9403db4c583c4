/**
 * WGSL that several kernels share: the twin of `gl/shader_math.ts`, held to the same golden files. Matrices are columns.
 * Quaternions are wxyz in .x .yzw order.
 */

export const QUATERNIONS = `
fn toMatrix(q: vec4f) -> mat3x3f {
  let w = q.x; let x = q.y; let y = q.z; let z = q.w;
  return mat3x3f(1. - 2. * (y * y + z * z), 2. * (x * y + w * z), 2. * (x * z - w * y),
    2. * (x * y - w * z), 1. - 2. * (x * x + z * z), 2. * (y * z + w * x),
    2. * (x * z + w * y), 2. * (y * z - w * x), 1. - 2. * (x * x + y * y));
}

/** Hamilton's product: first b, then a. */
fn product(a: vec4f, b: vec4f) -> vec4f {
  return vec4f(a.x * b.x - dot(a.yzw, b.yzw), a.x * b.yzw + b.x * a.yzw + cross(a.yzw, b.yzw));
}

/** Series below a radian or so: drivers' own sine and cosine may be good to 1e-4 only. */
fn fromAxisAngle(r: vec3f) -> vec4f {
  let h = dot(r, r) * .25;
  if (h > 1.5) {
    let a = sqrt(h);
    return vec4f(cos(a), r * (.5 * sin(a) / a));
  }
  return vec4f(1. - h * .5 * (1. - h / 12. * (1. - h / 30. * (1. - h / 56. * (1. - h / 90.)))),
    r * .5 * (1. - h / 6. * (1. - h / 20. * (1. - h / 42. * (1. - h / 72.)))));
}

struct Candidate { q: vec4f, own: f32 }

/** Shepperd's branches: 4 q_i q of the i whose square, own = 4 q_i^2, is the largest. */
fn candidate(m: mat3x3f) -> Candidate {
  let d = vec3f(m[0][0], m[1][1], m[2][2]);
  let t = d.x + d.y + d.z;
  let odd = vec3f(m[1][2] - m[2][1], m[2][0] - m[0][2], m[0][1] - m[1][0]);
  let xy = m[0][1] + m[1][0];
  let xz = m[0][2] + m[2][0];
  let yz = m[1][2] + m[2][1];
  if (t >= max(d.x, max(d.y, d.z))) { return Candidate(vec4f(1. + t, odd), 1. + t); }
  let own = 1. + 2. * max(d.x, max(d.y, d.z)) - t;
  if (d.x >= d.y && d.x >= d.z) { return Candidate(vec4f(odd.x, own, xy, xz), own); }
  if (d.y >= d.z) { return Candidate(vec4f(odd.y, xy, own, yz), own); }
  return Candidate(vec4f(odd.z, xz, yz, own), own);
}

/** Unit, w >= 0. */
fn fromMatrix(m: mat3x3f) -> vec4f {
  let q = normalize(candidate(m).q);
  return select(q, -q, q.x < 0.);
}

/** Not unit: what the conversion makes of axes that are no rotation (formats.deform.corner_quats). */
fn fromAxes(m: mat3x3f) -> vec4f {
  let c = candidate(m);
  return c.q / (2. * sqrt(c.own));
}
`;

export const TRIANGLES = `
struct Triangle { axes: mat3x3f, size: f32, doubleArea: f32 }

/** Columns: first edge, normal, their cross product; size k and double area (formats.deform.triangle_frames). */
fn triangle(v0: vec3f, v1: vec3f, v2: vec3f) -> Triangle {
  let e = v1 - v0;
  let s = v2 - v0;
  let l = length(e);
  var a = vec3f(1, 0, 0);
  if (l > 1e-12) { a = e / l; }
  let n = cross(a, s);
  let h = length(n);
  var b: vec3f;
  if (h > 1e-12) { b = n / h; }
  else {
    let o = select(vec3f(0, 0, 1), vec3f(0, 1, 0), abs(a.y) < .9);
    b = normalize(o - a * dot(a, o));
  }
  let c = cross(a, b);
  return Triangle(mat3x3f(a, b, c), (l + abs(dot(c, s))) * .5, l * h);
}
`;

/**
 * The rotation nearest to S, from a start near it: Newton's method on tr(R^T S), which the nearest rotation maximises.
 * With M = R^T S, the step solves (tr(M) I - sym(M)) w = axial(M); it converges quadratically, also where S mirrors.
 */
export const POLAR = `
fn polar(S: mat3x3f, start: mat3x3f) -> mat3x3f {
  var R = start;
  for (var i = 0; i < 8; i++) {
    let M = transpose(R) * S;
    let t = M[0][0] + M[1][1] + M[2][2];
    let a = vec3f(M[1][2] - M[2][1], M[2][0] - M[0][2], M[0][1] - M[1][0]);
    let H = mat3x3f(t, 0, 0, 0, t, 0, 0, 0, t) - .5 * (M + transpose(M));
    let d = determinant(H);
    var w = a / (abs(t) + 1e-12);
    if (t > 0. && d > 1e-6 * t * t * t) {
      w = vec3f(dot(cross(H[1], H[2]), a), dot(cross(H[2], H[0]), a), dot(cross(H[0], H[1]), a)) / d;
    }
    let l = length(w);
    if (l > 1.) { w /= l; }
    R = R * toMatrix(normalize(vec4f(1., w * .5)));
    if (l < 1e-6) { break; }
  }
  return R;
}

/** An orthonormal frame from two directions: n, then what of t is square to it. */
fn frameOf(first: vec3f, second: vec3f) -> mat3x3f {
  let a = length(first);
  var n = vec3f(0, 0, 1);
  if (a > 1e-12) { n = first / a; }
  var t = second - n * dot(n, second);
  var b = length(t);
  if (b < 1e-12) {
    t = select(vec3f(0, 1, 0), vec3f(1, 0, 0), abs(n.x) < .9);
    t -= n * dot(n, t);
    b = length(t);
  }
  t /= b;
  return mat3x3f(n, t, cross(n, t));
}
`;
