using System;

namespace Flameport
{
    /// <summary>Real spherical harmonics as 3DGS orders and scales them, degrees 0 to 3
    /// (`formats/spherical_harmonics.py`).</summary>
    public static class SphericalHarmonics
    {
        public const double C0 = 0.28209479177387814;
        private const double C1 = 0.4886025119029199;

        /// <summary>Write the values of the functions of degree 1 and up, (degree + 1)^2 - 1 of them, at a unit
        /// direction.</summary>
        public static void Basis(double x, double y, double z, int degree, Span<double> values)
        {
            if (degree < 1) return;
            values[0] = -C1 * y;
            values[1] = C1 * z;
            values[2] = -C1 * x;
            if (degree < 2) return;
            double xx = x * x, yy = y * y, zz = z * z;
            values[3] = 1.0925484305920792 * x * y;
            values[4] = -1.0925484305920792 * y * z;
            values[5] = 0.31539156525252005 * (2 * zz - xx - yy);
            values[6] = -1.0925484305920792 * x * z;
            values[7] = 0.5462742152960396 * (xx - yy);
            if (degree < 3) return;
            values[8] = -0.5900435899266435 * y * (3 * xx - yy);
            values[9] = 2.890611442640554 * x * y * z;
            values[10] = -0.4570457994644658 * y * (4 * zz - xx - yy);
            values[11] = 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy);
            values[12] = -0.4570457994644658 * x * (4 * zz - xx - yy);
            values[13] = 1.445305721320277 * z * (xx - yy);
            values[14] = -0.5900435899266435 * x * (xx - 3 * yy);
        }

        /// <summary>
        /// Add what degrees 1 and up say to <paramref name="rgb"/> (0.5 + C0 DC). <paramref name="sh"/> holds one
        /// Gaussian's coefficients,
        /// DC first; the direction is unit, from the camera to the Gaussian, in the axes of the layer's SH.
        /// </summary>
        public static void Add(ReadOnlySpan<float> sh, int degree, double x, double y, double z, Span<double> rgb)
        {
            Span<double> basis = stackalloc double[15];
            Basis(x, y, z, degree, basis);
            int count = (degree + 1) * (degree + 1) - 1;
            for (int k = 0; k < count; k++)
            {
                for (int c = 0; c < 3; c++) rgb[c] += basis[k] * sh[3 * (k + 1) + c];
            }
        }
    }
}
