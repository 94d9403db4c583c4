// Linear dynamics: delta = sum_k T[k] c_k per channel (formats.deform.linear_deltas, deform_splats). Or a network's deltas, which
// the processor put into _Frame: four rows a Gaussian.
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

// Add what coefficient c moves; its numbers begin at `n`.
void addDeltas(inout Deltas d, float c, uint row, uint n, uint moves, bool exact)
{
    if ((moves & MOVES_MEANS) != 0)
    {
        d.mean += c * rowNumbers3(row, n, exact);
        n += 3;
    }
    if ((moves & MOVES_ROTATIONS) != 0)
    {
        d.rotvec += c * rowNumbers3(row, n, exact);
        n += 3;
    }
    if ((moves & MOVES_SCALES) != 0)
    {
        d.logScale += c * rowNumbers3(row, n, exact);
        n += 3;
    }
    if ((moves & MOVES_OPACITIES) != 0)
    {
        d.logit += c * rowNumber(row, n, exact);
        n += 1;
    }
    if ((moves & MOVES_COLORS) != 0)
        d.rgb += c * rowNumbers3(row, n, exact);
}

Deltas deltasAt(uint i)
{
    Deltas d;
    d.mean = d.rotvec = d.logScale = d.rgb = float3(0, 0, 0);
    d.logit = 0;
    uint4 how = field(12); // place, rank, channels, texels a Gaussian
    if (how.x == NONE)
    {
        uint at = field(13).x + 4 * i;
        float4 first = _Frame[at];
        d.mean = first.xyz;
        d.logit = first.w;
        d.rotvec = _Frame[at + 1].xyz;
        d.logScale = _Frame[at + 2].xyz;
        d.rgb = _Frame[at + 3].xyz;
        return d;
    }
    uint row = how.x + i * how.w;
    uint width = 3 * countbits(how.z) - ((how.z & MOVES_OPACITIES) != 0 ? 2u : 0u); // numbers of a coefficient
    for (uint k = 0; k < how.y; k++)
    {
        float4 four = _Frame[field(13).x + k / 4];
        float2 two = (k & 2) == 0 ? four.xy : four.zw;
        float c = (k & 1) == 0 ? two.x : two.y;
        // No `continue`: with it, one compiler's code moved Gaussians of other bindings to wrong places on the CPU driver.
        if (c != 0)
            addDeltas(d, c, row, k * width, how.z, isExact());
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
