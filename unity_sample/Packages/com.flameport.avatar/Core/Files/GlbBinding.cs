using System;

namespace Flameport
{
    /// <summary>How a layer of a GLB rides the head (`exporter/GLB.md`, 1.2).</summary>
    internal sealed class GlbBinding
    {
        internal static readonly string[] Frames = { "face", "vertex", "none", "corner", "root" };
        internal static readonly string[] OffsetScales = { "none", "edge_height", "double_area" };
        internal static readonly string[] SplatScales = { "none", "edge_height", "log_area_ratio" };
        internal static readonly string[] Rotations = { "none", "skin", "surface" };

        private readonly GlbAccessors accessors;
        private readonly Head head;

        public GlbBinding(GlbAccessors accessors, Head head)
        {
            this.accessors = accessors;
            this.head = head;
        }

        /// <summary>Return how <paramref name="count"/> elements ride the head.</summary>
        public Binding Read(JsonValue spec, int count)
        {
            if (spec["kind"].Choice("binding.kind", "face", "skin") == "skin") return Skin(spec, count);
            return Checked(new FaceBinding
            {
                Face = accessors.Integers(spec["face"], 1, count, head.FaceCount),
                Barycentric = accessors.Floats(spec["barycentric"], 2, count),
                Frame = (FaceFrame)Named(spec["frame"], "binding.frame", Frames),
                OffsetScale = (OffsetScale)Named(spec["offsetScale"], "binding.offsetScale", OffsetScales),
                SplatScale = (SplatScale)Named(spec["splatScale"], "binding.splatScale", SplatScales),
                Canonical = spec["canonicalVertices"].Exists ? accessors.Floats(spec["canonicalVertices"], 3,
                    head.VertexCount) : null,
                Unit = spec["unit"].Exists ? spec["unit"].Number("binding.unit") : 1,
            });
        }

        internal static int Named(JsonValue value, string field, string[] names) =>
            Array.IndexOf(names, value.Choice(field, names));

        internal static FaceBinding Checked(FaceBinding binding)
        {
            bool needs = binding.Frame == FaceFrame.Vertex || binding.SplatScale == SplatScale.LogAreaRatio;
            if (!(binding.Unit > 0 && binding.Unit < 1e6) || (needs && binding.Canonical == null))
            {
                throw new AvatarFormatException("A binding lacks its canonical vertices, or its unit makes no "
                    + "sense. Export the avatar again.");
            }
            return binding;
        }

        private SkinBinding Skin(JsonValue spec, int count)
        {
            var rotation = (SkinRotation)(spec["rotation"].Exists ? Named(spec["rotation"], "binding.rotation",
                Rotations) : 0);
            if (spec["sharesVertices"].IsTrue)
            {
                if (count != head.VertexCount) throw new AvatarFormatException("A layer that shares the head's "
                    + "vertices has another number of them.");
                var all = new int[count];
                for (int i = 0; i < count; i++) all[i] = i;
                return new SkinBinding { Vertex = all, Rotation = rotation };
            }
            if (spec["vertex"].Exists)
            {
                return new SkinBinding { Vertex = accessors.Integers(spec["vertex"], 1, count, head.VertexCount),
                    Rotation = rotation };
            }
            if (rotation == SkinRotation.Surface || spec["tables"].Exists)
            {
                throw new AvatarFormatException("A skin binding has tables that this package does not read; use "
                    + "'flameport export X.avatar unity'.");
            }
            return new SkinBinding
            {
                Rotation = rotation,
                Own = new SkinTables
                {
                    Expressions = Directions(spec["exprdirs"], count, head.Expressions.Length),
                    Correctives = Directions(spec["posedirs"], count, 36),
                    Eyelids = Directions(spec["eyeliddirs"], count, 2),
                    Weights = Influences.FromDense(accessors.Floats(spec["lbsWeights"], 1,
                        checked(count * head.JointCount)), count, head.JointCount),
                },
            };
        }

        /// <summary>Split K * N rows into K directions of N.</summary>
        private SparseRows[] Directions(JsonValue accessor, int count, int most)
        {
            if (!accessor.Exists) return new SparseRows[0];
            float[] values = accessors.Floats(accessor, 3);
            int k = values.Length / (3 * count);
            if (k * 3 * count != values.Length || k > most) throw new AvatarFormatException("A binding's own "
                + "blendshapes do not fit the head.");
            var directions = new SparseRows[k];
            for (int i = 0; i < k; i++) directions[i] = SparseRows.FromDense(values.AsSpan(3 * count * i, 3
                * count).ToArray(), count);
            return directions;
        }
    }
}
