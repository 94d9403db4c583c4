// Gaussians on triangles: every value of FaceBinding (formats.deform.bind_to_faces, which has the formulas and sources).
#ifndef FLAMEPORT_FRAMES
#define FLAMEPORT_FRAMES

#include "rings.hlsl"
#include "splat.hlsl"

#define FRAME_FACE 0
#define FRAME_VERTEX 1
#define FRAME_NONE 2
#define FRAME_CORNER 3
#define FRAME_ROOT 4
#define SCALE_NONE 0
#define SCALE_EDGE_HEIGHT 1
#define OFFSET_DOUBLE_AREA 2
#define SPLAT_LOG_AREA_RATIO 2
#define SPLAT_LENGTH 3

// The quaternion of the axes [d, n x d, n] with d = first, as it is, and n = unit(first x second).
float4 cornerQuat(float3 d, float3 n) { return fromAxes(columns(d, cross(n, d), n)); }

void bindToFace(uint i, inout Splat s)
{
    uint4 how = field(7);
    uint3 f = faceAt(s.index);
    float3 b = barycentricAt(i);
    float3 v0 = posedVertex(f.x), v1 = posedVertex(f.y), v2 = posedVertex(f.z);
    float3 e = v1 - v0, side = v2 - v0;
    FaceFrame here = triangleOf(v0, v1, v2);
    float3x3 root = rootRotation();
    float gain = 1;
    if (how.y == SCALE_EDGE_HEIGHT)
        gain = here.size;
    else if (how.y == OFFSET_DOUBLE_AREA)
        gain = here.doubleArea;
    float3 offset = gain * s.mean;
    float3 at = b.x * v0 + b.y * v1 + b.z * v2;
    if (how.x == FRAME_FACE)
    {
        s.mean = at + mul(here.axes, offset);
        s.quat = multiply(fromMatrix(here.axes), s.quat);
    }
    else if (how.x == FRAME_VERTEX)
    {
        uint4 rows = field(13);
        float3 n = b.x * _Posed[rows.w + f.x].xyz + b.y * _Posed[rows.w + f.y].xyz + b.z * _Posed[rows.w + f.z].xyz;
        float4 q = b.x * _Posed[rows.z + f.x] + b.y * _Posed[rows.z + f.y] + b.z * _Posed[rows.z + f.z];
        s.mean = at + offset.y * unit3(n, 1e-20);
        s.quat = multiply(unit4(q, 1e-20), s.quat);
    }
    else if (how.x == FRAME_NONE)
        s.mean = at + offset;
    else
    {
        s.mean = at + mul(root, offset);
        if (how.x == FRAME_CORNER)
        {
            float3x3 back = transpose(root);
            // From the point: first corner -(b1 e + b2 side); first x second = b2 e x side, without cancellation.
            float3 n = unit3(b.z * cross(e, side), 1e-20);
            s.quat = s.quat + cornerQuat(mul(back, -b.y * e - b.z * side), mul(back, n));
        }
        s.quat = multiply(fromMatrix(root), s.quat);
    }
    if (how.z == SCALE_EDGE_HEIGHT)
        s.scale *= here.size;
    else if (how.z == SPLAT_LENGTH) // a strand's segment: as long as its ends are apart
        s.scale.x *= gain;
    else if (how.z == SPLAT_LOG_AREA_RATIO)
    {
        float unit = asfloat(field(8).x), least = asfloat(field(8).y);
        FaceFrame there = triangleOf(canonicalVertex(f.x), canonicalVertex(f.y), canonicalVertex(f.z));
        float ratio = (here.doubleArea * 0.5 + least) / (there.doubleArea * 0.5 + least);
        s.scale = unit * exp(log(max(s.scale / unit, 1e-30)) * ratio);
    }
}

#endif
