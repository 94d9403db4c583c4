// A posed Gaussian as an ellipse on a camera's picture (formats.render.project), and its key in the depth order.
// Three rows of _Ellipses: mean in pixels, reach in standard deviations, view depth | the two axes in pixels, `reach` long |
// colour in display sRGB, opacity. What is not drawn has reach 0 and the last key.
#ifndef FLAMEPORT_PROJECT
#define FLAMEPORT_PROJECT

#include "moment.hlsl"
#include "records.hlsl"
#include "sh.hlsl"

StructuredBuffer<float4> _WorldIn; // _World, read
RWStructuredBuffer<float4> _Ellipses;
RWStructuredBuffer<uint> _Keys; // Gaussian n of all layers has key _Total - 1 - n: see order.hlsl
uint _Total;

#define LOW_PASS 0.3
#define LEAST_ALPHA (1.0 / 255.0)

// Far before near. 16 bits: evenly over the depths that _Frame[5] names; what lies outside is as its border.
uint keyOf(float depth)
{
    float2 range = _Frame[5].zw;
    if (range.y > 0)
        return 65534u - (uint)clamp(floor((depth - range.x) * range.y), 0.0, 65534.0);
    uint bits = asuint(depth); // positive floats count upwards as whole numbers
    return ~bits - 1u;
}

void hide(uint n)
{
    _Ellipses[3 * n] = _Ellipses[3 * n + 1] = _Ellipses[3 * n + 2] = float4(0, 0, 0, 0);
    _Keys[_Total - 1 - n] = _Frame[5].w > 0 ? 0xffffu : 0xffffffffu;
}

void projectSplat(uint i)
{
    if (i >= countOf())
        return;
    uint n = firstOf() + i;
    float4 place = _WorldIn[4 * n];
    float3 center = place.xyz, scale = _WorldIn[4 * n + 2].xyz, rgb = _WorldIn[4 * n + 3].xyz;
    float opacity = place.w, near = _Frame[3].w;
    float3x3 V = viewRotation();
    float3 t = mul(V, center) + viewTranslation();
    if (!(t.z > near) || opacity < LEAST_ALPHA)
    {
        hide(n);
        return;
    }
    float4 k = _Frame[4];
    float2 picture = _Frame[5].xy, margin = 0.15 * picture;
    float2 slope = clamp(t.xy / t.z, -(k.zw + margin) / k.xy, (picture - k.zw + margin) / k.xy);
    float3 j0 = float3(k.x / t.z, 0, -k.x * slope.x / t.z), j1 = float3(0, k.y / t.z, -k.y * slope.y / t.z);
    // Rows of J W R diag(s).
    float3x3 R = toMatrix(_WorldIn[4 * n + 1]);
    float3 g = mul(mul(j0, V), R) * scale, h = mul(mul(j1, V), R) * scale;
    float xx = dot(g, g) + LOW_PASS, xy = dot(g, h), yy = dot(h, h) + LOW_PASS;
    // The determinant by Lagrange's identity, which loses nothing for needle-thin ellipses.
    float3 gh = cross(g, h);
    float det = dot(gh, gh) + LOW_PASS * (dot(g, g) + dot(h, h)) + LOW_PASS * LOW_PASS;
    float middle = 0.5 * (xx - yy), r = sqrt(middle * middle + xy * xy), large = 0.5 * (xx + yy) + r, small = det / large;
    float2 e = float2(1, 0);
    if (r > 1e-9 * large)
        e = normalize(middle >= 0 ? float2(middle + r, xy) : float2(xy, r - middle));
    // The ellipse where alpha falls to 1/255.
    float reach = sqrt(2 * log(max(255 * opacity, 1)));
    float2 mean = k.xy * t.xy / t.z + k.zw, box = reach * sqrt(float2(xx, yy));
    if (any(mean - box > picture) || any(mean + box < float2(0, 0)))
    {
        hide(n);
        return;
    }
    uint degree = field(5).w;
    if (degree > 0)
    {
        float3 direction = unit3(center - _Frame[3].xyz, 1e-20);
        if (field(11).z == 1) // coefficients in the head's axes
            direction = mul(transpose(rootRotation()), direction);
        rgb += harmonics(field(4).w + i * field(11).w, degree, isExact(), direction);
    }
    _Ellipses[3 * n] = float4(mean, reach, t.z);
    _Ellipses[3 * n + 1] = float4(reach * sqrt(large) * e, reach * sqrt(small) * float2(-e.y, e.x));
    _Ellipses[3 * n + 2] = float4(max(rgb, 0), opacity);
    _Keys[_Total - 1 - n] = keyOf(t.z);
}

#endif
