using System;

namespace Flameport
{
    /// <summary>A layer of texels of variant float or half back into the tables that the processor reads.</summary>
    internal sealed class TexelSplats
    {
        private readonly TexelTables tables;
        private readonly Head head;
        private readonly string prefix;
        private readonly TexelHead shared;

        public TexelSplats(TexelTables tables, Head head, string prefix)
        {
            this.tables = tables;
            this.head = head;
            this.prefix = prefix;
            shared = new TexelHead(tables);
        }

        /// <summary>Return the layer that an entry of the descriptor says.</summary>
        public SplatLayer Read(JsonValue entry)
        {
            entry["kind"].Choice("layers.kind", "splats");
            int count = entry["count"].Integer("layers.count", 1 << 24);
            var layer = new SplatLayer
            {
                Name = entry["name"].Text("splats"),
                Degree = entry["shDegree"].Integer("layers.shDegree", 3),
                ShInHeadFrame = entry["shFrame"].Choice("layers.shFrame", "world", "head") == "head",
                Means = new float[3 * count],
                Quats = new float[4 * count],
                Scales = new float[3 * count],
                Opacities = new float[count],
            };
            layer.Sh = new float[checked(count * layer.ShNumbers)];
            int[] index = entry["splat"].Choice("layers.splat", "float", "half") == "float" ? FloatSplats(layer)
                : HalfSplats(layer);
            for (int i = 0; i < count; i++) Unit(layer.Quats.AsSpan(4 * i, 4));
            layer.Binding = Binding(entry["binding"], index);
            if (layer.Degree > 0)
            {
                float[] rest = Rows("sh", count, layer.ShNumbers - 3);
                for (int i = 0; i < rest.Length; i++) layer.Sh[i / (layer.ShNumbers - 3) * layer.ShNumbers + 3
                    + i % (layer.ShNumbers - 3)] = rest[i];
            }
            if (entry["dynamics"].Exists) layer.Dynamics = Dynamics(entry["dynamics"], count);
            return layer;
        }

        private static void Unit(Span<float> q)
        {
            double length = Math.Sqrt((double)q[0] * q[0] + (double)q[1] * q[1] + (double)q[2] * q[2] + (double)q[3] * q[3]);
            for (int c = 0; c < 4; c++) q[c] = (float)(q[c] / Math.Max(length, 1e-20));
        }

        private TexelTable Table(string name, int texels)
        {
            TexelTable table = tables.Need(prefix + name);
            TexelHead.Expect(table, texels);
            return table;
        }

        private int[] FloatSplats(SplatLayer layer)
        {
            int count = layer.Count;
            TexelTable a = Table("splatA", count), b = Table("splatB", count), c = Table("splatC", count), d =
                Table("splatD", count);
            var index = new int[count];
            for (int i = 0; i < count; i++)
            {
                for (int k = 0; k < 3; k++)
                {
                    layer.Means[3 * i + k] = TexelHead.Finite(a.Float(4 * i + k), a.Name);
                    layer.Scales[3 * i + k] = TexelHead.Finite((float)Math.Exp(c.Float(4 * i + k)), c.Name);
                    layer.Sh[i * layer.ShNumbers + k] = TexelHead.Finite((d.Float(4 * i + k)
                        - 0.5) / SphericalHarmonics.C0, d.Name);
                }
                for (int k = 0; k < 4; k++) layer.Quats[4 * i + k] = TexelHead.Finite(b.Float(4 * i + k), b.Name);
                layer.Opacities[i] = TexelHead.Finite(1 / (1 + Math.Exp(-c.Float(4 * i + 3))), c.Name);
                index[i] = unchecked((int)a.Words[4 * i + 3]);
            }
            return index;
        }

        private int[] HalfSplats(SplatLayer layer)
        {
            int count = layer.Count;
            TexelTable a = Table("splatA", count), b = Table("splatB", count);
            if (a.Low.Length != 3 || a.High.Length != 3 || b.Low.Length != 3 || b.High.Length != 3)
            {
                throw new AvatarFormatException($"Table '{a.Name}' lacks its box. Export the avatar again.");
            }
            var index = new int[count];
            for (int i = 0; i < count; i++)
            {
                for (int k = 0; k < 3; k++)
                {
                    uint place = a.Words[4 * i + k / 2] >> (16 * (k % 2)) & 0xFFFF;
                    layer.Means[3 * i + k] = TexelHead.Finite((float)TexelNumbers.FromUnorm(place, a.Low[k], a.High[k],
                        16), a.Name);
                    uint size = b.Words[4 * i + k / 2] >> (16 * (k % 2)) & 0xFFFF;
                    layer.Scales[3 * i + k] = TexelHead.Finite((float)Math.Exp(TexelNumbers.FromHalf(size)), b.Name);
                    uint color = b.Words[4 * i + 2] >> (8 * k) & 0xFF;
                    layer.Sh[i * layer.ShNumbers + k] =
                        TexelHead.Finite((TexelNumbers.FromUnorm(color, b.Low[k], b.High[k], 8)
                            - 0.5) / SphericalHarmonics.C0, b.Name);
                }
                for (int k = 0; k < 4; k++) layer.Quats[4 * i + k] = (float)TexelNumbers.FromSnorm(a.Words[4 * i + 2
                    + k / 2] >> (16 * (k % 2)) & 0xFFFF, 16);
                layer.Opacities[i] = TexelHead.Finite(1 / (1 + Math.Exp(-TexelNumbers.FromHalf(b.Words[4 * i
                    + 1] >> 16))), b.Name);
                index[i] = unchecked((int)b.Words[4 * i + 3]);
            }
            return index;
        }

