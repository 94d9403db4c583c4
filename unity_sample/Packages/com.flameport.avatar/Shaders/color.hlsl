// Display sRGB to linear and back (IEC 61966-2-1). Avatars are trained, and blended, in display sRGB.
#ifndef FLAMEPORT_COLOR
#define FLAMEPORT_COLOR

float3 toLinear(float3 c)
{
    float3 curve = pow(max((c + 0.055) / 1.055, 0), 2.4);
    return float3(c.x <= 0.04045 ? c.x / 12.92 : curve.x, c.y <= 0.04045 ? c.y / 12.92 : curve.y,
                  c.z <= 0.04045 ? c.z / 12.92 : curve.z);
}

#endif
