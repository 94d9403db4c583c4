using System;

namespace Flameport
{
    /// <summary>Poses strands as Gaussians, one a segment, strand after strand: `formats.deform.deform_strands`.</summary>
    public sealed class StrandPoser : GaussianPoser
    {
        private readonly StrandLayer layer;
        private readonly FacePoser faces;
        private readonly double[] points;

        public StrandPoser(StrandLayer layer, HeadPoser head) : base(layer.SegmentCount)
        {
            this.layer = layer;
            faces = new FacePoser(layer.Binding, head);
            points = new double[layer.Points.Length];
            for (int i = 0; i < Count; i++) Opacities[i] = layer.Opacities[i];
            for (int i = 0; i < Rgb.Length; i++) Rgb[i] = 0.5 + SphericalHarmonics.C0 * layer.Sh[i];
        }

        public override void Apply(Pose pose)
        {
            int each = layer.PointsPerStrand;
            for (int i = 0; i < points.Length; i++) points[i] = layer.Points[i];
            faces.Prepare();
            for (int p = 0; p < points.Length / 3; p++) faces.Place(p / each, points.AsSpan(3 * p, 3), default, default);
            for (int m = 0, s = 0; m < layer.StrandCount; m++)
            {
                for (int j = 0; j + 1 < each; j++, s++) Segment(s, points.AsSpan(3 * (m * each + j), 6));
            }
        }

        private void Segment(int s, Span<double> ends)
        {
            double x = ends[3] - ends[0], y = ends[4] - ends[1], z = ends[5] - ends[2];
            double length = Math.Sqrt(x * x + y * y + z * z);
            for (int c = 0; c < 3; c++) Means[3 * s + c] = (ends[c] + ends[c + 3]) / 2;
            Scales[3 * s] = layer.SegmentScale * length;
            Scales[3 * s + 1] = Scales[3 * s + 2] = layer.Widths[s];
            Along(x, y, z, length, Quats.AsSpan(4 * s, 4));
        }

        /// <summary>Write the shortest rotation from +x to a vector; the identity for none.</summary>
        public static void Along(double x, double y, double z, double length, Span<double> q)
        {
            double dx = length > 0 ? x / length : 1, dy = length > 0 ? y / length : 0, dz = length > 0 ? z / length : 0;
            double size = Math.Sqrt((1 + dx) * (1 + dx) + dy * dy + dz * dz);
            bool back = !(size > 1e-9);
            q[0] = back ? 0 : (1 + dx) / size;
            q[1] = 0;
            q[2] = back ? 1 : -dz / size;
            q[3] = back ? 0 : dy / size;
        }
    }
}
