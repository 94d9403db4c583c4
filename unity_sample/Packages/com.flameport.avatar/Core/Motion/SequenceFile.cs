using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Clips in files: `flameport.sequence/1` as JSON or as bytes (`formats/SPEC.md`, section 3), and ARKit
    /// tracks.</summary>
    public static class SequenceFile
    {
        private const uint Magic = 0x51535046; // "FPSQ"
        private const int Fixed = 16;
        private const int MostHeader = 16 << 20;

        /// <summary>Return the clip in a file's bytes, in its own basis; throws <see cref="SequenceException"/>.</summary>
        public static Sequence Read(byte[] data)
        {
            try
            {
                bool binary = data.Length >= 4 && BinaryPrimitives.ReadUInt32LittleEndian(data) == Magic;
                if (binary) return ReadBinary(data, 0, data.Length);
                JsonValue json = JsonReader.Parse(data, 0, data.Length, "the clip");
                return json["format"].Exists ? SequenceJson.Read(json) : SequenceJson.ReadArkit(json);
            }
            catch (AvatarFormatException error)
            {
                throw new SequenceException(error.Message);
            }
        }

        internal static Sequence ReadBinary(byte[] data, int start, int length)
        {
            ReadOnlySpan<byte> bytes = data.AsSpan(start, length);
            if (length < Fixed || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic) throw new SequenceException(
                "This is no binary clip.");
            uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes.Slice(4)), size =
                BinaryPrimitives.ReadUInt32LittleEndian(bytes.Slice(8));
            if (version != 1) throw new SequenceException($"The binary clip has version {version}; this package "
                + $"reads 1. Update it.");
            if (size > Math.Min(MostHeader, length - Fixed)) throw new SequenceException("The binary clip is cut off.");
            JsonValue header = JsonReader.Parse(data, start + Fixed, (int)size, "the clip's header");
            SequenceJson.CheckFormat(header);
            int frames = header["frame_count"].Integer("frame_count", Sequence.MostFrames);
            Sequence clip = SequenceJson.Begin(header, frames, header["expr_count"].Integer("expr_count", 1 << 20));
            int at = Fixed + (int)size;
            JsonValue blocks = header["blocks"];
            var seen = new HashSet<string>();
            for (int i = 0; i < blocks.Count; i++)
            {
                string name = blocks.At(i)["name"].Text("");
                double[] shape = blocks.At(i)["shape"].Numbers($"block '{name}'");
                double count = 1;
                foreach (double n in shape) count *= n >= 0 && n == Math.Floor(n) ? n : double.NaN;
                if (!seen.Add(name) || !(4 * count <= length - at)) throw new SequenceException($"The binary clip "
                    + $"is cut off or damaged in block '{name}'.");
                SequenceColumn? column = Target(clip, name);
                if (column != null) Fill(column, frames, (int)count, shape, bytes.Slice(at), name);
                at += 4 * (int)count;
            }
            if (at != length) throw new SequenceException($"{length - at} bytes follow the binary clip's last block.");
            return clip;
        }

        private static SequenceColumn? Target(Sequence clip, string name)
        {
            int field = Array.IndexOf(Pose.FieldNames, name), dot = name.IndexOf('.');
            if (field >= 0) return clip.Fields[field];
            string group = dot < 0 ? name : name.Substring(0, dot), inner = name.Substring(dot + 1);
            // An identity and cameras drive nothing here.
            if (name == "shape" || group == "cameras") return null;
            if (group == "joints" && clip.Joints.TryGetValue(inner, out SequenceColumn joint)) return joint;
            if (group == "drivers" && clip.Drivers.TryGetValue(inner, out SequenceColumn driver)) return driver;
            throw new SequenceException($"The binary clip's block '{name}' is none that its header announces.");
        }

        private static void Fill(SequenceColumn column, int frames, int count, double[] shape,
            ReadOnlySpan<byte> bytes, string name)
        {
            if (shape.Length != 2 || shape[0] != frames || count != column.Values.Length)
            {
                throw new SequenceException($"The binary clip's block '{name}' has {count} numbers, expected "
                    + $"{column.Values.Length}.");
            }
            for (int i = 0; i < count; i++)
            {
                column.Values[i] = BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadInt32LittleEndian(bytes.Slice(4
                    * i)));
            }
            if (!column.IsFinite()) throw new SequenceException($"The binary clip's block '{name}' holds what is no "
                + $"number.");
        }
    }
}
