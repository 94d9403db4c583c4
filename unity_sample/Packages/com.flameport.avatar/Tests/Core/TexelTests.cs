using System;
using System.Collections.Generic;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>The packer gives the same bytes as Python's and the web player's.</summary>
    public class TexelTests
    {
        [TestCase("corner", TexelVariant.Float)]
        [TestCase("corner", TexelVariant.Half)]
        [TestCase("corner", TexelVariant.Quantised)]
        [TestCase("faces-dynamics", TexelVariant.Float)]
        [TestCase("faces-dynamics", TexelVariant.Half)]
        [TestCase("faces-dynamics", TexelVariant.Quantised)]
        [TestCase("own-skin", TexelVariant.Float)]
        [TestCase("own-skin", TexelVariant.Half)]
        [TestCase("own-skin", TexelVariant.Quantised)]
        [TestCase("vertices", TexelVariant.Float)]
        [TestCase("vertices", TexelVariant.Half)]
        [TestCase("vertices", TexelVariant.Quantised)]
        public void TheSameBytesAsPython(string name, TexelVariant variant)
        {
            JsonValue golden = Golden.Json(Golden.Path($"texels/{name}.json"));
            JsonValue wanted = golden["variants"][variant.ToString().ToLowerInvariant()], descriptor = wanted["descriptor"];
            Head head = HeadOf(golden["head"]);
            var avatar = new Avatar { Head = head, Layers = new Layer[] { LayerOf(golden["layer"],
                descriptor["layers"].At(0)) } };
            TexelTables tables = TexelTables.Pack(avatar, variant);
            JsonValue entries = descriptor["tables"];
            Assert.AreEqual(entries.Count, tables.All.Count);
            for (int i = 0; i < entries.Count; i++)
            {
                JsonValue entry = entries.At(i);
                TexelTable table = tables.All[i];
                string each = entry["name"].Text("");
                Assert.AreEqual(each, table.Name);
                Assert.AreEqual(entry["kind"].Text(""), table.IsFloat ? "f32x4" : "u32x4", each);
                Assert.AreEqual(Convert.ToBase64String(Convert.FromBase64String(wanted["tables"][each].Text(""))),
                    Base64(table), each);
                Same(entry["low"], table.Low, each);
                Same(entry["high"], table.High, each);
                Same(entry["scaleLow"], table.ScaleLow, each);
                Same(entry["scaleHigh"], table.ScaleHigh, each);
                Same(entry["colorLow"], table.ColorLow, each);
                Same(entry["colorHigh"], table.ColorHigh, each);
                Same(entry["palette"], Array.ConvertAll(table.Palette, x => (double)x), each);
                Assert.AreEqual(entry["perTexel"].Exists ? entry["perTexel"].Integer("") : 1, table.PerTexel, each);
                Assert.AreEqual(entry["perItem"].Exists ? entry["perItem"].Integer("") : 1, table.PerItem, each);
                Assert.AreEqual(entry["numbers"].Exists ? entry["numbers"].Integer("") : 0, table.Numbers, each);
                Assert.AreEqual(entry["bits"].Exists ? entry["bits"].Integer("") : 0, table.Bits, each);
                Assert.AreEqual(entry["sumsToOne"].IsTrue, table.SumsToOne, each);
            }
        }

        [Test]
        public void EveryHalfComesBackAsItself()
        {
            for (uint bits = 0; bits < 0x10000; bits++)
            {
                // Infinities and NaN are cut to the range, and minus zero is told from zero by its sign alone.
                if ((bits & 0x7C00) != 0x7C00) Assert.AreEqual(bits, TexelNumbers.Half(TexelNumbers.FromHalf(bits)));
            }
        }

        [TestCase(1 + 1 / 2048.0, 0x3C00u)]
        [TestCase(1 + 3 / 2048.0, 0x3C02u)]
        [TestCase(-1 - 3 / 2048.0, 0xBC02u)]
        [TestCase(1e9, 0x7BFFu)]
        [TestCase(1e-9, 0u)]
        [TestCase(6e-8, 1u)]
        public void HalvesRoundToTheNearestAndTiesToEven(double value, uint bits)
        {
            Assert.AreEqual(bits, TexelNumbers.Half(value));
        }

        private static string Base64(TexelTable table)
        {
            var bytes = new byte[4 * table.Words.Length];
            Buffer.BlockCopy(table.Words, 0, bytes, 0, bytes.Length);
            return Convert.ToBase64String(bytes);
        }

        private static void Same(JsonValue wanted, double[] got, string name)
        {
            CollectionAssert.AreEqual(wanted.Exists ? wanted.Numbers(name) : new double[0], got, name);
        }

        private static double[] Shape(JsonValue stored) => stored["shape"].Numbers("shape");

        private static float[] Floats(JsonValue stored)
        {
            byte[] bytes = Convert.FromBase64String(stored["base64"].Text(""));
            var floats = new float[bytes.Length / 4];
            Buffer.BlockCopy(bytes, 0, floats, 0, bytes.Length);
            return floats;
        }

        private static int[] Integers(JsonValue stored)
        {
            byte[] bytes = Convert.FromBase64String(stored["base64"].Text(""));
            var integers = new int[bytes.Length / 4];
            Buffer.BlockCopy(bytes, 0, integers, 0, bytes.Length);
            return integers;
        }

        /// <summary>Split [V, 3, S] into S directions.</summary>
        private static SparseRows[] Directions(JsonValue stored)
        {
            if (!stored.Exists) return new SparseRows[0];
            int count = (int)Shape(stored)[0], shapes = (int)Shape(stored)[2];
            float[] all = Floats(stored);
            var directions = new SparseRows[shapes];
            for (int s = 0; s < shapes; s++)
            {
                var dense = new float[3 * count];
                for (int i = 0; i < dense.Length; i++) dense[i] = all[i * shapes + s];
                directions[s] = SparseRows.FromDense(dense, count);
            }
            return directions;
        }

        private static Influences Weights(JsonValue stored) =>
            Influences.FromDense(Floats(stored), (int)Shape(stored)[0], (int)Shape(stored)[1]);

        private static Head HeadOf(JsonValue held)
        {
            var head = new Head
            {
                Template = Floats(held["v_template"]),
                Faces = Integers(held["faces"]),
                Expressions = Directions(held["exprdirs"]),
                Correctives = Directions(held["posedirs"]),
                Eyelids = Directions(held["eyeliddirs"]),
                RestJoints = Array.ConvertAll(Floats(held["joint_rest"]), x => (double)x),
                Weights = Weights(held["lbs_weights"]).Normalized(),
            };
            head.Parents = new int[head.RestJoints.Length / 3];
            JsonValue dirs = held["joint_dirs"];
            if (!dirs.Exists) return head;
            // [J, 3, E] to joint-major rows of three.
            int joints = (int)Shape(dirs)[0], e = (int)Shape(dirs)[2];
            float[] all = Floats(dirs);
            head.JointExpressions = new float[all.Length];
            for (int i = 0; i < all.Length; i++) head.JointExpressions[(i / (3 * e) * e + i % e) * 3 + i / e % 3] = all[i];
            Assert.AreEqual(joints, head.JointCount);
            return head;
        }

        private static SplatLayer LayerOf(JsonValue held, JsonValue entry)
        {
            var layer = new SplatLayer
            {
                Means = Floats(held["means"]),
                Quats = Floats(held["quats"]),
                Scales = Floats(held["scales"]),
                Opacities = Floats(held["opacities"]),
                Sh = Floats(held["sh"]),
                Degree = (int)Math.Sqrt(Shape(held["sh"])[1]) - 1,
            };
            if (held["face_index"].Exists)
            {
                float[] three = Floats(held["barycentric"]);
                var two = new float[2 * layer.Count];
                for (int i = 0; i < two.Length; i++) two[i] = three[i / 2 * 3 + i % 2];
                layer.Binding = new FaceBinding
                {
                    Face = Integers(held["face_index"]),
                    Barycentric = two,
                    Frame = entry["binding"]["frame"].Text("") == "corner" ? FaceFrame.Corner : FaceFrame.Face,
                    Canonical = held["canonical_vertices"].Exists ? Floats(held["canonical_vertices"]) : null,
                };
            }
            else if (held["vertex_index"].Exists)
            {
                layer.Binding = new SkinBinding { Vertex = Integers(held["vertex_index"]) };
            }
            else
            {
                layer.Binding = new SkinBinding
                {
                    Own = new SkinTables
                    {
                        Expressions = Directions(held["exprdirs"]),
                        Correctives = Directions(held["posedirs"]),
                        Eyelids = Directions(held["eyeliddirs"]),
                        Weights = Weights(held["lbs_weights"]),
                    },
                };
            }
            layer.Dynamics = DynamicsOf(held, layer.Count);
            return layer;
        }

        private static LinearDynamics? DynamicsOf(JsonValue held, int count)
        {
            LinearDynamics? found = null;
            for (int c = 0; c < LinearDynamics.ChannelNames.Length; c++)
            {
                JsonValue stored = held["dynamics_" + LinearDynamics.ChannelNames[c]];
                if (!stored.Exists) continue;
                if (found == null) found = new LinearDynamics { Rank = (int)Shape(stored)[1] };
                float[] values = Floats(stored);
                var turned = new float[values.Length];
                int width = LinearDynamics.Widths[c];
                for (int i = 0; i < values.Length; i++)
                {
                    int gaussian = i / (found.Rank * width), k = i / width % found.Rank;
                    turned[(k * count + gaussian) * width + i % width] = values[i];
                }
                found.Tables[c] = turned;
            }
            return found;
        }
    }
}
