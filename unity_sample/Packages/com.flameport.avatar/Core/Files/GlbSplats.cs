using System;

namespace Flameport
{
    /// <summary>Splat and strand layers of a GLB (`exporter/GLB.md`, 1.2, 1.3 and 1.5).</summary>
    internal sealed class GlbSplats
    {
        private const int Most = 1 << 24;

        private readonly Glb glb;
        private readonly GlbAccessors accessors;
        private readonly Head head;
        private readonly GlbNetworks networks;

        public GlbSplats(Glb glb, GlbAccessors accessors, Head head)
        {
            this.glb = glb;
            this.accessors = accessors;
            this.head = head;
            networks = new GlbNetworks(glb);
        }

        /// <summary>Return a layer of Gaussians, in its binding's local space.</summary>
        public SplatLayer Read(JsonValue entry, string where)
        {
            JsonValue primitive = glb.OnlyPrimitive(entry["mesh"], where + ".mesh"), attributes = primitive["attributes"];
            JsonValue splats = primitive["extensions"][Glb.Splats], own = splats["extensions"][Glb.Extension];
            if (splats["colorSpace"].Exists) splats["colorSpace"].Choice("colorSpace", "srgb_rec709_display");
            int count = accessors.Count(attributes["POSITION"], 3);
            JsonValue spec = own["binding"];
            if (own["order"].Exists) throw new AvatarFormatException($"{where}: lists Gaussians in another order, "
                + $"as grade small does.");
            Binding binding = new GlbBinding(accessors, head).Read(spec, count);
            bool onFaces = spec["kind"].Text("") == "face";
            bool added = binding is FaceBinding face && face.Frame == FaceFrame.Corner;
            var layer = new SplatLayer
            {
                Name = entry["name"].Text("splats"),
                Binding = binding,
                Means = !onFaces ? accessors.Floats(attributes["POSITION"], 3, count)
                    : spec["offset"].Exists ? accessors.Floats(spec["offset"], 3, count) : new float[3 * count],
                Quats = Wxyz(accessors.Floats(added ? spec["localRotation"] : Attribute(attributes, "ROTATION"), 4,
                    count), !added),
                Scales = accessors.Floats(Attribute(attributes, "SCALE"), 3, count),
                Opacities = accessors.Floats(Attribute(attributes, "OPACITY"), 1, count),
                ShInHeadFrame = own["shFrame"].Text("world") == "head",
            };
            JsonValue dynamics = own["dynamics"];
            if (dynamics.Exists && dynamics["tables"].Exists) layer.Dynamics = Dynamics(dynamics, count, where);
            else if (dynamics.Exists) layer.Network = networks.Deltas(dynamics["network"], count);
            layer.Sh = Harmonics(attributes, count, out layer.Degree);
            Rest.Undo(layer, head);
            return layer;
        }

        /// <summary>Return a layer of strands.</summary>
        public StrandLayer ReadStrands(JsonValue entry, string where)
        {
            JsonValue primitive = glb.OnlyPrimitive(entry["mesh"], where + ".mesh"), attributes = primitive["attributes"];
            JsonValue own = primitive["extensions"][Glb.Splats]["extensions"][Glb.Extension];
            int count = own["strandCount"].Integer(where + ".strandCount", Most), points =
                own["strandPoints"].Integer(where + ".strandPoints", Most);
            double segmentScale = own["segmentScale"].Number(where + ".segmentScale");
            if (count < 1 || points < 2 || (long)count * points > Most || !(segmentScale > 0 && segmentScale < 1e3))
            {
                throw new AvatarFormatException($"{where}: {count} strands of {points} points make no sense. Export "
                    + $"the avatar again.");
            }
            int segments = count * (points - 1);
            float[] scales = accessors.Floats(Attribute(attributes, "SCALE"), 3, segments);
            var widths = new float[segments];
            for (int i = 0; i < segments; i++) widths[i] = scales[3 * i + 1];
            if (!(new GlbBinding(accessors, head).Read(own["binding"], count) is FaceBinding binding))
            {
                throw new AvatarFormatException($"{where}: strands ride triangles only. Export the avatar again.");
            }
            return new StrandLayer
            {
                Name = entry["name"].Text("strands"),
                Binding = binding,
                PointsPerStrand = points,
                Points = accessors.Floats(own["points"], 3, count * points),
                SegmentScale = segmentScale,
                Widths = widths,
                Opacities = accessors.Floats(Attribute(attributes, "OPACITY"), 1, segments),
                Sh = accessors.Floats(Attribute(attributes, "SH_DEGREE_0_COEF_0"), 3, segments),
            };
        }

        private static JsonValue Attribute(JsonValue attributes, string name) => attributes[Glb.Splats + ":" + name];

