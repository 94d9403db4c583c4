using System;

namespace Flameport
{
    /// <summary>Frames on the head's surface, as `formats.deform` defines them.</summary>
    public static class Surface
    {
        /// <summary>Numbers per triangle: axes (row-major 3 x 3 whose columns are the axes), size, double area.</summary>
        public const int FrameSize = 11;
        public const int SizeAt = 9;
        public const int AreaAt = 10;

        /// <summary>Write the frame of the triangle (i, j, k) of points: GaussianAvatars (Qian et al. 2024), section
        /// 3.1.</summary>
        public static void Frame(double[] v, int i, int j, int k, Span<double> frame)
        {
            double x = v[3 * i], y = v[3 * i + 1], z = v[3 * i + 2];
            double ex = v[3 * j] - x, ey = v[3 * j + 1] - y, ez = v[3 * j + 2] - z;
            double sx = v[3 * k] - x, sy = v[3 * k + 1] - y, sz = v[3 * k + 2] - z;
            double length = Math.Sqrt(ex * ex + ey * ey + ez * ez);
            double ax = 1, ay = 0, az = 0;
            if (length > 1e-12)
            {
                ax = ex / length;
                ay = ey / length;
                az = ez / length;
            }
            double nx = ay * sz - az * sy, ny = az * sx - ax * sz, nz = ax * sy - ay * sx;
            double height = Math.Sqrt(nx * nx + ny * ny + nz * nz);
            double scale = 1 / height;
            if (!(height > 1e-12))
            {
                // No area: any axis across the edge will do, so that nothing turns NaN.
                bool up = Math.Abs(ay) < 0.9;
                double along = up ? ay : az;
                nx = -ax * along;
                ny = (up ? 1 : 0) - ay * along;
                nz = (up ? 0 : 1) - az * along;
                scale = 1 / Math.Sqrt(nx * nx + ny * ny + nz * nz);
            }
            nx *= scale;
            ny *= scale;
            nz *= scale;
            double bx = ay * nz - az * ny, by = az * nx - ax * nz, bz = ax * ny - ay * nx;
            frame[0] = ax;
            frame[1] = nx;
            frame[2] = bx;
            frame[3] = ay;
            frame[4] = ny;
            frame[5] = by;
            frame[6] = az;
            frame[7] = nz;
            frame[8] = bz;
            frame[SizeAt] = (length + Math.Abs(bx * sx + by * sy + bz * sz)) / 2;
            frame[AreaAt] = length * height;
        }

        /// <summary>Write the cross product of two edges of a triangle: its normal, as long as twice its area.</summary>
        public static void Normal(double[] v, int i, int j, int k, Span<double> normal)
        {
            double x = v[3 * i], y = v[3 * i + 1], z = v[3 * i + 2];
            double ex = v[3 * j] - x, ey = v[3 * j + 1] - y, ez = v[3 * j + 2] - z;
            double sx = v[3 * k] - x, sy = v[3 * k + 1] - y, sz = v[3 * k + 2] - z;
            normal[0] = ey * sz - ez * sy;
            normal[1] = ez * sx - ex * sz;
            normal[2] = ex * sy - ey * sx;
        }

        /// <summary>Write vertex normals weighted by area: unit, or shorter where the sum is below <paramref
        /// name="floor"/>.</summary>
        public static void VertexNormals(double[] v, int[] faces, double floor, double[] normals)
        {
            Array.Clear(normals, 0, normals.Length);
            Span<double> normal = stackalloc double[3];
            for (int f = 0; f < faces.Length; f += 3)
            {
                Normal(v, faces[f], faces[f + 1], faces[f + 2], normal);
                for (int k = 0; k < 3; k++)
                {
                    for (int c = 0; c < 3; c++) normals[3 * faces[f + k] + c] += normal[c];
                }
            }
            Shorten(normals, 3, floor);
        }

        /// <summary>
        /// Write quaternions (four numbers a vertex) that turn each vertex's surroundings from one mesh to another,
        /// weighted by the first
        /// one's areas; shorter than 1 where that sum is below <paramref name="floor"/>. SplattingAvatar (Shao et al.
        /// 2024), section 3.2.
        /// </summary>
        public static void VertexRotations(double[] from, double[] to, int[] faces, double floor, double[] quats)
        {
            Array.Clear(quats, 0, quats.Length);
            Span<double> there = stackalloc double[FrameSize];
            Span<double> here = stackalloc double[FrameSize];
            Span<double> turn = stackalloc double[9];
            Span<double> q = stackalloc double[4];
            for (int f = 0; f < faces.Length; f += 3)
            {
                Frame(from, faces[f], faces[f + 1], faces[f + 2], there);
                Frame(to, faces[f], faces[f + 1], faces[f + 2], here);
                for (int r = 0; r < 3; r++)
                {
                    for (int c = 0; c < 3; c++)
                    {
                        turn[3 * r + c] = here[3 * r] * there[3 * c] + here[3 * r + 1] * there[3 * c + 1]
                            + here[3 * r + 2] * there[3 * c + 2];
                    }
                }
                Rotations.MatrixToQuat(turn, q);
                for (int k = 0; k < 3; k++)
                {
                    for (int c = 0; c < 4; c++) quats[4 * faces[f + k] + c] += q[c] * there[AreaAt] / 2;
                }
            }
            Shorten(quats, 4, floor);
        }

        private static void Shorten(double[] rows, int width, double floor)
        {
            for (int i = 0; i < rows.Length; i += width)
            {
                double square = 0;
                for (int c = 0; c < width; c++) square += rows[i + c] * rows[i + c];
                double length = Math.Max(Math.Sqrt(square), Math.Max(floor, 1e-20));
                for (int c = 0; c < width; c++) rows[i + c] /= length;
            }
        }
    }
}
