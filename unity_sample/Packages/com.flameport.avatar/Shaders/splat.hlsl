// A Gaussian's own numbers out of the tables, and what passes between the files that pose it.
#ifndef FLAMEPORT_SPLAT
#define FLAMEPORT_SPLAT

#include "records.hlsl"
#include "texels.hlsl"

struct Splat
{
    float3 mean;
    float4 quat;  // w x y z
    float3 scale; // linear
    float logit;
    float3 rgb;   // display sRGB of the DC coefficient
    uint index;   // a face or a vertex of the head
};

Splat splatAt(uint i)
{
    uint4 at = field(1);
    Splat s;
    if (isExact())
    {
        uint4 a = _Texels[at.x + i];
        float4 shape = floatTexel(at.z + i);
        s.mean = asfloat(a.xyz);
        s.index = a.w;
        s.quat = floatTexel(at.y + i);
        s.scale = exp(shape.xyz);
        s.logit = shape.w;
        s.rgb = floatTexel(at.w + i).xyz;
    }
    else
    {
        uint4 a = _Texels[at.x + i], b = _Texels[at.y + i];
        float2 xy = halves(b.x), zo = halves(b.y);
        s.mean = asfloat(field(2).xyz) + asfloat(field(3).xyz) * float3(unorms16(a.x), unorms16(a.y).x);
        s.quat = float4(snorm16(a.z & 0xffff), snorm16(a.z >> 16), snorm16(a.w & 0xffff), snorm16(a.w >> 16));
        s.scale = exp(float3(xy, zo.x));
        s.logit = zo.y;
        s.rgb = asfloat(field(4).xyz) + asfloat(field(5).xyz) * bytesToRgb(b.z);
        s.index = b.w;
    }
    s.quat = s.quat / max(length(s.quat), 1e-20);
    return s;
}

// Weights of a Gaussian's three corners.
float3 barycentricAt(uint i)
{
    uint place = field(2).w;
    float2 b;
    if (isExact())
    {
        float4 pair = floatTexel(place + i / 2);
        b = (i & 1) == 0 ? pair.xy : pair.zw;
    }
    else
        b = asfloat(field(6).xy) + asfloat(field(6).zw) * unorms16(wordOf(_Texels[place + i / 4], i % 4));
    return float3(b, 1 - b.x - b.y);
}

#endif
