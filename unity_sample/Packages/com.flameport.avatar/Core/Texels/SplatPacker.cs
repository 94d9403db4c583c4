using System;

namespace Flameport
{
    /// <summary>A splat layer's tables as texels (`exporter/TEXELS.md`), the same bytes as Python's and the web
    /// player's.</summary>
    internal sealed class SplatPacker
    {
        private readonly TexelTables tables;
        private readonly string prefix;
        private readonly HeadPacker head;

        public SplatPacker(TexelTables tables, string prefix)
        {
            this.tables = tables;
            this.prefix = prefix;
            head = new HeadPacker(tables);
        }

        public void Pack(SplatLayer layer)
        {
            int count = layer.Count;
            int[] index = new int[count];
            bool signed = false;
            if (layer.Binding is FaceBinding binding)
            {
                index = binding.Face;
                signed = binding.Frame == FaceFrame.Corner;
                Points(binding.Barycentric);
                if (binding.Canonical != null) head.Floats(prefix + "canonical",
                    Array.ConvertAll(binding.Canonical, x => (double)x), 3);
            }
            else
            {
                var skin = (SkinBinding)layer.Binding;
                if (skin.Vertex != null) index = skin.Vertex;
                if (skin.Own != null) Own(skin.Own, count);
            }
            TexelVariant stored = tables.Variant;
            bool large = Array.Exists(index, i => i >= 1 << 24);
            if (stored == TexelVariant.Quantised && (signed || large)) stored = TexelVariant.Half;
            var parts = new Parts(layer, index);
            if (stored == TexelVariant.Float) FloatSplats(layer, parts);
            else if (stored == TexelVariant.Half) HalfSplats(layer, parts);
            else QuantisedSplats(layer, parts);
            if (layer.Degree > 0) Harmonics(layer);
            if (layer.Dynamics != null) Dynamics(layer.Dynamics, count);
        }

        private void Own(SkinTables own, int count)
        {
            int joints = 0;
            foreach (int joint in own.Weights.Joints) joints = Math.Max(joints, joint + 1);
            head.Deltas(prefix, own.Expressions, own.Correctives, own.Eyelids, count);
            head.Skin(prefix, own.Weights, Math.Max(joints, 1));
        }

        /// <summary>What every variant needs: float64.</summary>
        private sealed class Parts
        {
            public Parts(SplatLayer layer, int[] index)
            {
                Index = index;
                Means = Array.ConvertAll(layer.Means, x => (double)x);
                LogScales = Array.ConvertAll(layer.Scales, s => Math.Log(Math.Max(s, 1e-30)));
                Logits = Array.ConvertAll(layer.Opacities, p =>
                {
                    double inside = Math.Min(Math.Max((double)p, 1e-7), 1 - 1e-7);
                    return Math.Log(inside) - Math.Log(1 - inside);
                });
                Rgb = new double[3 * layer.Count];
                for (int i = 0; i < Rgb.Length; i++) Rgb[i] = layer.Sh[i / 3 * layer.ShNumbers + i % 3]
                    * SphericalHarmonics.C0 + 0.5;
            }

            public readonly int[] Index;
            public readonly double[] Means, LogScales, Logits, Rgb;
        }

        private void Points(float[] barycentric)
        {
            double[] two = Array.ConvertAll(barycentric, x => (double)x);
            if (tables.Variant == TexelVariant.Float)
            {
                tables.Add(new TexelTable(prefix + "point", true, TexelNumbers.Several(Array.ConvertAll(two,
                    TexelNumbers.FloatBits))) { PerTexel = 2 });
                return;
            }
            TexelBox box = TexelBox.Of(two, 2, true);
            var words = new uint[two.Length / 2];
            for (int i = 0; i < words.Length; i++)
            {
                words[i] = TexelNumbers.Two(TexelNumbers.Unorm(two[2 * i], box, 0, 16),
                    TexelNumbers.Unorm(two[2 * i + 1], box, 1, 16));
            }
            tables.Add(new TexelTable(prefix + "point", false, TexelNumbers.Several(words)) { PerTexel = 4, Low =
                box.Low, High = box.High });
        }

