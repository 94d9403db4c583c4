using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>
    /// A frame without compute shaders: Gaussians posed, projected and ordered on the processor, for a texture that
    /// `AvatarFallback.shader` reads. The same ellipses as `Shaders/project.hlsl` (`formats.render.project`). Allocates once.
    /// </summary>
    public sealed class ProcessorFrame : IDisposable
    {
        /// <summary>Texels in a row of the texture.</summary>
        public const int Width = 2048;
        private const int RowsEach = 3;
        private const double LowPass = 0.3, LeastAlpha = 1.0 / 255, Margin = 0.15;

        private readonly List<SplatLayer> layers = new List<SplatLayer>();
        private readonly List<SplatPoser> posers = new List<SplatPoser>();
        private readonly DepthOrder depths = new DepthOrder();
        private readonly HeadPoser head;
        private readonly double[] means;
        private readonly int[] order;
        private readonly double[] axes = new double[9], seen = new double[9];

        /// <summary>Prepare an avatar of which at most <paramref name="most"/> Gaussians are shown, those that cover
        /// most.</summary>
        public ProcessorFrame(Avatar avatar, int most)
        {
            head = new HeadPoser(avatar.Head);
            Sphere = new HeadSphere(avatar.Head);
            var all = new List<SplatLayer>();
            long count = 0;
            foreach (Layer layer in avatar.Layers)
            {
                if (layer is SplatLayer splats) all.Add(splats);
                else if (layer is StrandLayer strands && StrandSplats.Fits(strands)) all.Add(StrandSplats.Of(strands));
                else LeftOut = $"Layer '{layer.Name}' is not shown without compute shaders.";
            }
            foreach (SplatLayer layer in all) count += layer.Count;
            foreach (SplatLayer layer in all)
            {
                SplatLayer fewer = FewerSplats.Of(layer, count <= most ? layer.Count : (int)(layer.Count * (long)most / count));
                layers.Add(fewer);
                posers.Add(new SplatPoser(fewer, head));
                Slow += posers[posers.Count - 1].Warning;
                Count += fewer.Count;
            }
            Dropped = (int)(count - Count);
            means = new double[3 * Count];
            order = new int[Count];
            Height = Math.Max((RowsEach * Count + Width - 1) / Width, 1);
            Texels = new float[4 * Width * Height];
        }

        /// <summary>Gaussians, and how many more the avatar has.</summary>
        public int Count { get; }
        public int Dropped { get; }
        /// <summary>What else is not shown; empty for nothing.</summary>
        public string LeftOut { get; } = "";
        /// <summary>What is slow; empty for nothing.</summary>
        public string Slow { get; } = "";
        public HeadSphere Sphere { get; }
        /// <summary>Rows of the texture.</summary>
        public int Height { get; }
        /// <summary>Four numbers a texel, three texels an ellipse (`Shaders/project.hlsl`), back to front.</summary>
        public float[] Texels { get; }
        /// <summary>Row-major 3 x 4 of the root joint: rest to the avatar's space.</summary>
        public ReadOnlySpan<double> Root => head.Matrices.AsSpan(12 * Math.Max(head.Head.Joint(JointRole.Root), 0), 12);

        public void Dispose()
        {
            foreach (SplatPoser poser in posers) poser.Dispose();
        }

        /// <summary>Pose the Gaussians.</summary>
        public void Apply(Pose pose)
        {
            head.Apply(pose);
            int at = 0;
            foreach (SplatPoser poser in posers)
            {
                poser.Apply(pose);
                poser.Means.CopyTo(means, at);
                at += poser.Means.Length;
            }
        }

        /// <summary>Fill <see cref="Texels"/> for a camera that has looked at the avatar, and return how many Gaussians it
        /// sees.</summary>
        public int Project(CameraRows camera)
        {
            int shown = 0, deep = depths.Sort(means, camera.View, camera.Near, order);
            for (int k = 0; k < deep; k++)
            {
                int layer = 0, i = order[k];
                while (i >= layers[layer].Count) i -= layers[layer++].Count;
                if (Write(camera, layers[layer], posers[layer], i, Texels.AsSpan(12 * shown, 12))) shown++;
            }
            return shown;
        }

        /// <summary>Write an ellipse; false where it is not on the picture.</summary>
        private bool Write(CameraRows camera, SplatLayer layer, SplatPoser poser, int i, Span<float> to)
        {
            double opacity = poser.Opacities[i];
            if (opacity < LeastAlpha) return false;
            ReadOnlySpan<double> v = camera.View;
            double[] k = camera.Lens;
            double x = poser.Means[3 * i], y = poser.Means[3 * i + 1], z = poser.Means[3 * i + 2];
            double tx = v[0] * x + v[1] * y + v[2] * z + v[3], ty = v[4] * x + v[5] * y + v[6] * z + v[7];
            double tz = v[8] * x + v[9] * y + v[10] * z + v[11];
            double mx = Margin * camera.Width, my = Margin * camera.Height;
            double sx = Clamp(tx / tz, -(k[2] + mx) / k[0], (camera.Width - k[2] + mx) / k[0]);
            double sy = Clamp(ty / tz, -(k[3] + my) / k[1], (camera.Height - k[3] + my) / k[1]);
            Rotations.QuatToMatrix(poser.Quats.AsSpan(4 * i, 4), axes);
            double xx = LowPass, xy = 0, yy = LowPass;
            for (int c = 0; c < 3; c++)
            {
                double size = poser.Scales[3 * i + c];
                for (int r = 0; r < 3; r++) seen[3 * r + c] = size * (v[4 * r] * axes[c] + v[4 * r + 1] * axes[3 + c]
                    + v[4 * r + 2] * axes[6 + c]);
                double g = k[0] / tz * (seen[c] - sx * seen[6 + c]), h = k[1] / tz * (seen[3 + c] - sy * seen[6 + c]);
                xx += g * g;
                xy += g * h;
                yy += h * h;
            }
            double reach = Math.Sqrt(2 * Math.Log(Math.Max(255 * opacity, 1)));
            double px = k[0] * tx / tz + k[2], py = k[1] * ty / tz + k[3];
            double wide = reach * Math.Sqrt(xx), high = reach * Math.Sqrt(yy);
            if (px - wide > camera.Width || px + wide < 0 || py - high > camera.Height || py + high < 0) return false;
            double middle = (xx - yy) / 2, r2 = Math.Sqrt(middle * middle + xy * xy), large = (xx + yy) / 2 + r2;
            double small = Math.Max((xx * yy - xy * xy) / large, 0), ex = 1, ey = 0;
            if (r2 > 1e-9 * large)
            {
                (ex, ey) = middle >= 0 ? (middle + r2, xy) : (xy, r2 - middle);
                double length = Math.Sqrt(ex * ex + ey * ey);
                (ex, ey) = (ex / length, ey / length);
            }
            double a = reach * Math.Sqrt(large), b = reach * Math.Sqrt(small);
            (to[0], to[1], to[2], to[3]) = ((float)px, (float)py, (float)reach, (float)tz);
            (to[4], to[5], to[6], to[7]) = ((float)(a * ex), (float)(a * ey), (float)(-b * ey), (float)(b * ex));
            Span<double> rgb = stackalloc double[3];
            poser.Rgb.AsSpan(3 * i, 3).CopyTo(rgb);
            if (layer.Degree > 0) Shade(camera.Eye, layer, i, x, y, z, rgb);
            for (int c = 0; c < 3; c++) to[8 + c] = (float)Math.Max(rgb[c], 0);
            to[11] = (float)opacity;
            return true;
        }

        private void Shade(double[] eye, SplatLayer layer, int i, double x, double y, double z, Span<double> rgb)
        {
            Span<double> d = stackalloc double[3];
            (d[0], d[1], d[2]) = (x - eye[0], y - eye[1], z - eye[2]);
            Rotations.Normalize(d);
            if (layer.ShInHeadFrame)
            {
                double[] m = head.RootRotation;
                (x, y, z) = (d[0], d[1], d[2]);
                for (int c = 0; c < 3; c++) d[c] = m[c] * x + m[3 + c] * y + m[6 + c] * z;
            }
            SphericalHarmonics.Add(layer.Sh.AsSpan(i * layer.ShNumbers, layer.ShNumbers), layer.Degree, d[0], d[1], d[2],
                rgb);
        }

        private static double Clamp(double x, double low, double high) => Math.Min(Math.Max(x, low), high);
    }
}
