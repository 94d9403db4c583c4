using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;

namespace Flameport
{
    /// <summary>The container of a small asset: a JSON and named chunks (`exporter/UNITY.md`), read with bounds.</summary>
    public sealed class SmallFile
    {
        private const uint Magic = 0x56414C46; // "FLAV"
        private const int Fixed = 16;
        private const int MostJson = 16 << 20;
        private const long MostBytes = 1 << 30;

        private readonly Dictionary<string, byte[]> chunks = new Dictionary<string, byte[]>();

        private SmallFile(JsonValue json) { Json = json; }

        public JsonValue Json { get; }

        /// <summary>Tell whether bytes begin as a small asset does.</summary>
        public static bool IsSmall(ReadOnlySpan<byte> data) => data.Length >= 4
            && BinaryPrimitives.ReadUInt32LittleEndian(data) == Magic;

        /// <summary>A chunk, decoded; null where there is none.</summary>
        public byte[]? Chunk(string name) => chunks.TryGetValue(name, out byte[] found) ? found : null;

        /// <summary>Return the container in <paramref name="data"/>; throws <see cref="AvatarFormatException"/>.</summary>
        public static SmallFile Parse(byte[] data)
        {
            if (data.Length < Fixed || !IsSmall(data)) throw new AvatarFormatException("This is no small avatar: it "
                + "does not start with 'FLAV'.");
            uint version = Word(data, 4), length = Word(data, 8);
            if (version != 1) throw new AvatarFormatException($"The avatar's file has version {version}; this "
                + $"package reads 1. Update it.");
            if (Word(data, 12) != 0 || length > Math.Min(MostJson, data.Length - Fixed))
            {
                throw new AvatarFormatException($"The avatar says its JSON has {length} bytes, "
                    + $"{data.Length - Fixed} are left. Copy the file again.");
            }
            JsonValue json = JsonReader.Parse(data, Fixed, (int)length, "the avatar's JSON");
            if (json["format"].Text("") != "flameport.unity/1")
            {
                throw new AvatarFormatException($"The avatar's format is '{json["format"].Text("")}'; this package "
                    + $"reads flameport.unity/1.");
            }
            var file = new SmallFile(json);
            file.ReadChunks(data, Fixed + (int)length);
            return file;
        }

        private static uint Word(byte[] data, int at) => BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(at, 4));

        private void ReadChunks(byte[] data, int at)
        {
            JsonValue entries = Json["chunks"].List("chunks");
            long total = 0;
            for (int i = 0; i < entries.Count; i++)
            {
                JsonValue entry = entries.At(i);
                string name = entry["name"].Text("");
                int size = entry["size"].Integer("chunks.size", (int)MostBytes), count =
                    entry["bytes"].Integer("chunks.bytes");
                bool packed = entry["codec"].Choice("chunks.codec", "none", "deflate") == "deflate";
                total += size;
                if (chunks.ContainsKey(name) || total > MostBytes) throw new AvatarFormatException($"Chunk "
                    + $"'{name}' is there twice, or too large.");
                if (count > data.Length - at || (!packed && count != size))
                {
                    throw new AvatarFormatException($"Chunk '{name}' has {count} bytes, {data.Length - at} are "
                        + $"left. Copy the file again.");
                }
                chunks[name] = packed ? Inflate(data, at, count, size, name) : data.AsSpan(at, count).ToArray();
                at += count;
            }
            if (at != data.Length) throw new AvatarFormatException($"{data.Length - at} bytes follow the avatar's "
                + $"last chunk. Copy the file again.");
        }

        /// <summary>Decode as many bytes as were announced, growing with what really comes: a small file cannot claim a
        /// gigabyte.</summary>
        private static byte[] Inflate(byte[] data, int start, int count, int size, string name)
        {
            try
            {
                using var source = new MemoryStream(data, start, count);
                using var stream = new DeflateStream(source, CompressionMode.Decompress);
                var found = new byte[Math.Min(size, 1 << 20)];
                int filled = 0;
                while (true)
                {
                    if (filled == found.Length && filled < size) Array.Resize(ref found,
                        (int)Math.Min(size, 2L * found.Length));
                    if (filled == size) break;
                    int read = stream.Read(found, filled, found.Length - filled);
                    if (read == 0) throw new AvatarFormatException($"Chunk '{name}' decodes to {filled} bytes, "
                        + $"expected {size}. Copy the file again.");
                    filled += read;
                }
                if (stream.ReadByte() >= 0) throw new AvatarFormatException($"Chunk '{name}' decodes to more than "
                    + $"{size} bytes. Copy the file again.");
                return found;
            }
            catch (InvalidDataException)
            {
                throw new AvatarFormatException($"Chunk '{name}' is damaged. Copy the file again.");
            }
        }
    }
}
