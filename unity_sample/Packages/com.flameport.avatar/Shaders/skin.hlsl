// Gaussians that move like vertices (formats.deform.bind_to_skin): with a head vertex's tables, or with their own.
#ifndef FLAMEPORT_SKIN
#define FLAMEPORT_SKIN

#include "rings.hlsl"
#include "splat.hlsl"

#define ROTATION_SKIN 1
#define ROTATION_SURFACE 2

void bindToSkin(uint i, inout Splat s)
{
    Rows m;
    if (kindOf() == KIND_OWN_SKIN)
    {
        m = blended(i);
        s.mean = posedBy(m, s.mean, displacement(i));
    }
    else
    {
        uint row = field(14).w + 3 * s.index;
        m.x = _Posed[row];
        m.y = _Posed[row + 1];
        m.z = _Posed[row + 2];
        // The vertex and what lies beside it at rest, through the same matrix.
        s.mean = posedVertex(s.index) + mul(linearPart(m), s.mean - floatTexel(field(15).y + s.index).xyz);
    }
    uint rotation = field(8).w;
    if (rotation == ROTATION_SKIN)
    {
        float3x3 B = linearPart(m);
        s.quat = multiply(fromMatrix(polar(B, frameOf(float3(B[0][0], B[1][0], B[2][0]), float3(B[0][1], B[1][1], B[2][1])))),
                          s.quat);
    }
    else if (rotation == ROTATION_SURFACE)
        s.quat = multiply(_Posed[field(13).z + s.index], s.quat);
}

#endif
