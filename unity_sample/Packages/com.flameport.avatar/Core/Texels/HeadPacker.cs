using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>The head's tables as texels (`exporter/TEXELS.md`), the same bytes as Python's and the web
    /// player's.</summary>
    internal sealed class HeadPacker
    {
        /// <summary>Smaller weights are none.</summary>
        private const double NoWeight = 1e-7;
        private const int MostInfluences = 8;

        private readonly TexelTables tables;
        private readonly TexelVariant variant;

        public HeadPacker(TexelTables tables)
        {
            this.tables = tables;
            variant = tables.Variant;
        }

        public void Pack(Head head)
        {
            Floats("head.rest", Array.ConvertAll(head.Template, x => (double)x), 3);
            Deltas("head.", head.Expressions, head.Correctives, head.Eyelids, head.VertexCount);
            Skin("head.", head.Weights, head.JointCount);
            tables.Add(new TexelTable("head.faces", false, TexelNumbers.RowsToTexels(Array.ConvertAll(head.Faces, v =>
                (uint)v), 3)));
            Floats("head.jointRest", head.RestJoints, 3);
            if (head.JointExpressions == null || Array.TrueForAll(head.JointExpressions, x => x == 0)) return;
            int e = head.Expressions.Length, joints = head.JointCount;
            var turned = new double[head.JointExpressions.Length];
            for (int j = 0; j < joints; j++)
            {
                for (int i = 0; i < 3 * e; i++) turned[(i / 3 * joints + j) * 3 + i % 3] =
                    head.JointExpressions[j * 3 * e + i];
            }
            Floats("head.jointDirs", turned, 3);
        }

        /// <summary>Add rows of up to four floats, a texel each.</summary>
        internal TexelTable Floats(string name, double[] values, int width)
        {
            var table = new TexelTable(name, true, TexelNumbers.RowsToTexels(Array.ConvertAll(values,
                TexelNumbers.FloatBits), width));
            tables.Add(table);
            return table;
        }

        /// <summary>Add displacements of expressions, correctives and eyelids.</summary>
        internal void Deltas(string prefix, SparseRows[] expressions, SparseRows[] correctives, SparseRows[] eyelids,
            int count)
        {
            var shapes = new List<SparseRows>(expressions);
            shapes.AddRange(correctives);
            shapes.AddRange(eyelids);
            if (shapes.Count == 0) return;
            int perTexel = variant == TexelVariant.Float ? 1 : variant == TexelVariant.Half ? 2 : 4, words = 4 / perTexel;
            int padded = (count + perTexel - 1) / perTexel * perTexel;
            var packed = new uint[checked(shapes.Count * padded * words)];
            var scales = new double[3 * shapes.Count];
            for (int s = 0; s < shapes.Count; s++)
            {
                float[] dense = shapes[s].ToDense(count);
                for (int i = 0; i < dense.Length; i++) scales[3 * s + i % 3] =
                    Math.Max(scales[3 * s + i % 3], Math.Abs(dense[i]));
                for (int v = 0; v < count; v++)
                {
                    int at = (s * padded + v) * words;
                    float x = dense[3 * v], y = dense[3 * v + 1], z = dense[3 * v + 2];
                    if (variant == TexelVariant.Float)
                    {
                        packed[at] = TexelNumbers.FloatBits(x);
                        packed[at + 1] = TexelNumbers.FloatBits(y);
                        packed[at + 2] = TexelNumbers.FloatBits(z);
                    }
                    else if (variant == TexelVariant.Half)
                    {
                        packed[at] = TexelNumbers.Two(TexelNumbers.Half(x), TexelNumbers.Half(y));
                        packed[at + 1] = TexelNumbers.Half(z);
                    }
                    else
                    {
                        packed[at] = TexelNumbers.ThreeSnorms(Share(x, scales[3 * s]), Share(y, scales[3 * s + 1]),
                            Share(z, scales[3 * s + 2]));
                    }
                }
            }
            tables.Add(new TexelTable(prefix + "deltas", variant == TexelVariant.Float, packed) { PerTexel = perTexel });
            if (variant == TexelVariant.Quantised) Floats(prefix + "deltaScales", scales, 3);
        }

        private static double Share(double x, double scale) => x / (scale > 0 ? scale : 1);

        /// <summary>Add joints and weights; what a row lacks to 1 stays, or is the fifth joint's where one is
        /// named.</summary>
        internal void Skin(string prefix, Influences influences, int joints)
        {
            int count = influences.Rows;
            double[] held = influences.ToDense(joints);
            var used = new bool[joints];
            for (int i = 0; i < held.Length; i++)
            {
                if (held[i] > NoWeight) used[i % joints] = true;
                else held[i] = 0;
            }
            var palette = new List<int>();
            for (int j = 0; j < joints; j++)
            {
                if (used[j]) palette.Add(j);
            }
            if (palette.Count > 255) throw new AvatarFormatException($"{palette.Count} joints move vertices; a byte "
                + $"names 255.");
            int most = 1;
            bool whole = true;
            var orders = new int[count][];
            for (int v = 0; v < count; v++)
            {
                orders[v] = Order(held, v * joints, palette, out int number, out double sum);
                most = Math.Max(most, number);
                whole &= Math.Abs(sum - 1) < 1e-5;
            }
            var row = new SkinRow(held, joints, palette.ToArray(), orders, most, whole);
            if (variant == TexelVariant.Float) FloatSkin(prefix, row);
            else if (most > MostInfluences) throw new AvatarFormatException($"{most} joints move one vertex; texels "
                + $"hold {MostInfluences}.");
            else PackedSkin(prefix, row);
        }

        /// <summary>Places in the palette, of falling weight; equal ones in order.</summary>
        private static int[] Order(double[] held, int start, List<int> palette, out int number, out double sum)
        {
            var order = new int[palette.Count];
            number = 0;
            sum = 0;
            for (int k = 0; k < order.Length; k++)
            {
                double weight = held[start + palette[k]];
                if (weight > 0) number++;
                int at = k;
                while (at > 0 && held[start + palette[order[at - 1]]] < weight)
                {
                    order[at] = order[at - 1];
                    at--;
                }
                order[at] = k;
            }
            foreach (int k in order) sum += held[start + palette[k]];
            return order;
        }

        private sealed class SkinRow
        {
            public SkinRow(double[] held, int joints, int[] palette, int[][] orders, int most, bool whole)
            {
                this.held = held;
                this.joints = joints;
                Palette = palette;
                Orders = orders;
                Most = most;
                Whole = whole;
            }

            private readonly double[] held;
            private readonly int joints;
            public readonly int[] Palette;
            public readonly int[][] Orders;
            public readonly int Most;
            public readonly bool Whole;

            public double Weight(int v, int k) => held[v * joints + Palette[Orders[v][k]]];
        }

        private void FloatSkin(string prefix, SkinRow row)
        {
            int groups = (row.Most + 3) / 4, wide = 4 * groups;
            var joints = new uint[row.Orders.Length * wide];
            var shares = new double[joints.Length];
            for (int v = 0; v < row.Orders.Length; v++)
            {
                for (int k = 0; k < row.Most; k++)
                {
                    joints[v * wide + k] = (uint)row.Orders[v][k];
                    shares[v * wide + k] = row.Weight(v, k);
                }
            }
            tables.Add(new TexelTable(prefix + "skinJoints", false, joints) { PerItem = groups, Palette = row.Palette,
                SumsToOne = row.Whole });
            Floats(prefix + "skinWeights", shares, 4).PerItem = groups;
        }

        private void PackedSkin(string prefix, SkinRow row)
        {
            bool implied = row.Most == 5 && row.Whole;
            int groups = row.Most <= 4 || implied ? 1 : 2, wide = 4 * groups;
            var words = new uint[row.Orders.Length * wide];
            var q = new long[wide];
            var joints = new uint[wide];
            for (int v = 0; v < row.Orders.Length; v++)
            {
                long sum = 0;
                Array.Clear(q, 0, wide);
                Array.Clear(joints, 0, wide);
                for (int k = 0; k < Math.Min(row.Most, wide); k++)
                {
                    q[k] = (long)Math.Floor(row.Weight(v, k) * 65535 + 0.5);
                    joints[k] = (uint)row.Orders[v][k];
                    sum += q[k];
                }
                long excess = sum - 65535, taken = row.Whole && !implied ? excess : Math.Max(excess, 0);
                q[0] -= taken;
                uint fifth = implied && row.Weight(v, 4) > 0 ? (uint)row.Orders[v][4] + 1 : 0;
                // Rows of four joints or fewer have nobody to give the rest to.
                if (implied && fifth == 0) q[0] -= sum - taken - 65535;
                for (int g = 0; g < groups; g++)
                {
                    int at = v * wide + 4 * g, k = 4 * g;
                    words[at] = TexelNumbers.Two((uint)q[k], (uint)q[k + 1]);
                    words[at + 1] = TexelNumbers.Two((uint)q[k + 2], (uint)q[k + 3]);
                    words[at + 2] = TexelNumbers.Four(joints[k], joints[k + 1], joints[k + 2], joints[k + 3]);
                    words[at + 3] = fifth;
                }
            }
            tables.Add(new TexelTable(prefix + "skin", false, words) { PerItem = groups, Palette = row.Palette,
                SumsToOne = row.Whole });
        }
    }
}
