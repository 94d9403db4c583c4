using System;

namespace Flameport
{
    /// <summary>
    /// Rotations as `formats/rotations.py` defines them: axis-angle, quaternions (wxyz, unit), row-major 3x3 matrices.
    /// Functions write
    /// into flat arrays at an offset, so that a frame allocates nothing.
    /// </summary>
    public static class Rotations
    {
        /// <summary>Write the unit quaternion of an axis-angle vector.</summary>
        public static void AxisAngleToQuat(double x, double y, double z, Span<double> q)
        {
            double angle = Math.Sqrt(x * x + y * y + z * z);
            double halfSinc = angle > 1e-6 ? Math.Sin(angle / 2) / angle : 0.5 - angle * angle / 48;
            q[0] = Math.Cos(angle / 2);
            q[1] = x * halfSinc;
            q[2] = y * halfSinc;
            q[3] = z * halfSinc;
        }

        /// <summary>Write the axis-angle vector (angle in 0..pi) of a unit quaternion.</summary>
        public static void QuatToAxisAngle(ReadOnlySpan<double> q, Span<double> r)
        {
            double sign = q[0] < 0 ? -1 : 1;
            double sine = Math.Sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
            double scale = sign * (sine > 1e-9 ? 2 * Math.Atan2(sine, q[0] * sign) / sine : 2);
            for (int c = 0; c < 3; c++) r[c] = q[c + 1] * scale;
        }

        /// <summary>Write the row-major matrix of a unit quaternion.</summary>
        public static void QuatToMatrix(ReadOnlySpan<double> q, Span<double> m)
        {
            double w = q[0], x = q[1], y = q[2], z = q[3];
            m[0] = 1 - 2 * (y * y + z * z);
            m[1] = 2 * (x * y - w * z);
            m[2] = 2 * (x * z + w * y);
            m[3] = 2 * (x * y + w * z);
            m[4] = 1 - 2 * (x * x + z * z);
            m[5] = 2 * (y * z - w * x);
            m[6] = 2 * (x * z - w * y);
            m[7] = 2 * (y * z + w * x);
            m[8] = 1 - 2 * (x * x + y * y);
        }

        /// <summary>Write the row-major matrix of an axis-angle vector (Rodrigues).</summary>
        public static void AxisAngleToMatrix(ReadOnlySpan<double> r, Span<double> m)
        {
            Span<double> q = stackalloc double[4];
            AxisAngleToQuat(r[0], r[1], r[2], q);
            QuatToMatrix(q, m);
        }

        /// <summary>
        /// Write the best conditioned of Shepperd's four quaternions of a row-major matrix: 4 q_i q, its largest entry
        /// positive, not unit.
        /// Return 4 q_i^2 of that entry.
        /// </summary>
        public static double Shepperd(ReadOnlySpan<double> m, Span<double> q)
        {
            double a = m[0], b = m[4], c = m[8], trace = a + b + c;
            double wx = m[7] - m[5], wy = m[2] - m[6], wz = m[3] - m[1];
            double xy = m[3] + m[1], xz = m[6] + m[2], yz = m[7] + m[5];
            if (trace >= a && trace >= b && trace >= c) return Put(q, 0, 1 + trace, 1 + trace, wx, wy, wz);
            if (a >= b && a >= c) return Put(q, 1, 1 + 2 * a - trace, wx, 1 + 2 * a - trace, xy, xz);
            if (b >= c) return Put(q, 2, 1 + 2 * b - trace, wy, xy, 1 + 2 * b - trace, yz);
            return Put(q, 3, 1 + 2 * c - trace, wz, xz, yz, 1 + 2 * c - trace);
        }

        private static double Put(Span<double> q, int largest, double square, double w, double x, double y, double z)
        {
            q[0] = w;
            q[1] = x;
            q[2] = y;
            q[3] = z;
            return square;
        }

        /// <summary>Write the unit quaternion with w not negative of a row-major rotation.</summary>
        public static void MatrixToQuat(ReadOnlySpan<double> m, Span<double> q)
        {
            Shepperd(m, q);
            double scale = (q[0] < 0 ? -1 : 1) / Math.Sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
            for (int c = 0; c < 4; c++) q[c] *= scale;
        }

        /// <summary>Write the Hamilton product a b: first turn by b, then by a. The target may be either.</summary>
        public static void Multiply(ReadOnlySpan<double> a, ReadOnlySpan<double> b, Span<double> product)
        {
            double aw = a[0], ax = a[1], ay = a[2], az = a[3], bw = b[0], bx = b[1], by = b[2], bz = b[3];
            product[0] = aw * bw - ax * bx - ay * by - az * bz;
            product[1] = aw * bx + ax * bw + ay * bz - az * by;
            product[2] = aw * by - ax * bz + ay * bw + az * bx;
            product[3] = aw * bz + ax * by - ay * bx + az * bw;
        }

        /// <summary>Scale to unit length; what is shorter than 1e-20 stays as tiny as it is.</summary>
        public static void Normalize(Span<double> v)
        {
            double square = 0;
            foreach (double x in v) square += x * x;
            double length = Math.Max(Math.Sqrt(square), 1e-20);
            for (int c = 0; c < v.Length; c++) v[c] /= length;
        }

        /// <summary>Write the axis-angle vector a fraction t along the shorter arc from a to b (slerp, Shoemake
        /// 1985).</summary>
        public static void SlerpAxisAngle(ReadOnlySpan<double> a, ReadOnlySpan<double> b, double t, Span<double> r)
        {
            Span<double> p = stackalloc double[4];
            Span<double> q = stackalloc double[4];
            AxisAngleToQuat(a[0], a[1], a[2], p);
            AxisAngleToQuat(b[0], b[1], b[2], q);
            Slerp(p, q, t, p);
            QuatToAxisAngle(p, r);
        }

        /// <summary>Write the unit quaternion a fraction t along the shorter arc from a to b. The target may be
        /// either.</summary>
        public static void Slerp(ReadOnlySpan<double> a, ReadOnlySpan<double> b, double t, Span<double> q)
        {
            double dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
            double sign = dot < 0 ? -1 : 1;
            dot = Math.Min(Math.Abs(dot), 1);
            double wa = 1 - t, wb = t;
            if (dot <= 1 - 1e-9)
            {
                double angle = Math.Acos(dot), sine = Math.Sin(angle);
                wa = Math.Sin((1 - t) * angle) / sine;
                wb = Math.Sin(t * angle) / sine;
            }
            wb *= sign;
            for (int c = 0; c < 4; c++) q[c] = wa * a[c] + wb * b[c];
            Normalize(q.Slice(0, 4));
        }
    }
}
