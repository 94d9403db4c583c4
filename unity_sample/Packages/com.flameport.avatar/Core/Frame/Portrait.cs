using System;

namespace Flameport
{
    /// <summary>A small picture of an avatar at rest, from the front, for lists of files: what <see cref="ProcessorFrame"/>
    /// sees, painted as `formats.render` does.</summary>
    public static class Portrait
    {
        /// <summary>The camera's distance in radii of the head's sphere, which fills the picture.</summary>
        private const double Distance = 5;
        private const double MostAlpha = 0.99, LeastAlpha = 1 / 255.0;

        /// <summary>Return <paramref name="size"/> x <paramref name="size"/> pixels, four bytes each, straight alpha, the
        /// lowest row first; null where the avatar has no Gaussians.</summary>
        public static byte[]? Draw(Avatar avatar, int size)
        {
            using var frame = new ProcessorFrame(avatar, int.MaxValue);
            if (frame.Count == 0) return null;
            frame.Apply(new Pose(avatar.Head));
            int shown = frame.Project(Camera(frame, size));
            var rgba = new double[4 * size * size];
            for (int i = 0; i < shown; i++) Blend(frame.Texels.AsSpan(12 * i, 12), size, rgba);
            var bytes = new byte[rgba.Length];
            for (int p = 0; p < size * size; p++)
            {
                int from = 4 * p, to = 4 * ((size - 1 - p / size) * size + p % size);
                double alpha = rgba[from + 3];
                for (int c = 0; c < 3; c++) bytes[to + c] = Byte(alpha > 0 ? rgba[from + c] / alpha : 0);
                bytes[to + 3] = Byte(alpha);
            }
            return bytes;
        }

        private static byte Byte(double value) => (byte)Math.Round(255 * Math.Min(Math.Max(value, 0), 1));

        /// <summary>A camera of the engine, in front of the face.</summary>
        private static CameraRows Camera(ProcessorFrame frame, int size)
        {
            HeadSphere sphere = frame.Sphere;
            var at = new double[3];
            sphere.Middle.CopyTo(at, 0);
            at[2] += Distance * sphere.Radius;
            Handedness.MirrorPoints(at);
            var camera = new CameraRows { Width = size, Height = size, Near = 0.1 * sphere.Radius };
            // It looks along the world's -z, so its right is the world's left.
            new[] { -1, 0, 0, at[0], 0, 1, 0, -at[1], 0, 0, 1, -at[2], 0, 0, 0, 1 }.CopyTo(camera.WorldToCamera, 0);
            camera.Projection[0] = camera.Projection[5] = Distance;
            camera.Projection.CopyTo(camera.DeviceProjection, 0);
            camera.Apply();
            camera.Look(new double[] { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1 }, frame.Root, sphere, false);
            return camera;
        }

        /// <summary>Put an ellipse (`Shaders/project.hlsl`) over what is there.</summary>
        private static void Blend(ReadOnlySpan<float> ellipse, int size, double[] rgba)
        {
            double reach = ellipse[2], ax = ellipse[4], ay = ellipse[5], bx = ellipse[6], by = ellipse[7];
            double a = reach / (ax * ax + ay * ay), b = reach / (bx * bx + by * by);
            double wide = Math.Sqrt(ax * ax + bx * bx), high = Math.Sqrt(ay * ay + by * by);
            int left = Pixel(ellipse[0] - wide, size), right = Pixel(ellipse[0] + wide + 1, size);
            int top = Pixel(ellipse[1] - high, size), bottom = Pixel(ellipse[1] + high + 1, size);
            for (int row = top; row < bottom; row++)
            {
                for (int column = left; column < right; column++)
                {
                    double dx = column + 0.5 - ellipse[0], dy = row + 0.5 - ellipse[1];
                    double u = a * (dx * ax + dy * ay), v = b * (dx * bx + dy * by);
                    double alpha = Math.Min(MostAlpha, ellipse[11] * Math.Exp(-(u * u + v * v) / 2));
                    if (!(alpha >= LeastAlpha)) continue;
                    int to = 4 * (row * size + column);
                    for (int c = 0; c < 3; c++) rgba[to + c] = alpha * ellipse[8 + c] + (1 - alpha) * rgba[to + c];
                    rgba[to + 3] = alpha + (1 - alpha) * rgba[to + 3];
                }
            }
        }

        private static int Pixel(double at, int size) => (int)Math.Min(Math.Max(at, 0), size);
    }
}