        /// <summary>Turn xyzw into wxyz, of unit length where that is meant.</summary>
        private static float[] Wxyz(float[] rotations, bool unit)
        {
            var quats = new float[rotations.Length];
            for (int i = 0; i < quats.Length; i += 4)
            {
                double x = rotations[i], y = rotations[i + 1], z = rotations[i + 2], w = rotations[i + 3];
                double length = unit ? Math.Sqrt(x * x + y * y + z * z + w * w) : 1;
                if (length == 0) length = 1;
                quats[i] = (float)(w / length);
                quats[i + 1] = (float)(x / length);
                quats[i + 2] = (float)(y / length);
                quats[i + 3] = (float)(z / length);
            }
            return quats;
        }

        private float[] Harmonics(JsonValue attributes, int count, out int degree)
        {
            degree = 0;
            while (degree < 3 && Attribute(attributes, $"SH_DEGREE_{degree + 1}_COEF_0").Exists) degree++;
            int numbers = 3 * (degree + 1) * (degree + 1);
            var sh = new float[checked(count * numbers)];
            for (int band = 0, at = 0; band <= degree; band++)
            {
                for (int m = 0; m <= 2 * band; m++, at += 3)
                {
                    float[] values = accessors.Floats(Attribute(attributes, $"SH_DEGREE_{band}_COEF_{m}"), 3, count);
                    for (int i = 0; i < count; i++) Array.Copy(values, 3 * i, sh, i * numbers + at, 3);
                }
            }
            return sh;
        }

        private LinearDynamics Dynamics(JsonValue spec, int count, string where)
        {
            var found = new LinearDynamics
            {
                Posed = spec["space"].Choice("dynamics.space", "canonical", "posed") == "posed",
                Driver = spec["driver"].List("dynamics.driver").Texts("dynamics.driver"),
                Mean = spec["driverMean"].Exists ? accessors.Floats(spec["driverMean"], 1) : null,
                Rank = spec["rank"].Integer("dynamics.rank", 4096),
            };
            foreach (var entry in spec["tables"].Members)
            {
                int channel = Array.IndexOf(LinearDynamics.ChannelNames, entry.Key);
                if (channel < 0) throw new AvatarFormatException($"{where}: dynamics move '{entry.Key}', which is "
                    + $"unknown. Update the package.");
                int width = LinearDynamics.Widths[channel];
                float[] values = accessors.Floats(entry.Value, 1, checked(count * found.Rank * width));
                bool rankMajor = spec["rankMajor"].IsTrue;
                if (spec["scales"].Exists)
                {
                    float[] scales = accessors.Floats(spec["scales"][entry.Key], 1, count);
                    int row = rankMajor ? width : width * found.Rank;
                    for (int i = 0; i < values.Length; i++) values[i] *= scales[i / row % count];
                }
                found.Tables[channel] = rankMajor ? values : RankMajor(values, count, found.Rank, width);
            }
            if (spec["function"].Exists) found.Function = Function(spec["function"], found.Rank);
            if (spec["network"].Exists) found.Network = networks.Coefficients(spec["network"], found);
            Check(found, where);
            return found;
        }

        private CoefficientFunction Function(JsonValue spec, int rank)
        {
            float[] Numbers(string name) => accessors.Floats(spec[name], 1);
            bool hidden = spec["innerBias"].Exists;
            var none = new float[0];
            return new CoefficientFunction(rank, Numbers("linear"), Numbers("bias"), hidden ? Numbers("inner") : none,
                hidden ? Numbers("innerBias") : none, hidden ? Numbers("outer") : none, Numbers("low"), Numbers("high"));
        }

        internal static void Check(LinearDynamics dynamics, string where)
        {
            int driving = dynamics.Function?.DrivingCount ?? dynamics.Rank;
            // Its driver is cut up by names, and checked with the clip.
            if (dynamics.Network != null) driving = dynamics.Mean?.Length ?? 0;
            if (dynamics.Rank < 1 || (dynamics.Mean != null && dynamics.Mean.Length != driving))
            {
                throw new AvatarFormatException($"{where}: dynamics of rank {dynamics.Rank} have a mean of "
                    + $"{dynamics.Mean?.Length} numbers. Export it again.");
            }
        }

        /// <summary>Turn Gaussian-major tables into rank-major ones, for the loops that read them.</summary>
        internal static float[] RankMajor(float[] values, int count, int rank, int width)
        {
            var turned = new float[values.Length];
            for (int i = 0, at = 0; i < count; i++)
            {
                for (int k = 0; k < rank; k++, at += width) Array.Copy(values, at, turned, (k * count + i) * width, width);
            }
            return turned;
        }
    }
}
