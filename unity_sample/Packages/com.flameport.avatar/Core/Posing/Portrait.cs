using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>
    /// A small picture of an avatar at rest, for lists of files: seen from the front without perspective, base colours. Not
    /// the definition of a picture; shaders draw that.
    /// </summary>
    public static class Portrait
    {
        /// <summary>Room around the head, over its height.</summary>
        private const double Margin = 1.25;
        /// <summary>As in `formats.render`: pixels squared added to every ellipse, alpha that is the most and the least
        /// drawn.</summary>
        private const double Dilation = 0.3, MostAlpha = 0.99, LeastAlpha = 1 / 255.0;

        /// <summary>Return <paramref name="size"/> x <paramref name="size"/> pixels, four bytes each, straight alpha, the
        /// lowest row first; null where the avatar has no Gaussians.</summary>
        public static byte[]? Draw(Avatar avatar, int size)
        {
            var posed = new PosedAvatar(avatar);
            if (posed.Gaussians.Count == 0) return null;
            posed.Apply(new Pose(avatar.Head));
            (double x, double y, double scale) = Framed(posed.Head.Vertices, size);
            var order = new List<(double z, int layer, int n)>();
            for (int i = 0; i < posed.Gaussians.Count; i++)
            {
                GaussianPoser layer = posed.Gaussians[i];
                for (int n = 0; n < layer.Count; n++) order.Add((layer.Means[3 * n + 2], i, n));
            }
            order.Sort();
            var rgba = new double[4 * size * size];
            foreach ((_, int i, int n) in order) Blend(posed.Gaussians[i], n, x, y, scale, size, rgba);
            var bytes = new byte[rgba.Length];
            for (int p = 0; p < rgba.Length; p += 4)
            {
                double alpha = rgba[p + 3];
                for (int c = 0; c < 3; c++) bytes[p + c] = Byte(alpha > 0 ? rgba[p + c] / alpha : 0);
                bytes[p + 3] = Byte(alpha);
            }
            return bytes;
        }

        private static byte Byte(double value) => (byte)Math.Round(255 * Math.Min(Math.Max(value, 0), 1));

        /// <summary>The middle of the head, and pixels per metre.</summary>
        private static (double x, double y, double scale) Framed(double[] vertices, int size)
        {
            var low = new double[2] { double.MaxValue, double.MaxValue };
            var high = new double[2] { double.MinValue, double.MinValue };
            for (int i = 0; i < vertices.Length; i++)
            {
                if (i % 3 == 2) continue;
                low[i % 3] = Math.Min(low[i % 3], vertices[i]);
                high[i % 3] = Math.Max(high[i % 3], vertices[i]);
            }
            double extent = Margin * Math.Max(Math.Max(high[0] - low[0], high[1] - low[1]), 1e-6);
            return ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, size / extent);
        }

        private static void Blend(GaussianPoser layer, int n, double x, double y, double scale, int size, double[] rgba)
        {
            double opacity = layer.Opacities[n];
            if (!(opacity >= LeastAlpha)) return;
            Span<double> turn = stackalloc double[9];
            Rotations.QuatToMatrix(layer.Quats.AsSpan(4 * n, 4), turn);
            double a = Dilation, b = 0, c = Dilation;
            for (int k = 0; k < 3; k++)
            {
                double width = layer.Scales[3 * n + k] * scale, u = turn[k] * width, v = turn[3 + k] * width;
                a += u * u;
                b += u * v;
                c += v * v;
            }
            double det = a * c - b * b, reach = 2 * Math.Log(255 * opacity);
            double px = size / 2.0 + (layer.Means[3 * n] - x) * scale, py = size / 2.0 + (layer.Means[3 * n + 1] - y) * scale;
            if (!(det > 0) || double.IsInfinity(det)) return;
            int left = Pixel(px - Math.Sqrt(reach * a), size), right = Pixel(px + Math.Sqrt(reach * a) + 1, size);
            int bottom = Pixel(py - Math.Sqrt(reach * c), size), top = Pixel(py + Math.Sqrt(reach * c) + 1, size);
            for (int row = bottom; row < top; row++)
            {
                for (int column = left; column < right; column++)
                {
                    double dx = column + 0.5 - px, dy = row + 0.5 - py;
                    double power = (c * dx * dx - 2 * b * dx * dy + a * dy * dy) / det;
                    double alpha = Math.Min(MostAlpha, opacity * Math.Exp(-power / 2));
                    if (!(alpha >= LeastAlpha)) continue;
                    int at = 4 * (row * size + column);
                    for (int k = 0; k < 3; k++) rgba[at + k] = alpha * layer.Rgb[3 * n + k] + (1 - alpha) * rgba[at + k];
                    rgba[at + 3] = alpha + (1 - alpha) * rgba[at + 3];
                }
            }
        }

        private static int Pixel(double at, int size) => (int)Math.Min(Math.Max(at, 0), size);
    }
}
