// Drawing (formats.render): one triangle around each ellipse, back to front, premultiplied "over".
//
// Two ways. Exact: into a half-float target that holds display sRGB (_Linear = 0), which Composite then puts onto the camera's
// target. Direct: onto the camera's target; in a project with linear colours (_Linear = 1) every Gaussian's colour is converted
// first, so that what is half transparent is blended otherwise than it was trained.
#ifndef FLAMEPORT_DRAW
#define FLAMEPORT_DRAW

#include "color.hlsl"

// FROM_TEXTURE: for devices without buffers in shaders, where the processor wrote the ellipses into a texture, in order.
#ifdef FROM_TEXTURE
#define ELLIPSES_WIDE 2048
Texture2D<float4> _EllipseTexels;
float4 ellipseRow(uint i) { return _EllipseTexels.Load(int3(i % ELLIPSES_WIDE, i / ELLIPSES_WIDE, 0)); }
uint gaussianAt(uint k) { return k; }
#else
StructuredBuffer<uint> _Order;
StructuredBuffer<float4> _EllipsesIn;
float4 ellipseRow(uint i) { return _EllipsesIn[i]; }
uint gaussianAt(uint k) { return _Order[k]; }
#endif
float4 _Picture; // width and height in pixels; the sign of y in clip space (-1 where the projection is flipped); spare
float4 _Depth;   // clip-space z = x * view depth + y; w is the view depth
float _Linear;   // 1: colours become linear before they are blended

struct Corner
{
    float4 position : SV_POSITION;
    float2 q : TEXCOORD0;
    nointerpolation float4 color : COLOR0; // colour, log2 of the opacity
};

Corner cornerOf(uint v)
{
    uint i = 3 * gaussianAt(v / 3);
    float4 place = ellipseRow(i), axes = ellipseRow(i + 1), paint = ellipseRow(i + 2);
    uint k = v % 3;
    // A triangle whose inner circle has radius 1.
    float2 c = k == 0 ? float2(-1.7320508, -1) : (k == 1 ? float2(1.7320508, -1) : float2(0, 2));
    float2 at = (place.xy + c.x * axes.xy + c.y * axes.zw) * 2 / _Picture.xy - 1;
    float depth = place.w;
    Corner o;
    // The same w at all corners: whatever is interpolated stays linear on the picture. Reach 0: outside of everything.
    o.position = float4(at.x * depth, -at.y * _Picture.z * depth, _Depth.x * depth + _Depth.y, depth);
    if (place.z <= 0)
        o.position = float4(2, 2, 2, 1);
    // Base two, so that the fragment has nothing to scale: sqrt(log2(e) / 2).
    o.q = c * (place.z * 0.84932180);
    o.color = float4(_Linear > 0 ? toLinear(paint.xyz) : paint.xyz, log2(max(paint.w, 1e-30)));
    return o;
}

// Below 1/255 nothing is added; no discard, which would cost early tests and help nothing.
float4 paintOf(float2 q, float4 color)
{
    float a = min(0.99, exp2(color.w - dot(q, q)));
    a *= step(1.0 / 255.0, a);
    return float4(color.xyz * a, a);
}

// A triangle over the whole target, at a depth in clip space.
float4 wholeTarget(uint v, float depth) { return float4(v == 1 ? 3 : -1, v == 2 ? 3 : -1, depth, 1); }

// Premultiplied display sRGB as the camera's target wants it.
float4 composited(float4 picture)
{
    float a = saturate(picture.w);
    float3 c = saturate(picture.xyz / max(a, 1e-6));
    return float4((_Linear > 0 ? toLinear(c) : c) * a, a);
}

#endif
