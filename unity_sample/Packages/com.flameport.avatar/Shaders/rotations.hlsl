// Rotations. Quaternions are w, x, y, z in .x and .yzw. Matrices are values only and never lie in buffers: compilers differ in
// how they store them. float3x3(a, b, c) has rows a, b, c.
#ifndef FLAMEPORT_ROTATIONS
#define FLAMEPORT_ROTATIONS

float3x3 columns(float3 a, float3 b, float3 c) { return transpose(float3x3(a, b, c)); }

float3x3 outer(float3 a, float3 b) { return float3x3(a.x * b, a.y * b, a.z * b); }

// Unit length; tiny vectors stay tiny.
float3 unit3(float3 v, float least) { return v / max(length(v), least); }
float4 unit4(float4 v, float least) { return v / max(length(v), least); }

float3x3 toMatrix(float4 q)
{
    float w = q.x, x = q.y, y = q.z, z = q.w;
    return float3x3(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                    2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                    2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y));
}

// Hamilton's product: first b, then a.
float4 multiply(float4 a, float4 b)
{
    return float4(a.x * b.x - dot(a.yzw, b.yzw), a.x * b.yzw + b.x * a.yzw + cross(a.yzw, b.yzw));
}

// Series below a radian or so: drivers' own sine and cosine may be good to 1e-4 only.
float4 fromAxisAngle(float3 r)
{
    float h = dot(r, r) * 0.25;
    float cosine = 1 - h * 0.5 * (1 - h / 12 * (1 - h / 30 * (1 - h / 56 * (1 - h / 90))));
    float sinc = 0.5 * (1 - h / 6 * (1 - h / 20 * (1 - h / 42 * (1 - h / 72))));
    if (h > 1.5)
    {
        float a = sqrt(h);
        cosine = cos(a);
        sinc = 0.5 * sin(a) / a;
    }
    return float4(cosine, r * sinc);
}

// Shepperd's branches: 4 q_i q of the i whose square, own = 4 q_i^2, is the largest.
float4 candidate(float3x3 m, out float own)
{
    float3 d = float3(m[0][0], m[1][1], m[2][2]);
    float t = d.x + d.y + d.z;
    float3 odd = float3(m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]);
    float xy = m[1][0] + m[0][1], xz = m[2][0] + m[0][2], yz = m[2][1] + m[1][2];
    float most = max(d.x, max(d.y, d.z));
    own = 1 + 2 * most - t;
    float4 q = float4(odd.z, xz, yz, own);
    if (t >= most)
    {
        own = 1 + t;
        q = float4(own, odd);
    }
    else if (d.x >= d.y && d.x >= d.z)
        q = float4(odd.x, own, xy, xz);
    else if (d.y >= d.z)
        q = float4(odd.y, xy, own, yz);
    return q;
}

// Unit, w >= 0 (formats.rotations.matrix_to_quat).
float4 fromMatrix(float3x3 m)
{
    float own;
    float4 q = normalize(candidate(m, own));
    return q.x < 0 ? -q : q;
}

// Not unit: what the conversion makes of axes that are no rotation (formats.deform.corner_quats).
float4 fromAxes(float3x3 m)
{
    float own;
    float4 q = candidate(m, own);
    return q / (2 * max(sqrt(own), 0.1));
}

// The rotation nearest to S, from a start near it: Newton's method on tr(R^T S), which the nearest rotation maximises. With
// M = R^T S, the step solves (tr(M) I - sym(M)) w = axial(M); it converges quadratically, also where S mirrors.
float3x3 polar(float3x3 S, float3x3 start)
{
    float3x3 R = start;
    bool done = false;
    for (uint i = 0; i < 8 && !done; i++)
    {
        float3x3 M = mul(transpose(R), S);
        float t = M[0][0] + M[1][1] + M[2][2];
        float3 a = float3(M[2][1] - M[1][2], M[0][2] - M[2][0], M[1][0] - M[0][1]);
        float3x3 H = float3x3(t, 0, 0, 0, t, 0, 0, 0, t) - 0.5 * (M + transpose(M));
        float d = dot(H[0], cross(H[1], H[2]));
        float3 w = a / (abs(t) + 1e-12);
        if (t > 0 && d > 1e-6 * t * t * t)
            w = float3(dot(cross(H[1], H[2]), a), dot(cross(H[2], H[0]), a), dot(cross(H[0], H[1]), a)) / d;
        float l = length(w);
        if (l > 1)
            w /= l;
        R = mul(R, toMatrix(normalize(float4(1, w * 0.5))));
        done = l < 1e-6;
    }
    return R;
}

// An orthonormal frame from two directions, as columns: n, then what of t is square to it, then their cross product.
float3x3 frameOf(float3 first, float3 second)
{
    float a = length(first);
    float3 n = float3(0, 0, 1);
    if (a > 1e-12)
        n = first / a;
    float3 t = second - n * dot(n, second);
    float b = length(t);
    if (b < 1e-12)
    {
        t = abs(n.x) < 0.9 ? float3(1, 0, 0) : float3(0, 1, 0);
        t -= n * dot(n, t);
        b = length(t);
    }
    t /= b;
    return columns(n, t, cross(n, t));
}

#endif
