// How each head vertex's surroundings turned from a canonical head to the posed one, for a layer that needs it: quaternions to
// the layer's rows of _Posed, and normals after them where its frame is `vertex`.
//
// `surface`: the polar rotation of the one-ring (formats.deform.surface_rotations; Sorkine, Alexa 2007, eq. 5, with a normal
// term). `vertex`: sums of the faces' rotations and normals weighted by area (formats.deform.vertex_rotations, vertex_normals;
// SplattingAvatar, section 3.2).
#ifndef FLAMEPORT_RINGS
#define FLAMEPORT_RINGS

#include "head.hlsl"
#include "triangles.hlsl"

StructuredBuffer<uint> _Rings; // where each vertex's faces begin, and where the last one's end; then faces

float3 posedVertex(uint v) { return _Posed[field(14).z + v].xyz; }
float3 canonicalVertex(uint v) { return floatTexel(field(7).w + v).xyz; }
uint3 faceAt(uint f) { return _Texels[field(14).y + f].xyz; }

float4 surfaceTurn(uint i, uint first, uint end)
{
    // Millimetres, so that products of small edges stay far from float32's floor.
    float3 v = canonicalVertex(i), w = posedVertex(i);
    float3 n = float3(0, 0, 0), m = float3(0, 0, 0), e0 = float3(0, 0, 0), f0 = float3(0, 0, 0);
    float3x3 S = float3x3(0, 0, 0, 0, 0, 0, 0, 0, 0);
    float square = 0;
    for (uint k = first; k < end; k++)
    {
        uint3 f = faceAt(_Rings[k]);
        uint2 o = f.x == i ? f.yz : (f.y == i ? f.zx : f.xy);
        float3 a = 1e3 * (canonicalVertex(o.x) - v), b = 1e3 * (canonicalVertex(o.y) - v);
        float3 c = 1e3 * (posedVertex(o.x) - w), d = 1e3 * (posedVertex(o.y) - w);
        S += outer(c, a) + outer(d, b);
        square += dot(a, a) + dot(b, b);
        n += cross(a, b);
        m += cross(c, d);
        if (dot(a, a) > dot(e0, e0))
        {
            e0 = a;
            f0 = c;
        }
    }
    float4 turn = float4(1, 0, 0, 0);
    if (square > 0)
    {
        n = unit3(n, 1e-14);
        m = unit3(m, 1e-14);
        S += outer(0.5 * square * m, n);
        turn = fromMatrix(polar(S * (1 / square), mul(frameOf(m, f0), transpose(frameOf(n, e0)))));
    }
    return turn;
}

void vertexTurn(uint i, uint first, uint end, float least, out float4 turn, out float3 normal)
{
    float4 sum = float4(0, 0, 0, 0);
    float3 around = float3(0, 0, 0);
    for (uint k = first; k < end; k++)
    {
        uint3 f = faceAt(_Rings[k]);
        float3 p = posedVertex(f.x), q = posedVertex(f.y), r = posedVertex(f.z);
        FaceFrame there = triangleOf(canonicalVertex(f.x), canonicalVertex(f.y), canonicalVertex(f.z));
        FaceFrame here = triangleOf(p, q, r);
        sum += fromMatrix(mul(here.axes, transpose(there.axes))) * (0.5 * there.doubleArea);
        around += cross(q - p, r - p);
    }
    turn = unit4(sum, least);
    normal = unit3(around, least);
}

void turnVertex(uint i)
{
    if (i >= field(14).x)
        return;
    uint first = _Rings[i], end = _Rings[i + 1];
    uint4 rows = field(13);
    if (kindOf() == KIND_FACE)
    {
        float4 turn;
        float3 normal;
        vertexTurn(i, first, end, max(asfloat(field(8).z), 1e-20), turn, normal);
        _Posed[rows.z + i] = turn;
        _Posed[rows.w + i] = float4(normal, 0);
    }
    else
        _Posed[rows.z + i] = surfaceTurn(i, first, end);
}

#endif
