using System;

namespace Flameport
{
    /// <summary>Moves points like vertices, as `formats.deform.bind_to_skin` says, without allocating per frame.</summary>
    public sealed class SkinPoser
    {
        private readonly SkinTables tables;
        private readonly HeadPoser head;
        private readonly double[] rest;
        private readonly SkinRotation rotation;
        private readonly int[]? vertex;
        private readonly SurfaceRotations? surface;
        private readonly double[]? linear;

        /// <param name="binding">Whose elements move.</param>
        /// <param name="head">Posed before.</param>
        /// <param name="keepLinear">Keep the blended joint rotations for <see cref="TurnNormals"/>.</param>
        public SkinPoser(SkinBinding binding, HeadPoser head, bool keepLinear = false)
        {
            this.head = head;
            vertex = binding.Vertex;
            rotation = binding.Rotation;
            tables = binding.Own ?? Shared(head.Head, binding.Vertex!);
            rest = new double[3 * binding.Count];
            if (rotation == SkinRotation.Surface) surface = new SurfaceRotations(head);
            if (rotation == SkinRotation.Skin || keepLinear) linear = new double[9 * binding.Count];
        }

        /// <summary>Return the head's tables for the vertices that <paramref name="pick"/> names.</summary>
        public static SkinTables Shared(Head head, int[] pick) => new SkinTables
        {
            Expressions = Taken(head.Expressions, pick, head.VertexCount),
            Correctives = Taken(head.Correctives, pick, head.VertexCount),
            Eyelids = Taken(head.Eyelids, pick, head.VertexCount),
            Weights = head.Weights.Take(pick),
        };

        private static SparseRows[] Taken(SparseRows[] directions, int[] pick, int count) =>
            Array.ConvertAll(directions, direction =>
        {
            float[] dense = direction.ToDense(count);
            var taken = new float[3 * pick.Length];
            for (int i = 0; i < pick.Length; i++) Array.Copy(dense, 3 * pick[i], taken, 3 * i, 3);
            return SparseRows.FromDense(taken, pick.Length);
        });

        /// <summary>Write posed means from local ones (three numbers each), and turn quaternions (four each) in place
        /// where they are given.</summary>
        public void Apply(Pose pose, double[] local, double[] means, double[]? quats)
        {
            Head face = head.Head;
            Array.Copy(local, rest, rest.Length);
            HeadPoser.Add(rest, tables.Expressions, pose.Expr);
            if (head.Feature.Length > 0) HeadPoser.Add(rest, tables.Correctives, head.Feature);
            if (!face.EyelidsPosed) HeadPoser.Add(rest, tables.Eyelids, pose.Eyelids);
            Skinning.Skin(rest, tables.Weights, head.Matrices, true, means, linear);
            for (int k = 0; face.EyelidsPosed && k < tables.Eyelids.Length; k++)
            {
                tables.Eyelids[k].AddTurned(means, pose.Eyelids[k], head.RootRotation);
            }
            if (quats == null || rotation == SkinRotation.None) return;
            surface?.Apply();
            Span<double> q = stackalloc double[4];
            for (int i = 0; i < means.Length / 3; i++)
            {
                if (surface != null) surface.Quats.AsSpan(4 * vertex![i], 4).CopyTo(q);
                else Polar.Rotation(linear.AsSpan(9 * i, 9), q);
                Span<double> own = quats.AsSpan(4 * i, 4);
                Rotations.Multiply(q, own, own);
            }
        }

        /// <summary>Write unit normals turned by the blended joint rotation, which the constructor was asked to
        /// keep.</summary>
        public void TurnNormals(float[] normals, double[] turned)
        {
            for (int i = 0; i < normals.Length; i += 3)
            {
                int m = 3 * i;
                for (int r = 0; r < 3; r++)
                {
                    turned[i + r] = linear![m + 3 * r] * normals[i] + linear[m + 3 * r + 1] * normals[i + 1]
                        + linear[m + 3 * r + 2] * normals[i + 2];
                }
                Rotations.Normalize(turned.AsSpan(i, 3));
            }
        }
    }
}