        private Binding Binding(JsonValue said, int[] index)
        {
            int count = index.Length;
            if (said["kind"].Choice("binding.kind", "face", "skin") == "face")
            {
                Below(index, head.FaceCount);
                return GlbBinding.Checked(new FaceBinding
                {
                    Face = index,
                    Barycentric = Points(count),
                    Frame = (FaceFrame)GlbBinding.Named(said["frame"], "binding.frame", GlbBinding.Frames),
                    OffsetScale = (OffsetScale)GlbBinding.Named(said["offsetScale"], "binding.offsetScale",
                        GlbBinding.OffsetScales),
                    SplatScale = (SplatScale)GlbBinding.Named(said["splatScale"], "binding.splatScale",
                        GlbBinding.SplatScales),
                    Canonical = tables.Find(prefix + "canonical") == null ? null
                        : shared.Rows(prefix + "canonical", head.VertexCount),
                    Unit = said["unit"].Exists ? said["unit"].Number("binding.unit") : 1,
                });
            }
            var rotation = (SkinRotation)GlbBinding.Named(said["rotation"], "binding.rotation", GlbBinding.Rotations);
            if (said["sharesVertices"].IsTrue)
            {
                Below(index, head.VertexCount);
                return new SkinBinding { Vertex = index, Rotation = rotation };
            }
            if (rotation == SkinRotation.Surface) throw new AvatarFormatException("A skin binding of its own tables "
                + "cannot turn with the surface.");
            JsonValue shapes = said["shapes"];
            int e = shapes["expr"].Integer("shapes.expr", head.Expressions.Length), p =
                shapes["pose"].Integer("shapes.pose", 36);
            int l = shapes["eyelids"].Integer("shapes.eyelids", 2);
            SparseRows[] deltas = shared.Deltas(prefix, e + p + l, count);
            Influences weights = shared.Weights(prefix, count);
            Below(weights.Joints, head.JointCount);
            return new SkinBinding
            {
                Rotation = rotation,
                Own = new SkinTables
                {
                    Expressions = deltas.AsSpan(0, e).ToArray(),
                    Correctives = deltas.AsSpan(e, p).ToArray(),
                    Eyelids = deltas.AsSpan(e + p, l).ToArray(),
                    Weights = weights,
                },
            };
        }

        private void Below(int[] index, int limit)
        {
            foreach (int i in index)
            {
                if (i < 0 || i >= limit) throw new AvatarFormatException($"Layer '{prefix}' names entry {i} of "
                    + $"{limit} of the head. Export the avatar again.");
            }
        }

        private float[] Points(int count)
        {
            TexelTable table = tables.Need(prefix + "point");
            var found = new float[2 * count];
            if (table.IsFloat)
            {
                TexelHead.Expect(table, (count + 1) / 2);
                for (int i = 0; i < found.Length; i++) found[i] = TexelHead.Finite(table.Float(i), table.Name);
                return found;
            }
            TexelHead.Expect(table, (count + 3) / 4);
            if (table.Low.Length != 2 || table.High.Length != 2) throw new AvatarFormatException($"Table "
                + $"'{table.Name}' lacks its box.");
            for (int i = 0; i < found.Length; i++)
            {
                uint q = table.Words[i / 2] >> (16 * (i % 2)) & 0xFFFF;
                found[i] = TexelHead.Finite((float)TexelNumbers.FromUnorm(q, table.Low[i % 2], table.High[i % 2], 16),
                    table.Name);
            }
            return found;
        }

