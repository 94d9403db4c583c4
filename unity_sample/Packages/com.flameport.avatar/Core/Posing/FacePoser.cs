using System;

namespace Flameport
{
    /// <summary>
    /// Puts elements on the posed head's triangles, as `formats.deform.bind_to_faces` says; one for each binding,
    /// without allocating per
    /// frame. Call <see cref="Prepare"/> once a frame, then <see cref="Place"/> for each element.
    /// </summary>
    public sealed class FacePoser
    {
        private readonly FaceBinding binding;
        private readonly HeadPoser head;
        private readonly int[] faces;
        private readonly double[]? canonical;
        private readonly double[]? normals;
        private readonly double[]? turns;
        private readonly double[] frame = new double[Surface.FrameSize];
        private readonly double[] rootQuat = new double[4];

        public FacePoser(FaceBinding binding, HeadPoser head)
        {
            this.binding = binding;
            this.head = head;
            faces = head.Head.Faces;
            if (binding.Canonical != null) canonical = Array.ConvertAll(binding.Canonical, x => (double)x);
            if (binding.Frame != FaceFrame.Vertex) return;
            normals = new double[3 * head.Head.VertexCount];
            turns = new double[4 * head.Head.VertexCount];
        }

        /// <summary>Work out what all elements share, from the head's present pose.</summary>
        public void Prepare()
        {
            Rotations.MatrixToQuat(head.RootRotation, rootQuat);
            if (normals == null) return;
            Surface.VertexNormals(head.Vertices, faces, binding.SumFloor, normals);
            Surface.VertexRotations(canonical!, head.Vertices, faces, binding.SumFloor, turns!);
        }

        /// <summary>
        /// Put element <paramref name="i"/> into world space, in place: its offset becomes its mean; its quaternion and
        /// scales follow where
        /// they are given (empty spans: they are not wanted).
        /// </summary>
        public void Place(int i, Span<double> mean, Span<double> quat, Span<double> scale)
        {
            double[] v = head.Vertices;
            int f = 3 * binding.Face[i], a = faces[f], b = faces[f + 1], c = faces[f + 2];
            double u = binding.Barycentric[2 * i], w = binding.Barycentric[2 * i + 1], t = 1 - u - w;
            Surface.Frame(v, a, b, c, frame);
            double gain = binding.OffsetScale == OffsetScale.None ? 1
                : binding.OffsetScale == OffsetScale.EdgeHeight ? frame[Surface.SizeAt] : frame[Surface.AreaAt];
            for (int k = 0; k < 3; k++) mean[k] *= gain;
            Span<double> point = stackalloc double[3];
            for (int k = 0; k < 3; k++) point[k] = u * v[3 * a + k] + w * v[3 * b + k] + t * v[3 * c + k];
            switch (binding.Frame)
            {
                case FaceFrame.Face: OnFace(mean, quat); break;
                case FaceFrame.Vertex: OnVertices(a, b, c, u, w, t, mean, quat); break;
                case FaceFrame.Root:
                case FaceFrame.Corner:
                    Turn(head.RootRotation, mean);
                    if (quat.Length == 0) break;
                    if (binding.Frame == FaceFrame.Corner) AddCorner(v, a, b, point, quat);
                    Rotations.Multiply(rootQuat, quat, quat);
                    break;
            }
            for (int k = 0; k < 3; k++) mean[k] += point[k];
            if (scale.Length > 0) Scale(a, b, c, gain, scale);
        }

        private void OnFace(Span<double> mean, Span<double> quat)
        {
            Turn(frame, mean);
            if (quat.Length == 0) return;
            Span<double> q = stackalloc double[4];
            Rotations.MatrixToQuat(frame.AsSpan(0, 9), q);
            Rotations.Multiply(q, quat, quat);
        }

        private void OnVertices(int a, int b, int c, double u, double w, double t, Span<double> mean, Span<double> quat)
        {
            Span<double> n = stackalloc double[3];
            for (int k = 0; k < 3; k++) n[k] = u * normals![3 * a + k] + w * normals[3 * b + k] + t * normals[3 * c + k];
            Rotations.Normalize(n);
            double height = mean[1];
            for (int k = 0; k < 3; k++) mean[k] = height * n[k];
            if (quat.Length == 0) return;
            Span<double> q = stackalloc double[4];
            Blend(turns!, a, b, c, u, w, t, q);
            Rotations.Multiply(q, quat, quat);
        }

        internal static void Blend(double[] quats, int a, int b, int c, double u, double w, double t, Span<double> q)
        {
            for (int k = 0; k < 4; k++) q[k] = u * quats[4 * a + k] + w * quats[4 * b + k] + t * quats[4 * c + k];
            Rotations.Normalize(q);
        }

        private static void Turn(double[] m, Span<double> v)
        {
            double x = v[0], y = v[1], z = v[2];
            for (int r = 0; r < 3; r++) v[r] = m[3 * r] * x + m[3 * r + 1] * y + m[3 * r + 2] * z;
        }

        /// <summary>
        /// Add the quaternion, not unit, that the usual conversion makes of the columns [d, n x d, n], in the root's
        /// axes: the released
        /// arithmetic of FlashAvatar's Wasserstein variant (`formats.deform.corner_quats`).
        /// </summary>
        private void AddCorner(double[] v, int a, int b, Span<double> point, Span<double> quat)
        {
            double[] r = head.RootRotation;
            Span<double> d = stackalloc double[3];
            Span<double> e = stackalloc double[3];
            for (int k = 0; k < 3; k++)
            {
                for (int j = 0; j < 3; j++)
                {
                    d[k] += (v[3 * a + j] - point[j]) * r[3 * j + k];
                    e[k] += (v[3 * b + j] - point[j]) * r[3 * j + k];
                }
            }
            Span<double> n = stackalloc double[3];
            Cross(d, e, n);
            Rotations.Normalize(n);
            Span<double> across = stackalloc double[3];
            Cross(n, d, across);
            Span<double> m = stackalloc double[9];
            for (int k = 0; k < 3; k++)
            {
                m[3 * k] = d[k];
                m[3 * k + 1] = across[k];
                m[3 * k + 2] = n[k];
            }
            Span<double> q = stackalloc double[4];
            double size = Math.Sqrt(Math.Max(Rotations.Shepperd(m, q), 0));
            for (int k = 0; k < 4; k++) quat[k] += q[k] / (2 * Math.Max(size, 0.1));
        }

        private static void Cross(Span<double> a, Span<double> b, Span<double> product)
        {
            product[0] = a[1] * b[2] - a[2] * b[1];
            product[1] = a[2] * b[0] - a[0] * b[2];
            product[2] = a[0] * b[1] - a[1] * b[0];
        }

        private void Scale(int a, int b, int c, double gain, Span<double> scale)
        {
            if (binding.SplatScale == SplatScale.None) return;
            if (binding.SplatScale == SplatScale.Length)
            {
                scale[0] *= gain;
                return;
            }
            if (binding.SplatScale == SplatScale.EdgeHeight)
            {
                for (int k = 0; k < 3; k++) scale[k] *= frame[Surface.SizeAt];
                return;
            }
            double area = frame[Surface.AreaAt];
            Surface.Frame(canonical!, a, b, c, frame);
            double ratio = (area / 2 + binding.AreaFloor) / (frame[Surface.AreaAt] / 2 + binding.AreaFloor);
            for (int k = 0; k < 3; k++) scale[k] = binding.Unit * Math.Exp(Math.Log(Math.Max(scale[k] / binding.Unit,
                1e-30)) * ratio);
        }
    }
}
