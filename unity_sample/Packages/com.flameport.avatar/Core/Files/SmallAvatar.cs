using System;
using System.Buffers.Binary;

namespace Flameport
{
    /// <summary>An avatar out of a small asset: the tables as they are for the graphics card, and decoded for the
    /// processor.</summary>
    public static class SmallAvatar
    {
        /// <summary>Return the avatar; throws <see cref="AvatarFormatException"/>.</summary>
        public static Avatar Read(byte[] data)
        {
            SmallFile file = SmallFile.Parse(data);
            JsonValue descriptor = file.Json["texels"];
            byte[] bytes = file.Chunk("texels") ?? throw new AvatarFormatException("Chunk 'texels' is missing. "
                + "Export the avatar again.");
            TexelTables tables = Tables(descriptor, bytes);
            Head head = new TexelHead(tables).Read(descriptor["head"]);
            Beside(file, head);
            JsonValue entries = descriptor["layers"].List("texels.layers");
            var layers = new Layer[entries.Count];
            for (int i = 0; i < layers.Length; i++) layers[i] = new TexelSplats(tables, head,
                $"layer{i}.").Read(entries.At(i));
            byte[]? clip = file.Chunk("clip");
            return new Avatar
            {
                Grade = file.Json["grade"].Choice("grade", "small"),
                Meta = GlbAvatar.Meta(file.Json["meta"]),
                Head = head,
                Layers = layers,
                Clip = clip == null ? null : SequenceFile.ReadBinary(clip, 0, clip.Length),
                Texels = tables,
            };
        }

        /// <summary>Return the tables that a descriptor names, each within the bytes.</summary>
        private static TexelTables Tables(JsonValue descriptor, byte[] bytes)
        {
            if (descriptor["format"].Text("") != "flameport.texels/1") throw new AvatarFormatException("The texels "
                + "are not flameport.texels/1. Update the package.");
            string variant = descriptor["variant"].Choice("texels.variant", "float", "half");
            var tables = new TexelTables(variant == "float" ? TexelVariant.Float : TexelVariant.Half);
            JsonValue entries = descriptor["tables"].List("texels.tables");
            for (int i = 0; i < entries.Count; i++)
            {
                JsonValue entry = entries.At(i);
                string name = entry["name"].Text("");
                int count = entry["count"].Integer(name + ".count"), offset = entry["offset"].Integer(name + ".offset");
                if (offset + 16L * count > bytes.Length || tables.Find(name) != null)
                {
                    throw new AvatarFormatException($"Table '{name}' is there twice, or reaches outside the file. "
                        + $"Export the avatar again.");
                }
                var words = new uint[4 * count];
                for (int k = 0; k < words.Length; k++) words[k] =
                    BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(offset + 4 * k, 4));
                bool isFloat = entry["kind"].Choice(name + ".kind", "f32x4", "u32x4") == "f32x4";
                tables.Add(new TexelTable(name, isFloat, words)
                {
                    PerTexel = entry["perTexel"].Exists ? entry["perTexel"].Integer(name + ".perTexel", 16) : 1,
                    PerItem = entry["perItem"].Exists ? entry["perItem"].Integer(name + ".perItem", 1 << 14) : 1,
                    Numbers = entry["numbers"].Exists ? entry["numbers"].Integer(name + ".numbers", 1 << 16) : 0,
                    Bits = entry["bits"].Exists ? entry["bits"].Integer(name + ".bits", 16) : 0,
                    Low = Box(entry["low"], name),
                    High = Box(entry["high"], name),
                    Palette = entry["palette"].Exists ? Array.ConvertAll(entry["palette"].Numbers(name + ".palette"),
                        x => checked((int)x)) : new int[0],
                    SumsToOne = entry["sumsToOne"].IsTrue,
                });
            }
            return tables;
        }

        private static double[] Box(JsonValue value, string name) => value.Exists ? value.Numbers(name + " box")
            : new double[0];

        private static void Beside(SmallFile file, Head head)
        {
            byte[]? map = file.Chunk("arkitMap");
            if (map != null) head.ArkitMap = Floats(map, 52 * (head.Expressions.Length + 14), "arkitMap");
            head.Albedo = file.Chunk("albedo");
            byte[]? uvs = file.Chunk("cornerUvs");
            if (uvs != null) head.CornerUvs = Floats(uvs, 2 * head.Faces.Length, "cornerUvs");
            head.VertexColors = file.Chunk("vertexColors");
            if (head.VertexColors != null && head.VertexColors.Length != 4 * head.VertexCount)
            {
                throw new AvatarFormatException($"Chunk 'vertexColors' has {head.VertexColors.Length} bytes, "
                    + $"expected {4 * head.VertexCount}.");
            }
        }

        private static float[] Floats(byte[] bytes, int count, string name)
        {
            if (bytes.Length != 4L * count) throw new AvatarFormatException($"Chunk '{name}' has {bytes.Length} "
                + $"bytes, expected {4L * count}. Export it again.");
            var floats = new float[count];
            for (int i = 0; i < count; i++)
            {
                floats[i] = BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(4 * i, 4)));
                if (float.IsNaN(floats[i])
                    || float.IsInfinity(floats[i])) throw new AvatarFormatException($"Chunk '{name}' holds NaN or "
                    + $"infinity.");
            }
            return floats;
        }
    }
}
