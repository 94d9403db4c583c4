// Triangle frames (formats.deform.triangle_frames; GaussianAvatars, section 3.1).
#ifndef FLAMEPORT_TRIANGLES
#define FLAMEPORT_TRIANGLES

#include "rotations.hlsl"

struct FaceFrame
{
    float3x3 axes; // columns: unit first edge, unit normal, their cross product
    float size;    // (|edge| + height) / 2
    float doubleArea;
};

FaceFrame triangleOf(float3 v0, float3 v1, float3 v2)
{
    float3 e = v1 - v0, s = v2 - v0;
    float l = length(e);
    float3 a = float3(1, 0, 0);
    if (l > 1e-12)
        a = e / l;
    float3 n = cross(a, s);
    float h = length(n);
    float3 other = abs(a.y) < 0.9 ? float3(0, 1, 0) : float3(0, 0, 1);
    float3 b = normalize(other - a * dot(a, other));
    if (h > 1e-12)
        b = n / h;
    float3 c = cross(a, b);
    FaceFrame t;
    t.axes = columns(a, b, c);
    t.size = (l + abs(dot(c, s))) * 0.5;
    t.doubleArea = l * h;
    return t;
}

#endif