        private void FloatSplats(SplatLayer layer, Parts parts)
        {
            var a = new uint[4 * layer.Count];
            var c = new double[4 * layer.Count];
            for (int i = 0; i < layer.Count; i++)
            {
                for (int k = 0; k < 3; k++)
                {
                    a[4 * i + k] = TexelNumbers.FloatBits(layer.Means[3 * i + k]);
                    c[4 * i + k] = parts.LogScales[3 * i + k];
                }
                a[4 * i + 3] = (uint)parts.Index[i];
                c[4 * i + 3] = parts.Logits[i];
            }
            tables.Add(new TexelTable(prefix + "splatA", false, a));
            head.Floats(prefix + "splatB", Array.ConvertAll(layer.Quats, x => (double)x), 4);
            head.Floats(prefix + "splatC", c, 4);
            head.Floats(prefix + "splatD", parts.Rgb, 3);
        }

        private void HalfSplats(SplatLayer layer, Parts parts)
        {
            TexelBox box = TexelBox.Of(parts.Means, 3), colors = TexelBox.Of(parts.Rgb, 3, true);
            var a = new uint[4 * layer.Count];
            var b = new uint[4 * layer.Count];
            Span<uint> q = stackalloc uint[4];
            Span<uint> h = stackalloc uint[3];
            for (int i = 0; i < layer.Count; i++)
            {
                for (int k = 0; k < 4; k++) q[k] = TexelNumbers.Snorm(layer.Quats[4 * i + k], 16);
                for (int k = 0; k < 3; k++) h[k] = TexelNumbers.Half(parts.LogScales[3 * i + k]);
                a[4 * i] = TexelNumbers.Two(TexelNumbers.Unorm(parts.Means[3 * i], box, 0, 16),
                    TexelNumbers.Unorm(parts.Means[3 * i + 1], box, 1, 16));
                a[4 * i + 1] = TexelNumbers.Unorm(parts.Means[3 * i + 2], box, 2, 16);
                a[4 * i + 2] = TexelNumbers.Two(q[0], q[1]);
                a[4 * i + 3] = TexelNumbers.Two(q[2], q[3]);
                b[4 * i] = TexelNumbers.Two(h[0], h[1]);
                b[4 * i + 1] = TexelNumbers.Two(h[2], TexelNumbers.Half(parts.Logits[i]));
                b[4 * i + 2] = Color(layer, parts, colors, i);
                b[4 * i + 3] = (uint)parts.Index[i];
            }
            tables.Add(new TexelTable(prefix + "splatA", false, a) { Low = box.Low, High = box.High });
            tables.Add(new TexelTable(prefix + "splatB", false, b) { Low = colors.Low, High = colors.High });
        }

        private void QuantisedSplats(SplatLayer layer, Parts parts)
        {
            TexelBox box = TexelBox.Of(parts.Means, 3), colors = TexelBox.Of(parts.Rgb, 3, true), sizes =
                TexelBox.Of(parts.LogScales, 3);
            var a = new uint[4 * layer.Count];
            var b = new uint[layer.Count];
            Span<uint> s = stackalloc uint[3];
            for (int i = 0; i < layer.Count; i++)
            {
                for (int k = 0; k < 3; k++) s[k] = TexelNumbers.Unorm(parts.LogScales[3 * i + k], sizes, k, 8);
                a[4 * i] = TexelNumbers.Two(TexelNumbers.Unorm(parts.Means[3 * i], box, 0, 16),
                    TexelNumbers.Unorm(parts.Means[3 * i + 1], box, 1, 16));
                a[4 * i + 1] = TexelNumbers.Unorm(parts.Means[3 * i + 2], box, 2, 16) | (s[0] << 16) | (s[1] << 24);
                a[4 * i + 2] = TexelNumbers.SmallestThree(layer.Quats.AsSpan(4 * i, 4));
                a[4 * i + 3] = Color(layer, parts, colors, i);
                b[i] = (uint)parts.Index[i] | (s[2] << 24);
            }
            tables.Add(new TexelTable(prefix + "splatA", false, a)
            {
                Low = box.Low, High = box.High, ScaleLow = sizes.Low, ScaleHigh = sizes.High, ColorLow = colors.Low,
                    ColorHigh = colors.High,
            });
            tables.Add(new TexelTable(prefix + "splatB", false, TexelNumbers.Several(b)) { PerTexel = 4 });
        }

