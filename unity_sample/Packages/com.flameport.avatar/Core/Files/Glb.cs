using System;
using System.Buffers.Binary;

namespace Flameport
{
    /// <summary>
    /// Binary glTF 2.0 as a container, read with bounds: every count and offset is checked against the bytes that are
    /// there before
    /// anything is allocated. Numbers are read by <see cref="GlbAccessors"/>.
    /// </summary>
    public sealed class Glb
    {
        public const string Extension = "FLAMEPORT_avatar";
        public const string Splats = "KHR_gaussian_splatting";

        private const uint Magic = 0x46546C67;
        private const uint JsonChunk = 0x4E4F534A;
        private const uint BinaryChunk = 0x004E4942;

        internal readonly byte[] Data;
        internal readonly int BinaryStart;
        internal readonly int BinaryLength;

        private Glb(byte[] data, JsonValue json, int start, int length)
        {
            Data = data;
            Json = json;
            BinaryStart = start;
            BinaryLength = length;
        }

        public JsonValue Json { get; }

        /// <summary>Tell whether bytes begin as a GLB does.</summary>
        public static bool IsGlb(ReadOnlySpan<byte> data) => data.Length >= 4
            && BinaryPrimitives.ReadUInt32LittleEndian(data) == Magic;

        /// <summary>Return the container in <paramref name="data"/>; throws <see cref="AvatarFormatException"/> unless
        /// it is whole.</summary>
        public static Glb Parse(byte[] data)
        {
            if (data.Length < 20 || !IsGlb(data)) throw new AvatarFormatException("This is no GLB: it does not "
                + "start with 'glTF'.");
            uint length = Word(data, 8);
            if (Word(data, 4) != 2) throw new AvatarFormatException("This GLB has a version other than 2.");
            if (length > data.Length)
            {
                throw new AvatarFormatException($"The file was cut off: it says {length} bytes, there are "
                    + $"{data.Length}. Copy it again.");
            }
            int size = Chunk(data, 12, JsonChunk, length);
            JsonValue json = JsonReader.Parse(data, 20, size, "the GLB's JSON");
            int next = 20 + size;
            if (next + 8 > length) return new Glb(data, json, next, 0);
            return new Glb(data, json, next + 8, Chunk(data, next, BinaryChunk, length));
        }

        private static uint Word(byte[] data, int at) => BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(at, 4));

        private static int Chunk(byte[] data, int at, uint kind, uint length)
        {
            uint size = Word(data, at);
            if (Word(data, at + 4) != kind || (long)at + 8 + size > length)
            {
                throw new AvatarFormatException($"The GLB's chunk at byte {at} is damaged. Copy the file again.");
            }
            return (int)size;
        }

        /// <summary>Return an entry of a top-level list such as "accessors".</summary>
        public JsonValue Item(string kind, JsonValue index)
        {
            JsonValue list = Json[kind];
            if (index.Kind != JsonKind.Number || !(index.NumberValue >= 0 && index.NumberValue < list.Count)
                || index.NumberValue != Math.Floor(index.NumberValue))
            {
                throw new AvatarFormatException($"The GLB refers to one of its {kind} that it does not have. Export "
                    + $"the avatar again.");
            }
            return list.At((int)index.NumberValue);
        }

        /// <summary>Return the only primitive of a mesh.</summary>
        public JsonValue OnlyPrimitive(JsonValue mesh, string field)
        {
            JsonValue primitives = Item("meshes", mesh)["primitives"].List(field);
            return primitives.Count == 1 ? primitives.At(0) : throw new AvatarFormatException(
                $"'{field}': expected one primitive, got {primitives.Count}. Export the avatar again.");
        }

        /// <summary>Return a copy of a view's bytes: an image.</summary>
        public byte[] Bytes(JsonValue view, string where)
        {
            GlbView found = View(view, where);
            return Data.AsSpan(found.Start, found.Length).ToArray();
        }

        internal GlbView View(JsonValue index, string where)
        {
            JsonValue view = Item("bufferViews", index);
            JsonValue compressed = view["extensions"]["EXT_meshopt_compression"];
            if (compressed.Exists || view["extensions"]["KHR_meshopt_compression"].Exists)
            {
                throw new AvatarFormatException("This GLB is compressed, which Unity does not read; export it with "
                    + "'flameport export X.avatar unity'.");
            }
            int start = Whole(view["byteOffset"], where);
            int length = view["byteLength"].Integer(where + ".byteLength");
            int stride = Whole(view["byteStride"], where);
            if (view["buffer"].Exists && view["buffer"].Integer(where) != 0)
            {
                throw new AvatarFormatException($"{where}: lies in another file. Export the avatar again.");
            }
            if ((long)start + length > BinaryLength)
            {
                throw new AvatarFormatException($"{where}: reaches outside the file, which may have been cut off.");
            }
            return new GlbView(BinaryStart + start, length, stride);
        }

        internal static int Whole(JsonValue value, string where) => value.Exists ? value.Integer(where) : 0;
    }

    /// <summary>Where a view's bytes are; a stride of 0 is none.</summary>
    internal readonly struct GlbView
    {
        public GlbView(int start, int length, int stride)
        {
            Start = start;
            Length = length;
            Stride = stride;
        }

        public readonly int Start;
        public readonly int Length;
        public readonly int Stride;
    }
}
