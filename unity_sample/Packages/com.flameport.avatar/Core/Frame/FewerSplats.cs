using System;

namespace Flameport
{
    /// <summary>Splat layers of fewer Gaussians, for processors: those that cover most are kept.</summary>
    public static class FewerSplats
    {
        /// <summary>Return a layer of its <paramref name="most"/> Gaussians that cover most (opacity times the two larger
        /// scales), in their order; the layer itself where it has no more.</summary>
        public static SplatLayer Of(SplatLayer layer, int most)
        {
            int count = layer.Count;
            // A network that is told where Gaussians are is told of all.
            if (count <= most || (layer.Network != null && layer.Network.TakesMeans)) return layer;
            var worth = new double[count];
            var order = new int[count];
            for (int i = 0; i < count; i++)
            {
                double x = layer.Scales[3 * i], y = layer.Scales[3 * i + 1], z = layer.Scales[3 * i + 2];
                worth[i] = -layer.Opacities[i] * Math.Max(x * y, Math.Max(y * z, z * x));
                order[i] = i;
            }
            Array.Sort(worth, order);
            int[] kept = order.AsSpan(0, most).ToArray();
            Array.Sort(kept);
            return new SplatLayer
            {
                Name = layer.Name,
                Degree = layer.Degree,
                ShInHeadFrame = layer.ShInHeadFrame,
                Means = Take(layer.Means, kept, 3),
                Quats = Take(layer.Quats, kept, 4),
                Scales = Take(layer.Scales, kept, 3),
                Opacities = Take(layer.Opacities, kept, 1),
                Sh = Take(layer.Sh, kept, layer.ShNumbers),
                Binding = Bound(layer.Binding, kept),
                Dynamics = layer.Dynamics == null ? null : Moved(layer.Dynamics, kept, count),
                Network = layer.Network,
                NetworkRows = layer.Network == null ? null : layer.NetworkRows == null ? kept : Take(layer.NetworkRows, kept, 1),
                Order = layer.Order == null ? null : Take(layer.Order, kept, 1),
            };
        }

        private static T[] Take<T>(T[] rows, int[] kept, int width)
        {
            var taken = new T[kept.Length * width];
            for (int i = 0; i < kept.Length; i++) Array.Copy(rows, kept[i] * width, taken, i * width, width);
            return taken;
        }

        private static Binding Bound(Binding binding, int[] kept)
        {
            if (binding is FaceBinding face)
            {
                return new FaceBinding
                {
                    Face = Take(face.Face, kept, 1),
                    Barycentric = Take(face.Barycentric, kept, 2),
                    Frame = face.Frame,
                    OffsetScale = face.OffsetScale,
                    SplatScale = face.SplatScale,
                    Canonical = face.Canonical,
                    Unit = face.Unit,
                };
            }
            var skin = (SkinBinding)binding;
            int count = skin.Count;
            SparseRows[] Fewer(SparseRows[] shapes) => Array.ConvertAll(shapes,
                shape => SparseRows.FromDense(Take(shape.ToDense(count), kept, 3), kept.Length));
            return new SkinBinding
            {
                Rotation = skin.Rotation,
                Vertex = skin.Vertex == null ? null : Take(skin.Vertex, kept, 1),
                Own = skin.Own == null ? null : new SkinTables
                {
                    Expressions = Fewer(skin.Own.Expressions),
                    Correctives = Fewer(skin.Own.Correctives),
                    Eyelids = Fewer(skin.Own.Eyelids),
                    Weights = skin.Own.Weights.Take(kept),
                },
            };
        }

        private static LinearDynamics Moved(LinearDynamics dynamics, int[] kept, int count)
        {
            var tables = new float[]?[dynamics.Tables.Length];
            for (int c = 0; c < tables.Length; c++)
            {
                float[]? table = dynamics.Tables[c];
                if (table == null) continue;
                int width = LinearDynamics.Widths[c];
                var taken = new float[dynamics.Rank * kept.Length * width];
                for (int k = 0; k < dynamics.Rank; k++)
                {
                    for (int i = 0; i < kept.Length; i++)
                    {
                        Array.Copy(table, (k * count + kept[i]) * width, taken, (k * kept.Length + i) * width, width);
                    }
                }
                tables[c] = taken;
            }
            return new LinearDynamics { Posed = dynamics.Posed, Driver = dynamics.Driver, Mean = dynamics.Mean,
                Rank = dynamics.Rank, Function = dynamics.Function, Network = dynamics.Network, Tables = tables };
        }
    }
}
