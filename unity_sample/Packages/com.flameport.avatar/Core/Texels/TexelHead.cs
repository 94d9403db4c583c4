using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Texels of variant float or half back into the tables that the processor reads.</summary>
    internal sealed class TexelHead
    {
        private readonly TexelTables tables;

        public TexelHead(TexelTables tables) { this.tables = tables; }

        /// <summary>Return the head that a descriptor says.</summary>
        public Head Read(JsonValue said)
        {
            int count = said["vertices"].Integer("head.vertices"), faces = said["faces"].Integer("head.faces");
            JsonValue shapes = said["shapes"];
            int e = shapes["expr"].Integer("head.shapes.expr", 1 << 16), p = shapes["pose"].Integer("head.shapes.pose", 36);
            int l = shapes["eyelids"].Integer("head.shapes.eyelids", 2);
            if ((p != 0 && p != 36) || l == 1) throw new AvatarFormatException($"The head says {p} correctives and "
                + $"{l} eyelids. Export the avatar again.");
            SparseRows[] deltas = Deltas("head.", e + p + l, count);
            double[] parents = said["parents"].Numbers("head.parents");
            var head = new Head
            {
                Edition = said["edition"].Text(""),
                ContentHash = said["contentHash"].Text(""),
                Template = Rows("head.rest", count),
                Faces = Integers(tables.Need("head.faces"), faces, count),
                ExpressionNames = said["exprNames"].Texts("head.exprNames"),
                Expressions = deltas.AsSpan(0, e).ToArray(),
                Correctives = deltas.AsSpan(e, p).ToArray(),
                Eyelids = deltas.AsSpan(e + p, l).ToArray(),
                EyelidsPosed = said["eyelidSpace"].Choice("head.eyelidSpace", "rest", "posed") == "posed",
                JointNames = said["jointNames"].Texts("head.jointNames"),
                Parents = Array.ConvertAll(parents, x => checked((int)x)),
                Roles = GlbHead.Roles(said["jointRoles"], parents.Length),
                RestJoints = Array.ConvertAll(Rows("head.jointRest", parents.Length), x => (double)x),
                JointExpressions = tables.Find("head.jointDirs") == null ? null : JointExpressions(e, parents.Length),
                Weights = Weights("head.", count).Normalized(),
            };
            head.Check("the avatar");
            return head;
        }

        private float[] JointExpressions(int expressions, int joints)
        {
            float[] stored = Rows("head.jointDirs", checked(expressions * joints));
            var found = new float[stored.Length];
            for (int i = 0; i < expressions; i++)
            {
                for (int j = 0; j < joints; j++) Array.Copy(stored, 3 * (i * joints + j), found, 3
                    * (j * expressions + i), 3);
            }
            return found;
        }

        private static int[] Integers(TexelTable table, int count, int limit)
        {
            Expect(table, count);
            var found = new int[3 * count];
            for (int i = 0; i < found.Length; i++)
            {
                uint value = table.Words[i / 3 * 4 + i % 3];
                if (value >= limit) throw new AvatarFormatException($"Table '{table.Name}' names {value} of "
                    + $"{limit}. Export the avatar again.");
                found[i] = (int)value;
            }
            return found;
        }

        /// <summary>Fail unless a table has as many texels as it should.</summary>
        internal static void Expect(TexelTable table, long texels)
        {
            if (table.Count != texels) throw new AvatarFormatException($"Table '{table.Name}' has {table.Count} "
                + $"texels, expected {texels}. Export the avatar again.");
        }

        /// <summary>Return three floats a texel.</summary>
        internal float[] Rows(string name, int count)
        {
            TexelTable table = tables.Need(name);
            Expect(table, count);
            var found = new float[3 * count];
            for (int i = 0; i < found.Length; i++) found[i] = Finite(table.Float(i / 3 * 4 + i % 3), name);
            return found;
        }

        internal static float Finite(double value, string name) => double.IsNaN(value) || double.IsInfinity(value)
            ? throw new AvatarFormatException($"Table '{name}' holds NaN or infinity. Export the avatar again.")
                : (float)value;

        /// <summary>Return displacements, shape after shape.</summary>
        internal SparseRows[] Deltas(string prefix, int shapes, int count)
        {
            var found = new SparseRows[shapes];
            if (shapes == 0) return found;
            TexelTable table = tables.Need(prefix + "deltas");
            int perTexel = table.IsFloat ? 1 : 2, padded = (count + perTexel - 1) / perTexel;
            Expect(table, (long)shapes * padded);
            for (int s = 0; s < shapes; s++)
            {
                var dense = new float[3 * count];
                for (int v = 0; v < count; v++)
                {
                    int at = 4 * s * padded + 4 / perTexel * v;
                    for (int c = 0; c < 3; c++)
                    {
                        double value = table.IsFloat ? table.Float(at + c)
                            : TexelNumbers.FromHalf(table.Words[at + c / 2] >> (16 * (c % 2)) & 0xFFFF);
                        dense[3 * v + c] = Finite(value, table.Name);
                    }
                }
                found[s] = SparseRows.FromDense(dense, count);
            }
            return found;
        }

        /// <summary>Return skinning weights; rows that mean one sum to it.</summary>
        internal Influences Weights(string prefix, int count)
        {
            TexelTable? exact = tables.Find(prefix + "skinJoints"), shares = exact == null ? null
                : tables.Need(prefix + "skinWeights");
            TexelTable table = exact ?? tables.Need(prefix + "skin");
            int wide = 4 * table.PerItem;
            Expect(table, (long)count * table.PerItem);
            if (shares != null) Expect(shares, table.Count);
            var starts = new int[count + 1];
            var joints = new List<int>();
            var weights = new List<double>();
            for (int v = 0; v < count; v++)
            {
                double sum = 0;
                for (int k = 0; k < wide; k++)
                {
                    int at = v * wide + k, group = v * wide + k / 4 * 4;
                    double weight = shares != null ? shares.Float(at)
                        : (table.Words[group + k % 4 / 2] >> (16 * (k % 2)) & 0xFFFF) / 65535.0;
                    uint joint = exact != null ? exact.Words[at] : table.Words[group + 2] >> (8 * (k % 4)) & 0xFF;
                    sum += weight;
                    Put(table, joint, weight, joints, weights);
                }
                uint fifth = exact != null ? 0 : table.Words[v * wide + 3];
                if (fifth > 0) Put(table, fifth - 1, Math.Max(1 - sum, 0), joints, weights);
                starts[v + 1] = joints.Count;
            }
            return new Influences(starts, joints.ToArray(), weights.ToArray());
        }

        private static void Put(TexelTable table, uint joint, double weight, List<int> joints, List<double> weights)
        {
            if (weight == 0) return;
            if (joint >= table.Palette.Length || !(weight > 0)) throw new AvatarFormatException($"Table "
                + $"'{table.Name}' has a weight that makes no sense.");
            joints.Add(table.Palette[joint]);
            weights.Add(weight);
        }
    }
}
