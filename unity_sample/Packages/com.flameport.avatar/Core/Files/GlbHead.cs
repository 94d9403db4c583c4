using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Skinned meshes of a GLB as tables: the head (`exporter/GLB.md`, 1.1) and mesh layers (1.4).</summary>
    internal sealed class GlbHead
    {
        private readonly Glb glb;
        private readonly GlbAccessors accessors;

        public GlbHead(Glb glb, GlbAccessors accessors)
        {
            this.glb = glb;
            this.accessors = accessors;
        }

        /// <summary>Return the head that its entry names.</summary>
        public Head Read(JsonValue spec)
        {
            JsonValue primitive = glb.OnlyPrimitive(spec["mesh"], "head.mesh"), attributes = primitive["attributes"];
            int stored = accessors.Count(attributes["POSITION"], 3);
            int count = spec["vertexCount"].Integer("head.vertexCount", stored);
            int[] corners = accessors.Integers(primitive["indices"], 1, -1, stored);
            int[] vertexOf = VertexOf(spec, count, stored);
            JsonValue skin = glb.Item("skins", spec["skin"]), joints = skin["joints"].List("skin.joints");
            float[] inverse = accessors.Floats(skin["inverseBindMatrices"], 16, joints.Count);
            SparseRows[] targets = Targets(primitive, stored, count);
            int e = spec["expressions"].Integer("head.expressions", targets.Length);
            int lids = spec["eyelids"].Exists ? spec["eyelids"].Integer("head.eyelids", 2) : 0;
            int correctives = spec["correctives"].Exists ? spec["correctives"].Integer("head.correctives", 36) : 0;
            if (e + lids + correctives != targets.Length || lids == 1 || (correctives != 0 && correctives != 36))
            {
                throw new AvatarFormatException($"The head says {e} expressions, {lids} eyelids, {correctives} "
                    + $"correctives; its mesh has "
                    + $"{targets.Length} targets. Export the avatar again.");
            }
            var head = new Head
            {
                Edition = spec["edition"].Text(""),
                ContentHash = spec["contentHash"].Text(""),
                Template = First(accessors.Floats(attributes["POSITION"], 3), 3 * count),
                Faces = Array.ConvertAll(corners, corner => vertexOf[corner]),
                ExpressionNames = Names(spec, e),
                Expressions = targets.AsSpan(0, e).ToArray(),
                Eyelids = targets.AsSpan(e, lids).ToArray(),
                Correctives = targets.AsSpan(e + lids).ToArray(),
                EyelidsPosed = spec["eyelidSpace"].Text("rest") == "posed",
                JointNames = JointNames(joints),
                Parents = Parents(joints),
                Roles = Roles(spec["jointRoles"], joints.Count),
                RestJoints = Rest(inverse, joints.Count),
                JointExpressions = spec["jointExprdirs"].Exists ? accessors.Floats(spec["jointExprdirs"], 3,
                    joints.Count * e) : null,
                Weights = Influences(spec, attributes, count, joints.Count, joints.Count).Normalized(),
                ArkitMap = spec["arkitMap"].Exists ? accessors.Floats(spec["arkitMap"], 1, 52 * (e + 14)) : null,
                CornerUvs = CornerUvs(attributes, stored, corners),
                Albedo = Picture(primitive),
            };
            if (attributes["COLOR_0"].Exists) head.VertexColors = Colors(accessors.Floats(attributes["COLOR_0"], 3,
                stored), count);
            head.Check("the GLB");
            return head;
        }

        /// <summary>Return a mesh layer.</summary>
        public MeshLayer ReadLayer(JsonValue entry, JsonValue headSpec, Head head, string where)
        {
            JsonValue primitive = glb.OnlyPrimitive(entry["mesh"], where + ".mesh"), attributes = primitive["attributes"];
            JsonValue own = primitive["extensions"][Glb.Extension];
            if (own["shading"].Exists) throw new AvatarFormatException($"{where}: its shading needs a network, and "
                + $"this package runs none; export with --allow-loss.");
            int stored = accessors.Count(attributes["POSITION"], 3);
            int count = own["vertexCount"].Integer(where + ".vertexCount", stored);
            int[] triangles = accessors.Integers(primitive["indices"], 1, -1, stored);
            int named = glb.Item("skins", glb.Item("nodes", entry["node"])["skin"])["joints"].List(where + ".skin").Count;
            SparseRows[] targets = Targets(primitive, stored, count);
            int e = head.Expressions.Length, l = head.Eyelids.Length;
            byte[]? texture = Picture(primitive);
            if (targets.Length != e + l + head.Correctives.Length || triangles.Length % 3 != 0 || texture == null
                || named < head.JointCount || named > head.JointCount + 1)
            {
                throw new AvatarFormatException($"{where}: its targets, triangles, joints or texture do not fit the "
                    + $"head. Export the avatar again.");
            }
            float[] normals = First(accessors.Floats(attributes["NORMAL"], 3, stored), 3 * count);
            for (int i = 0; i < normals.Length; i += 3)
            {
                double length = Math.Sqrt((double)normals[i] * normals[i] + (double)normals[i + 1] * normals[i + 1]
                    + (double)normals[i + 2] * normals[i + 2]);
                for (int c = 0; c < 3 && length > 0; c++) normals[i + c] = (float)(normals[i + c] / length);
            }
            return new MeshLayer
            {
                Name = entry["name"].Text("mesh"),
                Vertices = First(accessors.Floats(attributes["POSITION"], 3), 3 * count),
                Normals = normals,
                Tables = new SkinTables
                {
                    Expressions = targets.AsSpan(0, e).ToArray(),
                    Eyelids = targets.AsSpan(e, l).ToArray(),
                    Correctives = targets.AsSpan(e + l).ToArray(),
                    Weights = Influences(own, attributes, count, head.JointCount, named),
                },
                Drawn = VertexOf(own, count, stored),
                Uvs = accessors.Floats(attributes["TEXCOORD_0"], 2, stored),
                Triangles = triangles,
                Opaque = own["opaque"].IsTrue,
                Texture = texture,
            };
        }

        /// <summary>Which vertex each stored one is: itself, or what a seam copy repeats.</summary>
        private int[] VertexOf(JsonValue spec, int count, int stored)
        {
            if (spec["vertexOrder"].Exists) throw new AvatarFormatException("This GLB lists vertices in another "
                + "order, as grade small does; "
                + "use 'flameport export X.avatar unity'.");
            var vertexOf = new int[stored];
            for (int i = 0; i < count; i++) vertexOf[i] = i;
            if (stored > count) accessors.Integers(spec["seamSources"], 1, stored - count, count).CopyTo(vertexOf, count);
            return vertexOf;
        }

        private SparseRows[] Targets(JsonValue primitive, int stored, int count)
        {
            JsonValue targets = primitive["targets"];
            var rows = new SparseRows[targets.Count];
            for (int k = 0; k < rows.Length; k++) rows[k] = accessors.SparseRows(targets.At(k)["POSITION"], stored, count);
            return rows;
        }

        private Influences Influences(JsonValue spec, JsonValue attributes, int vertices, int joints, int named)
        {
            if (spec["lbsWeights"].Exists)
            {
                return Flameport.Influences.FromDense(accessors.Floats(spec["lbsWeights"], 1,
                    checked(vertices * joints)), vertices, joints);
            }
            var sets = new List<(int[], float[])>();
            for (int i = 0; attributes[$"JOINTS_{i}"].Exists; i++)
            {
                int[] ids = accessors.Integers(attributes[$"JOINTS_{i}"], 4, -1, named);
                float[] weights = accessors.Floats(attributes[$"WEIGHTS_{i}"], 4, ids.Length / 4);
                if (ids.Length < 4 * vertices) throw new AvatarFormatException($"JOINTS_{i} is too short. Export "
                    + $"the avatar again.");
                for (int k = 0; k < ids.Length; k++)
                {
                    // Joints past the head's never move.
                    if (ids[k] >= joints) weights[k] = 0;
                }
                sets.Add((ids, weights));
            }
            return Flameport.Influences.FromSets(sets, vertices);
        }

        private string[] Names(JsonValue spec, int count)
        {
            string[] names = glb.Item("meshes", spec["mesh"])["extras"]["targetNames"].Texts("targetNames");
            var found = new string[count];
            for (int i = 0; i < count; i++) found[i] = i < names.Length ? names[i] : $"expr{i:D3}";
            return found;
        }

        private string[] JointNames(JsonValue joints)
        {
            var names = new string[joints.Count];
            for (int j = 0; j < names.Length; j++) names[j] = glb.Item("nodes", joints.At(j))["name"].Text($"joint{j}");
            return names;
        }

        private int[] Parents(JsonValue joints)
        {
            var place = new Dictionary<double, int>();
            var parents = new int[joints.Count];
            for (int j = 0; j < parents.Length; j++)
            {
                parents[j] = -1;
                place[joints.At(j).Number("skin.joints")] = j;
            }
            for (int j = 0; j < parents.Length; j++)
            {
                JsonValue children = glb.Item("nodes", joints.At(j))["children"];
                for (int k = 0; k < children.Count; k++)
                {
                    if (place.TryGetValue(children.At(k).Number("children"), out int child)) parents[child] = j;
                }
            }
            return parents;
        }

        internal static int[] Roles(JsonValue roles, int joints) => Array.ConvertAll(Head.RoleNames,
            name => roles[name].Exists ? roles[name].Integer("jointRoles", joints - 1) : -1);

        private static double[] Rest(float[] inverse, int joints)
        {
            var rest = new double[3 * joints];
            for (int i = 0; i < inverse.Length; i++)
            {
                int row = i % 4, column = i % 16 / 4;
                if (row < 3 && column < 3 && Math.Abs(inverse[i] - (row == column ? 1 : 0)) > 1e-6)
                {
                    throw new AvatarFormatException("The head's bind matrices are more than places. Export the "
                        + "avatar again.");
                }
                if (row < 3 && column == 3) rest[3 * (i / 16) + row] = -inverse[i];
            }
            return rest;
        }

        private float[]? CornerUvs(JsonValue attributes, int stored, int[] corners)
        {
            if (!attributes["TEXCOORD_0"].Exists) return null;
            float[] uvs = accessors.Floats(attributes["TEXCOORD_0"], 2, stored);
            var found = new float[2 * corners.Length];
            for (int i = 0; i < corners.Length; i++) Array.Copy(uvs, 2 * corners[i], found, 2 * i, 2);
            return found;
        }

        private byte[]? Picture(JsonValue primitive)
        {
            if (!primitive["material"].Exists) return null;
            JsonValue texture = glb.Item("materials",
                primitive["material"])["pbrMetallicRoughness"]["baseColorTexture"]["index"];
            if (!texture.Exists) return null;
            JsonValue image = glb.Item("images", glb.Item("textures", texture)["source"]);
            image["mimeType"].Choice("images.mimeType", "image/png");
            return glb.Bytes(image["bufferView"], "an image");
        }

        /// <summary>Linear light, as glTF has it, as display sRGB bytes.</summary>
        private static byte[] Colors(float[] linear, int count)
        {
            var colors = new byte[4 * count];
            for (int i = 0; i < count; i++)
            {
                for (int c = 0; c < 3; c++)
                {
                    double x = Math.Min(Math.Max(linear[3 * i + c], 0), 1);
                    double shown = x <= 0.0031308 ? 12.92 * x : 1.055 * Math.Pow(x, 1 / 2.4) - 0.055;
                    colors[4 * i + c] = (byte)Math.Floor(255 * shown + 0.5);
                }
                colors[4 * i + 3] = 255;
            }
            return colors;
        }

        private static float[] First(float[] values, int count) => values.Length == count ? values
            : values.AsSpan(0, count).ToArray();
    }
}
