using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Joint influences of many points, row after row; only those that are not zero.</summary>
    public sealed class Influences
    {
        public Influences(int[] starts, int[] joints, double[] weights)
        {
            Starts = starts;
            Joints = joints;
            Weights = weights;
        }

        /// <summary>Where each row starts in the two others; one more than rows.</summary>
        public int[] Starts { get; }
        public int[] Joints { get; }
        public double[] Weights { get; }
        public int Rows => Starts.Length - 1;

        /// <summary>Return influences from dense weights, rows times joints.</summary>
        public static Influences FromDense(float[] dense, int rows, int joints)
        {
            var starts = new int[rows + 1];
            var ids = new List<int>();
            var weights = new List<double>();
            for (int i = 0; i < rows; i++)
            {
                for (int j = 0; j < joints; j++)
                {
                    if (dense[i * joints + j] == 0) continue;
                    ids.Add(j);
                    weights.Add(dense[i * joints + j]);
                }
                starts[i + 1] = ids.Count;
            }
            return new Influences(starts, ids.ToArray(), weights.ToArray());
        }

        /// <summary>Return influences of <paramref name="rows"/> points from sets of four: glTF's JOINTS_n and
        /// WEIGHTS_n.</summary>
        public static Influences FromSets(IReadOnlyList<(int[] joints, float[] weights)> sets, int rows)
        {
            var starts = new int[rows + 1];
            var ids = new List<int>();
            var weights = new List<double>();
            for (int i = 0; i < rows; i++)
            {
                foreach ((int[] joints, float[] shares) in sets)
                {
                    for (int k = 4 * i; k < 4 * i + 4; k++)
                    {
                        if (shares[k] == 0) continue;
                        ids.Add(joints[k]);
                        weights.Add(shares[k]);
                    }
                }
                starts[i + 1] = ids.Count;
            }
            return new Influences(starts, ids.ToArray(), weights.ToArray());
        }

        /// <summary>Return the same, each row divided by its sum: what a head's rows mean.</summary>
        public Influences Normalized()
        {
            var weights = (double[])Weights.Clone();
            for (int i = 0; i < Rows; i++)
            {
                double sum = 0;
                for (int k = Starts[i]; k < Starts[i + 1]; k++) sum += weights[k];
                for (int k = Starts[i]; k < Starts[i + 1]; k++) weights[k] /= sum == 0 ? 1 : sum;
            }
            return new Influences(Starts, Joints, weights);
        }

        /// <summary>Return the rows that <paramref name="pick"/> names.</summary>
        public Influences Take(int[] pick)
        {
            var starts = new int[pick.Length + 1];
            for (int i = 0; i < pick.Length; i++) starts[i + 1] = checked(starts[i] + Starts[pick[i] + 1] - Starts[pick[i]]);
            var joints = new int[starts[pick.Length]];
            var weights = new double[joints.Length];
            for (int i = 0; i < pick.Length; i++)
            {
                int from = Starts[pick[i]], count = Starts[pick[i] + 1] - from;
                Array.Copy(Joints, from, joints, starts[i], count);
                Array.Copy(Weights, from, weights, starts[i], count);
            }
            return new Influences(starts, joints, weights);
        }

        /// <summary>What a row lacks to 1, which stays put; 0 where that is only rounding.</summary>
        public double Missing(int row)
        {
            double rest = 1;
            for (int k = Starts[row]; k < Starts[row + 1]; k++) rest -= Weights[k];
            return Math.Abs(rest) < 1e-5 ? 0 : rest;
        }

        /// <summary>Return dense weights, rows times joints.</summary>
        public double[] ToDense(int joints)
        {
            var dense = new double[checked(Rows * joints)];
            for (int i = 0; i < Rows; i++)
            {
                for (int k = Starts[i]; k < Starts[i + 1]; k++) dense[i * joints + Joints[k]] += Weights[k];
            }
            return dense;
        }
    }
}
