using System;

namespace Flameport
{
    /// <summary>Poses one head again and again without allocating, as `formats.deform.deform_head` says; float64.</summary>
    public sealed class HeadPoser
    {
        private static readonly JointRole[] Corrected = { JointRole.Neck, JointRole.Jaw, JointRole.LeftEye,
            JointRole.RightEye };

        private readonly double[] local;
        private readonly double[] joints;
        private readonly double[] world;
        private readonly double[] template;
        private readonly double[] rest;
        private readonly double[] angles;

        public HeadPoser(Head head)
        {
            Head = head;
            template = Array.ConvertAll(head.Template, x => (double)x);
            Vertices = (double[])template.Clone();
            rest = (double[])template.Clone();
            Matrices = new double[12 * head.JointCount];
            world = new double[12 * head.JointCount];
            local = new double[9 * head.JointCount];
            joints = new double[3 * head.JointCount];
            angles = new double[3 * head.JointCount];
            Feature = new double[head.Correctives.Length];
        }

        public Head Head { get; }
        /// <summary>V * 3, world space.</summary>
        public double[] Vertices { get; }
        /// <summary>J * 12, row-major 3 x 4: rest space to world, translation included. What the shaders take.</summary>
        public double[] Matrices { get; }
        /// <summary>Entries of R - I, the correctives' weights; none when the head has no correctives.</summary>
        public double[] Feature { get; }
        /// <summary>Row-major.</summary>
        public double[] RootRotation { get; } = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };

        /// <summary>Work out joints and the correctives' weights only, for those who move vertices elsewhere.</summary>
        public void Drive(Pose pose)
        {
            RotateJoints(pose);
            MoveJoints(pose);
        }

        /// <summary>Work out everything: template, expressions, lids, correctives, skinning.</summary>
        public void Apply(Pose pose)
        {
            Drive(pose);
            Array.Copy(template, rest, rest.Length);
            Add(rest, Head.Expressions, pose.Expr);
            if (!Head.EyelidsPosed) Add(rest, Head.Eyelids, pose.Eyelids);
            if (Feature.Length > 0) Add(rest, Head.Correctives, Feature);
            Skinning.Skin(rest, Head.Weights, Matrices, false, Vertices, null);
            if (!Head.EyelidsPosed) return;
            for (int k = 0; k < Head.Eyelids.Length; k++) Head.Eyelids[k].AddTurned(Vertices, pose.Eyelids[k], RootRotation);
        }

        /// <summary>Add every direction by its coefficient; further coefficients are ignored.</summary>
        internal static void Add(double[] points, SparseRows[] directions, double[] coefficients)
        {
            for (int k = 0; k < directions.Length; k++) directions[k].AddTo(points, coefficients[k]);
        }

        private void RotateJoints(Pose pose)
        {
            Array.Clear(angles, 0, angles.Length);
            Turn(JointRole.Root, pose.Rotation, 0);
            Turn(JointRole.Neck, pose.Neck, 0);
            Turn(JointRole.Jaw, pose.Jaw, 0);
            Turn(JointRole.LeftEye, pose.Eyes, 0);
            Turn(JointRole.RightEye, pose.Eyes, 3);
            for (int j = 0; j < Head.JointCount; j++)
            {
                if (pose.JointIsTurned[j]) Array.Copy(pose.JointTurns, 3 * j, angles, 3 * j, 3);
                Rotations.AxisAngleToMatrix(angles.AsSpan(3 * j, 3), local.AsSpan(9 * j, 9));
            }
            int root = Head.Joint(JointRole.Root);
            if (root >= 0) Array.Copy(local, 9 * root, RootRotation, 0, 9);
            for (int r = 0; r < Corrected.Length && Feature.Length > 0; r++)
            {
                int joint = Head.Joint(Corrected[r]);
                for (int c = 0; c < 9; c++) Feature[9 * r + c] = joint < 0 ? 0 : local[9 * joint + c] - (c % 4 == 0 ? 1 : 0);
            }
        }

        private void Turn(JointRole role, double[] values, int at)
        {
            int joint = Head.Joint(role);
            if (joint >= 0) Array.Copy(values, at, angles, 3 * joint, 3);
        }

        private void MoveJoints(Pose pose)
        {
            int count = Head.Expressions.Length;
            Array.Copy(Head.RestJoints, joints, joints.Length);
            float[]? moving = Head.JointExpressions;
            for (int e = 0; moving != null && e < count; e++)
            {
                double weight = pose.Expr[e];
                if (weight == 0) continue;
                for (int j = 0; j < Head.JointCount; j++)
                {
                    for (int c = 0; c < 3; c++) joints[3 * j + c] += weight * moving[(j * count + e) * 3 + c];
                }
            }
            for (int j = 0; j < Head.JointCount; j++)
            {
                Chain(j, Head.Parents[j]);
                for (int r = 0; r < 3; r++)
                {
                    int row = 12 * j + 4 * r;
                    double shift = world[row + 3] + pose.Translation[r];
                    for (int c = 0; c < 3; c++)
                    {
                        Matrices[row + c] = world[row + c];
                        shift -= world[row + c] * joints[3 * j + c];
                    }
                    Matrices[row + 3] = shift;
                }
            }
        }

        /// <summary>World transform of joint j: its parent's, then its step and its own rotation (SMPL eq. 3 and
        /// 4).</summary>
        private void Chain(int j, int parent)
        {
            for (int r = 0; r < 3; r++)
            {
                int row = 12 * j + 4 * r, above = 12 * parent + 4 * r;
                for (int c = 0; c < 4; c++)
                {
                    if (parent < 0)
                    {
                        world[row + c] = c < 3 ? local[9 * j + 3 * r + c] : joints[3 * j + r];
                        continue;
                    }
                    double sum = c < 3 ? 0 : world[above + 3];
                    for (int k = 0; k < 3; k++)
                    {
                        double step = c < 3 ? local[9 * j + 3 * k + c] : joints[3 * j + k] - joints[3 * parent + k];
                        sum += world[above + k] * step;
                    }
                    world[row + c] = sum;
                }
            }
        }
    }
}
