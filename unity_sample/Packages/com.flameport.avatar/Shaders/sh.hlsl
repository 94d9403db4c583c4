// Spherical harmonics of degree 1 to 3 without the DC part (formats.spherical_harmonics.evaluate_sh), for a unit direction
// from the camera to the Gaussian, in the frame that the coefficients are in.
#ifndef FLAMEPORT_SH
#define FLAMEPORT_SH

#include "texels.hlsl"

float3 coefficientAt(uint row, uint k, bool exact) { return rowNumbers3(row, 3 * k - 3, exact); }

// `row`: the Gaussian's texels; coefficient by coefficient, r, g, b.
float3 harmonics(uint row, uint degree, bool exact, float3 d)
{
#define SH(k) coefficientAt(row, k, exact)
    float x = d.x, y = d.y, z = d.z;
    float xx = x * x, yy = y * y, zz = z * z;
    float3 s = 0.4886025119029199 * (-y * SH(1) + z * SH(2) - x * SH(3));
    if (degree > 1)
        s += 1.0925484305920792 * (x * y * SH(4) - y * z * SH(5) - x * z * SH(7))
           + 0.31539156525252005 * (2 * zz - xx - yy) * SH(6) + 0.5462742152960396 * (xx - yy) * SH(8);
    if (degree > 2)
        s += -0.5900435899266435 * (y * (3 * xx - yy) * SH(9) + x * (xx - 3 * yy) * SH(15))
           + 2.890611442640554 * x * y * z * SH(10)
           - 0.4570457994644658 * (4 * zz - xx - yy) * (y * SH(11) + x * SH(13))
           + 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy) * SH(12)
           + 1.445305721320277 * z * (xx - yy) * SH(14);
    return s;
#undef SH
}

#endif
