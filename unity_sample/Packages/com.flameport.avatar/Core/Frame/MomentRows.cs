using System;

namespace Flameport
{
    /// <summary>
    /// What changes from moment to moment: the rows of `_Frame` (`Shaders/moment.hlsl`) but those of the camera, from the
    /// pose. Allocates once.
    /// </summary>
    public sealed class MomentRows : IDisposable
    {
        private readonly FrameTables tables;
        private readonly IDeltas?[] dynamics;
        private readonly SplatPoser?[] bound;
        private readonly HeadPoser head;

        public MomentRows(FrameTables tables)
        {
            this.tables = tables;
            head = new HeadPoser(tables.Avatar.Head);
            Rows = new float[4 * tables.Records.FrameRows];
            dynamics = Array.ConvertAll(tables.Layers, layer => !(layer is SplatLayer splats) ? null
                : splats.Network != null ? new NetworkPoser(splats)
                : splats.Dynamics != null ? (IDeltas)new DynamicsPoser(splats.Dynamics) : null);
            bound = Array.ConvertAll(tables.Layers, layer => layer is SplatLayer splats && splats.Network != null
                && splats.Network.TakesMeans ? new SplatPoser(Still(splats), head) : null);
            foreach (IDeltas? moving in dynamics) Warning += moving == null ? "" : moving.Warning;
        }

        /// <summary>Four numbers a row.</summary>
        public float[] Rows { get; }
        /// <summary>What should be known of what moves Gaussians; empty for nothing.</summary>
        public string Warning { get; } = "";
        /// <summary>Row-major 3 x 3.</summary>
        public double[] RootRotation => head.RootRotation;

        /// <summary>Row-major 3 x 4 of the root joint: rest to the avatar's space.</summary>
        public ReadOnlySpan<double> Root => head.Matrices.AsSpan(12 * Math.Max(head.Head.Joint(JointRole.Root), 0), 12);

        /// <summary>Fill the rows; throws <see cref="SequenceException"/> where the pose lacks what dynamics read.</summary>
        public void Apply(Pose pose)
        {
            if (Array.Exists(bound, each => each != null)) head.Apply(pose);
            else head.Drive(pose);
            Array.Clear(Rows, 0, Rows.Length);
            for (int r = 0; r < 3; r++)
            {
                for (int c = 0; c < 3; c++) Rows[4 * (6 + r) + c] = (float)head.RootRotation[3 * r + c];
            }
            int first = 4 * RecordRows.FirstJoint, at = first + head.Matrices.Length;
            Rows[4 * 11] = RecordRows.FirstJoint;
            for (int i = 0; i < head.Matrices.Length; i++) Rows[first + i] = (float)head.Matrices[i];
            Pairs(0, pose.Expr, head.Head.Expressions.Length, ref at);
            Pairs(1, head.Feature, head.Feature.Length, ref at);
            Pairs(2, pose.Eyelids, head.Head.Eyelids.Length, ref at);
            at = Rows.Length;
            for (int i = dynamics.Length - 1; i >= 0; i--)
            {
                IDeltas? moving = dynamics[i];
                if (moving == null) continue;
                bound[i]?.Apply(pose);
                moving.Drive(pose, bound[i]?.Means);
                if (moving is NetworkPoser network)
                {
                    int length = 4 * RecordRows.DeltaRows * ((SplatLayer)tables.Layers[i]).Count;
                    at -= length;
                    network.Put(Rows.AsSpan(at, length));
                    continue;
                }
                double[] values = ((DynamicsPoser)moving).Coefficients;
                at -= (values.Length + 3) / 4 * 4;
                for (int k = 0; k < values.Length; k++) Rows[at + k] = (float)values[k];
            }
        }

        /// <summary>The layer as its binding alone puts it.</summary>
        private static SplatLayer Still(SplatLayer layer) => new SplatLayer { Name = layer.Name, Binding = layer.Binding,
            Means = layer.Means, Quats = layer.Quats, Scales = layer.Scales, Opacities = layer.Opacities, Sh = layer.Sh,
            Degree = layer.Degree };

        public void Dispose()
        {
            foreach (IDeltas? moving in dynamics) moving?.Dispose();
        }

        /// <summary>List the shapes of a group that are not zero, two a row.</summary>
        private void Pairs(int group, double[] values, int known, ref int at)
        {
            int begin = at, count = 0;
            for (int i = 0; i < Math.Min(known, values.Length); i++)
            {
                if (values[i] == 0) continue;
                Rows[begin + 2 * count] = i;
                Rows[begin + 2 * count++ + 1] = (float)values[i];
            }
            Rows[4 * 9 + group] = count;
            Rows[4 * 10 + group] = begin / 4;
            at = begin + (count + 1) / 2 * 4;
        }
    }
}