        /// <summary>Return rows of numbers, <paramref name="width"/> a Gaussian.</summary>
        private float[] Rows(string name, int count, int width)
        {
            TexelTable table = tables.Need(prefix + name);
            int words = table.IsFloat ? width : (width + 1) / 2, wide = (words + 3) / 4 * 4;
            TexelHead.Expect(table, (long)count * wide / 4);
            if (table.Numbers != width || (!table.IsFloat
                && table.Bits != 16)) throw new AvatarFormatException($"Table '{table.Name}' has rows of other numbers.");
            var found = new float[checked(count * width)];
            for (int i = 0; i < found.Length; i++)
            {
                int row = i / width * wide, column = i % width;
                double value = table.IsFloat ? table.Float(row + column)
                    : TexelNumbers.FromHalf(table.Words[row + column / 2] >> (16 * (column % 2)) & 0xFFFF);
                found[i] = TexelHead.Finite(value, table.Name);
            }
            return found;
        }

        private LinearDynamics Dynamics(JsonValue said, int count)
        {
            said["kind"].Choice("dynamics.kind", "linear");
            if (said["network"].Exists) throw new AvatarFormatException("A network gives the dynamics' "
                + "coefficients, and this package runs none.");
            string[] channels = said["channels"].List("dynamics.channels").Texts("dynamics.channels");
            var found = new LinearDynamics
            {
                Posed = said["space"].Choice("dynamics.space", "canonical", "posed") == "posed",
                Driver = said["driver"].List("dynamics.driver").Texts("dynamics.driver"),
                Mean = said["driverMean"].Exists ? Array.ConvertAll(said["driverMean"].Numbers("dynamics.driverMean"),
                    x => (float)x) : null,
                Rank = said["rank"].Integer("dynamics.rank", 4096),
            };
            if (said["function"].Exists) found.Function = Function(said["function"], found.Rank);
            GlbSplats.Check(found, prefix);
            int each = 0;
            foreach (string name in channels) each += LinearDynamics.Widths[Channel(name)];
            bool bytes = tables.Find(prefix + "dynamicsSteps") != null;
            float[] rows = bytes ? Bytes(channels, count, found.Rank, each) : Rows("dynamics", count, checked(found.Rank * each));
            // Shaders read numbers of the variant.
            if (bytes) new SplatPacker(tables, prefix).DynamicsRows(rows, found.Rank * each);
            int start = 0;
            foreach (string name in channels)
            {
                int channel = Channel(name), width = LinearDynamics.Widths[channel];
                var table = new float[count * found.Rank * width];
                for (int i = 0; i < count; i++)
                {
                    for (int k = 0; k < found.Rank; k++)
                    {
                        Array.Copy(rows, (i * found.Rank + k) * each + start, table, (k * count + i) * width, width);
                    }
                }
                found.Tables[channel] = table;
                start += width;
            }
            return found;
        }

        /// <summary>Return dynamics that are bytes, each times its Gaussian's step of the channel.</summary>
        private float[] Bytes(string[] channels, int count, int rank, int each)
        {
            int width = checked(rank * each);
            TexelTable table = Table("dynamics", checked(count * ((width + 15) / 16)));
            if (table.IsFloat || table.Bits != 8 || table.Numbers != width)
            {
                throw new AvatarFormatException($"Table '{table.Name}' has steps and rows of other than {width} bytes.");
            }
            float[] steps = FloatRows("dynamicsSteps", count, channels.Length);
            var found = new float[checked(count * width)];
            int words = (width + 15) / 16 * 4, at = 0;
            for (int i = 0; i < count; i++)
            {
                for (int k = 0, column = 0; k < rank; k++)
                {
                    for (int c = 0; c < channels.Length; c++)
                    {
                        float step = steps[i * channels.Length + c];
                        for (int n = 0; n < LinearDynamics.Widths[Channel(channels[c])]; n++, column++, at++)
                        {
                            uint word = table.Words[i * words + column / 4];
                            found[at] = unchecked((sbyte)(word >> (8 * (column % 4)))) * step;
                        }
                    }
                }
            }
            return found;
        }

        private float[] FloatRows(string name, int count, int width)
        {
            if (!tables.Need(prefix + name).IsFloat) throw new AvatarFormatException($"Table '{prefix + name}' has "
                + $"other numbers than floats.");
            return Rows(name, count, width);
        }

        private CoefficientFunction Function(JsonValue said, int rank)
        {
            int d = said["driving"].Integer("function.driving", 1 << 16), h = said["hidden"].Integer("function.hidden",
                4096), at = 0;
            float[] all = FloatRows("function", 1, checked(rank * d + rank + h * d + h + rank * h + 2 * d));
            float[] Next(int length) => all.AsSpan((at += length) - length, length).ToArray();
            return new CoefficientFunction(rank, Next(rank * d), Next(rank), Next(h * d), Next(h), Next(rank * h), Next(d),
                Next(d));
        }

        private static int Channel(string name)
        {
            int channel = Array.IndexOf(LinearDynamics.ChannelNames, name);
            return channel >= 0 ? channel : throw new AvatarFormatException($"Dynamics move '{name}', which is "
                + $"unknown. Update the package.");
        }
    }
}
