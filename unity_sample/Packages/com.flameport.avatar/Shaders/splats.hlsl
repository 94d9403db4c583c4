// A Gaussian posed, once for all cameras: four rows of _World. The reference is formats.deform.deform_splats.
//   mean, opacity | quaternion w x y z | scale, 0 | colour of the DC coefficient, 0
#ifndef FLAMEPORT_SPLATS
#define FLAMEPORT_SPLATS

#include "dynamics.hlsl"
#include "frames.hlsl"
#include "skin.hlsl"

RWStructuredBuffer<float4> _World;

void poseSplat(uint i)
{
    if (i >= countOf())
        return;
    Splat s = splatAt(i);
    Deltas d = deltasAt(i);
    bool canonical = field(13).y == 0, moves = field(12).y != 0;
    if (moves && canonical)
        applyCanonical(s, d);
    if (kindOf() == KIND_FACE)
        bindToFace(i, s);
    else
        bindToSkin(i, s);
    if (moves && !canonical)
        applyPosed(s, d);
    uint row = 4 * (firstOf() + i);
    _World[row] = float4(s.mean, 1 / (1 + exp(-(s.logit + d.logit))));
    _World[row + 1] = unit4(s.quat, 1e-20);
    _World[row + 2] = float4(s.scale, 0);
    _World[row + 3] = float4(s.rgb + d.rgb, 0);
}

#endif