        private static uint Color(SplatLayer layer, Parts parts, in TexelBox colors, int i)
        {
            uint alpha = (uint)Math.Min(Math.Max(Math.Floor(layer.Opacities[i] * 255.0 + 0.5), 0), 255);
            return TexelNumbers.Four(TexelNumbers.Unorm(parts.Rgb[3 * i], colors, 0, 8),
                TexelNumbers.Unorm(parts.Rgb[3 * i + 1], colors, 1, 8),
                TexelNumbers.Unorm(parts.Rgb[3 * i + 2], colors, 2, 8), alpha);
        }

        private void Harmonics(SplatLayer layer)
        {
            int width = layer.ShNumbers - 3;
            var rest = new double[layer.Count * width];
            for (int i = 0; i < rest.Length; i++) rest[i] = layer.Sh[i / width * layer.ShNumbers + 3 + i % width];
            Rows(prefix + "sh", rest, width, 8);
        }

        private void Dynamics(LinearDynamics dynamics, int count)
        {
            int width = 0;
            for (int c = 0; c < dynamics.Tables.Length; c++) width += dynamics.Tables[c] == null ? 0
                : LinearDynamics.Widths[c];
            width *= dynamics.Rank;
            var all = new double[checked(count * width)];
            int at = 0;
            for (int i = 0; i < count; i++)
            {
                for (int k = 0; k < dynamics.Rank; k++)
                {
                    for (int c = 0; c < dynamics.Tables.Length; c++)
                    {
                        float[]? table = dynamics.Tables[c];
                        int wide = LinearDynamics.Widths[c];
                        for (int n = 0; table != null && n < wide; n++) all[at++] = table[(k * count + i) * wide + n];
                    }
                }
            }
            Rows(prefix + "dynamics", all, width, 16);
        }

        /// <summary>Put numbers of the variant in place of dynamics that a file holds as bytes.</summary>
        internal void DynamicsRows(float[] rows, int width) =>
            Rows(prefix + "dynamics", Array.ConvertAll(rows, x => (double)x), width, 16);

        /// <summary>Add a row of numbers per Gaussian: float32, float16, or snorms of some bits times each column's
        /// scale.</summary>
        private void Rows(string name, double[] values, int width, int bits)
        {
            if (tables.Variant == TexelVariant.Float)
            {
                head.Floats(name, values, width).Numbers = width;
                return;
            }
            var scales = new double[width];
            for (int i = 0; i < values.Length; i++) scales[i % width] =
                Math.Max(scales[i % width], Math.Abs((float)values[i]));
            bool half = tables.Variant == TexelVariant.Half;
            if (half) bits = 16;
            else head.Floats(name + "Scales", scales, width).Numbers = width;
            int perWord = 32 / bits, perRow = (width + perWord - 1) / perWord;
            var words = new uint[values.Length / width * perRow];
            for (int i = 0; i < values.Length; i++)
            {
                int column = i % width;
                double scale = scales[column] > 0 ? scales[column] : 1;
                uint q = half ? TexelNumbers.Half(values[i]) : TexelNumbers.Snorm(values[i] / scale, bits);
                words[i / width * perRow + column / perWord] |= q << (bits * (column % perWord));
            }
            tables.Add(new TexelTable(name, false, TexelNumbers.RowsToTexels(words, perRow)) { Numbers = width, Bits =
                bits });
        }
    }
}
