using System;

namespace Flameport
{
    /// <summary>
    /// Undoing a binding at rest: a GLB stores Gaussians as other viewers show them, in world space on the neutral
    /// head; players need their
    /// rotations and scales in the binding's local space (`exporter/GLB.md`, 1.2).
    /// </summary>
    public static class Rest
    {
        /// <summary>Turn world-space quats and scales at rest into local ones, in place. Skin bindings are local
        /// already.</summary>
        public static void Undo(SplatLayer layer, Head head)
        {
            if (!(layer.Binding is FaceBinding binding)) return;
            double[] template = Array.ConvertAll(head.Template, x => (double)x);
            double[]? canonical = binding.Canonical == null ? null : Array.ConvertAll(binding.Canonical, x => (double)x);
            double[]? turns = null;
            if (binding.Frame == FaceFrame.Vertex)
            {
                turns = new double[4 * head.VertexCount];
                Surface.VertexRotations(canonical!, template, head.Faces, binding.SumFloor, turns);
            }
            Span<double> frame = stackalloc double[Surface.FrameSize];
            Span<double> there = stackalloc double[Surface.FrameSize];
            Span<double> q = stackalloc double[4];
            Span<double> own = stackalloc double[4];
            for (int i = 0; i < layer.Count; i++)
            {
                int f = 3 * binding.Face[i], a = head.Faces[f], b = head.Faces[f + 1], c = head.Faces[f + 2];
                Surface.Frame(template, a, b, c, frame);
                if (binding.Frame == FaceFrame.Face || turns != null)
                {
                    double u = binding.Barycentric[2 * i], w = binding.Barycentric[2 * i + 1];
                    if (turns != null) FacePoser.Blend(turns, a, b, c, u, w, 1 - u - w, q);
                    else Rotations.MatrixToQuat(frame.Slice(0, 9), q);
                    for (int k = 1; k < 4; k++) q[k] = -q[k];
                    for (int k = 0; k < 4; k++) own[k] = layer.Quats[4 * i + k];
                    Rotations.Multiply(q, own, own);
                    for (int k = 0; k < 4; k++) layer.Quats[4 * i + k] = (float)own[k];
                }
                if (binding.SplatScale == SplatScale.None) continue;
                if (canonical != null) Surface.Frame(canonical, a, b, c, there);
                double ratio = (frame[Surface.AreaAt] / 2 + binding.AreaFloor) / (there[Surface.AreaAt] / 2
                    + binding.AreaFloor);
                for (int k = 3 * i; k < 3 * i + 3; k++)
                {
                    double s = layer.Scales[k];
                    layer.Scales[k] = (float)(binding.SplatScale == SplatScale.EdgeHeight
                        ? s / Math.Max(frame[Surface.SizeAt], 1e-20)
                        : binding.Unit * Math.Pow(s / binding.Unit, 1 / ratio));
                }
            }
        }
    }
}
