using System;

namespace Flameport
{
    /// <summary>The rotation nearest to a matrix: U V^T of its singular value decomposition, determinant +1.</summary>
    public static class Polar
    {
        private const int Sweeps = 12;

        /// <summary>
        /// Write the rotation nearest to row-major <paramref name="m"/> as a unit quaternion with w not negative.
        ///
        /// It is the eigenvector of the largest eigenvalue of Horn's symmetric 4 x 4 matrix (Horn 1987, J. Opt. Soc.
        /// Am. A 4, eq. 25), found
        /// by Jacobi's rotations. That gives determinant +1 whatever m is, and needs no case for flat or mirrored matrices.
        /// </summary>
        public static void Rotation(ReadOnlySpan<double> m, Span<double> q)
        {
            Span<double> n = stackalloc double[16];
            Span<double> v = stackalloc double[16];
            double wx = m[7] - m[5], wy = m[2] - m[6], wz = m[3] - m[1];
            double xy = m[3] + m[1], xz = m[6] + m[2], yz = m[7] + m[5];
            Row(n, 0, m[0] + m[4] + m[8], wx, wy, wz);
            Row(n, 1, wx, m[0] - m[4] - m[8], xy, xz);
            Row(n, 2, wy, xy, m[4] - m[0] - m[8], yz);
            Row(n, 3, wz, xz, yz, m[8] - m[0] - m[4]);
            for (int i = 0; i < 16; i++) v[i] = i % 5 == 0 ? 1 : 0;
            for (int sweep = 0; sweep < Sweeps; sweep++)
            {
                double off = 0, all = 0;
                for (int r = 0; r < 4; r++)
                {
                    for (int c = 0; c < 4; c++)
                    {
                        all += n[4 * r + c] * n[4 * r + c];
                        if (r != c) off += n[4 * r + c] * n[4 * r + c];
                    }
                }
                if (off <= 1e-30 * all) break;
                for (int a = 0; a < 3; a++)
                {
                    for (int b = a + 1; b < 4; b++) Rotate(n, v, a, b);
                }
            }
            int best = 0;
            for (int i = 1; i < 4; i++)
            {
                if (n[5 * i] > n[5 * best]) best = i;
            }
            double sign = v[best] < 0 ? -1 : 1;
            for (int c = 0; c < 4; c++) q[c] = sign * v[4 * c + best];
            Rotations.Normalize(q.Slice(0, 4));
        }

        private static void Row(Span<double> n, int row, double a, double b, double c, double d)
        {
            n[4 * row] = a;
            n[4 * row + 1] = b;
            n[4 * row + 2] = c;
            n[4 * row + 3] = d;
        }

        private static void Rotate(Span<double> n, Span<double> v, int a, int b)
        {
            double off = n[4 * a + b];
            if (off == 0) return;
            double theta = (n[5 * b] - n[5 * a]) / (2 * off);
            double t = (theta < 0 ? -1 : 1) / (Math.Abs(theta) + Math.Sqrt(theta * theta + 1));
            double c = 1 / Math.Sqrt(t * t + 1), s = t * c;
            for (int i = 0; i < 4; i++)
            {
                double p = n[4 * i + a], q = n[4 * i + b];
                n[4 * i + a] = c * p - s * q;
                n[4 * i + b] = s * p + c * q;
            }
            for (int i = 0; i < 4; i++)
            {
                double p = n[4 * a + i], q = n[4 * b + i];
                n[4 * a + i] = c * p - s * q;
                n[4 * b + i] = s * p + c * q;
                p = v[4 * i + a];
                q = v[4 * i + b];
                v[4 * i + a] = c * p - s * q;
                v[4 * i + b] = s * p + c * q;
            }
        }
    }
}
