// Linear dynamics: delta = sum_k T[k] c_k per channel (formats.deform.linear_deltas, deform_splats).
#ifndef FLAMEPORT_DYNAMICS
#define FLAMEPORT_DYNAMICS

#include "moment.hlsl"
#include "splat.hlsl"

#define MOVES_MEANS 1
#define MOVES_ROTATIONS 2
#define MOVES_SCALES 4
#define MOVES_OPACITIES 8
#define MOVES_COLORS 16

struct Deltas
{
    float3 mean;
    float3 rotvec;
    float3 logScale;
    float logit;
    float3 rgb;
};

Deltas deltasAt(uint i)
{
    Deltas d;
    d.mean = d.rotvec = d.logScale = d.rgb = float3(0, 0, 0);
    d.logit = 0;
    uint4 how = field(12); // place, rank, channels, texels a Gaussian
    bool exact = isExact();
    uint row = how.x + i * how.w, n = 0;
    for (uint k = 0; k < how.y; k++)
    {
        float4 four = _Frame[field(13).x + k / 4];
        float2 two = (k & 2) == 0 ? four.xy : four.zw;
        float c = (k & 1) == 0 ? two.x : two.y;
        if ((how.z & MOVES_MEANS) != 0)
        {
            d.mean += c * rowNumbers3(row, n, exact);
            n += 3;
        }
        if ((how.z & MOVES_ROTATIONS) != 0)
        {
            d.rotvec += c * rowNumbers3(row, n, exact);
            n += 3;
        }
        if ((how.z & MOVES_SCALES) != 0)
        {
            d.logScale += c * rowNumbers3(row, n, exact);
            n += 3;
        }
        if ((how.z & MOVES_OPACITIES) != 0)
        {
            d.logit += c * rowNumber(row, n, exact);
            n += 1;
        }
        if ((how.z & MOVES_COLORS) != 0)
        {
            d.rgb += c * rowNumbers3(row, n, exact);
            n += 3;
        }
    }
    return d;
}

void applyCanonical(inout Splat s, Deltas d)
{
    s.mean += d.mean;
    s.quat = multiply(s.quat, fromAxisAngle(d.rotvec));
    s.scale *= exp(d.logScale);
}

void applyPosed(inout Splat s, Deltas d)
{
    s.mean += d.mean;
    s.quat = multiply(fromAxisAngle(d.rotvec), s.quat);
    s.scale *= exp(d.logScale);
}

#endif
