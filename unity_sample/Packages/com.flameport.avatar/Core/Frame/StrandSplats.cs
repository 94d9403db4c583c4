using System;

namespace Flameport
{
    /// <summary>
    /// Strands as a splat layer, a Gaussian a segment: on a triangle's rigid frame each segment moves as one Gaussian does.
    /// The same pictures as `formats.deform.deform_strands`, whose quaternions differ by a turn about the segment, across
    /// which it is round.
    /// </summary>
    public static class StrandSplats
    {
        /// <summary>Whether a layer can be had so: not where vertices' normals carry it.</summary>
        public static bool Fits(StrandLayer layer) => layer.Binding.Frame != FaceFrame.Vertex;

        /// <summary>Return the Gaussians, strand after strand.</summary>
        public static SplatLayer Of(StrandLayer layer)
        {
            FaceBinding roots = layer.Binding;
            int count = layer.SegmentCount, points = layer.PointsPerStrand, each = points - 1;
            var splats = new SplatLayer
            {
                Name = layer.Name,
                Means = new float[3 * count],
                Quats = new float[4 * count],
                Scales = new float[3 * count],
                Opacities = layer.Opacities,
                Sh = layer.Sh,
                Order = layer.Order,
                Binding = new FaceBinding
                {
                    Face = new int[count],
                    Barycentric = new float[2 * count],
                    // A strand turns with the root where its Gaussians' corners would add to quaternions.
                    Frame = roots.Frame == FaceFrame.Corner ? FaceFrame.Root : roots.Frame,
                    OffsetScale = roots.OffsetScale,
                    SplatScale = SplatScale.Length,
                    Canonical = roots.Canonical,
                    Unit = roots.Unit,
                },
            };
            var binding = (FaceBinding)splats.Binding;
            Span<double> q = stackalloc double[4];
            for (int s = 0; s < count; s++)
            {
                int strand = s / each, at = 3 * (strand * points + s % each);
                binding.Face[s] = roots.Face[strand];
                Array.Copy(roots.Barycentric, 2 * strand, binding.Barycentric, 2 * s, 2);
                double x = (double)layer.Points[at + 3] - layer.Points[at], y = (double)layer.Points[at + 4]
                    - layer.Points[at + 1], z = (double)layer.Points[at + 5] - layer.Points[at + 2];
                double length = Math.Sqrt(x * x + y * y + z * z);
                for (int c = 0; c < 3; c++) splats.Means[3 * s + c] = (layer.Points[at + c] + layer.Points[at + 3 + c]) / 2;
                splats.Scales[3 * s] = (float)(layer.SegmentScale * length);
                splats.Scales[3 * s + 1] = splats.Scales[3 * s + 2] = layer.Widths[s];
                StrandPoser.Along(x, y, z, length, q);
                for (int c = 0; c < 4; c++) splats.Quats[4 * s + c] = (float)q[c];
            }
            return splats;
        }
    }
}
