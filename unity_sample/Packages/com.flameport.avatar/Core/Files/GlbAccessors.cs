using System;
using System.Buffers.Binary;

namespace Flameport
{
    /// <summary>Numbers of a GLB: dense, strided, normalised and sparse accessors, every one within the file.</summary>
    public sealed class GlbAccessors
    {
        private const int Float = 5126;
        /// <summary>Numbers of an accessor that stores none of them: what a small file may make us allocate.</summary>
        private const int EmptyLimit = 1 << 24;

        private readonly Glb glb;

        public GlbAccessors(Glb glb) { this.glb = glb; }

        /// <summary>Return an accessor as floats, row after row; normalised integers are scaled as glTF says. NaN is
        /// refused.</summary>
        public float[] Floats(JsonValue index, int width, int count = -1)
        {
            int rows = Count(index, width, count);
            JsonValue accessor = glb.Item("accessors", index);
            var found = new double[checked(rows * width)];
            Fill(accessor, width, rows, found);
            var floats = new float[found.Length];
            for (int i = 0; i < floats.Length; i++)
            {
                floats[i] = (float)found[i];
                if (float.IsNaN(floats[i]) || float.IsInfinity(floats[i]))
                {
                    throw new AvatarFormatException("An accessor holds NaN or infinity. Export the avatar again.");
                }
            }
            return floats;
        }

        /// <summary>Return an accessor of unsigned integers, each below <paramref name="limit"/>.</summary>
        public int[] Integers(JsonValue index, int width, int count, int limit)
        {
            int rows = Count(index, width, count);
            JsonValue accessor = glb.Item("accessors", index);
            int type = accessor["componentType"].Integer("componentType");
            if (type != 5121 && type != 5123 && type != 5125) throw new AvatarFormatException("An accessor of "
                + "indices holds other numbers.");
            var found = new double[checked(rows * width)];
            Fill(accessor, width, rows, found);
            var integers = new int[found.Length];
            for (int i = 0; i < integers.Length; i++)
            {
                if (!(found[i] < limit)) throw new AvatarFormatException($"The GLB names entry {found[i]} of "
                    + $"{limit}. Export it again.");
                integers[i] = (int)found[i];
            }
            return integers;
        }

        /// <summary>Return the first <paramref name="count"/> VEC3 rows of <paramref name="total"/>: those that are not
        /// zero.</summary>
        public SparseRows SparseRows(JsonValue index, int total, int count)
        {
            float[] dense = Floats(index, 3, total);
            return Flameport.SparseRows.FromDense(dense, count);
        }

        /// <summary>Return how many elements an accessor has, after checking its type and that its bytes are
        /// there.</summary>
        public int Count(JsonValue index, int width, int expected = -1)
        {
            JsonValue accessor = glb.Item("accessors", index);
            if (Width(accessor["type"].Text("")) != width) throw new AvatarFormatException($"An accessor has other "
                + $"than {width} numbers each.");
            int count = accessor["count"].Integer("accessor.count");
            int size = Size(accessor["componentType"].Integer("componentType"));
            if (count < 1 || (expected >= 0 && count != expected))
            {
                throw new AvatarFormatException($"An accessor has {count} elements, expected "
                    + $"{(expected < 0 ? "some" : expected.ToString())}.");
            }
            if (accessor["bufferView"].Exists) Bounds(accessor["bufferView"], accessor["byteOffset"], size, width, count);
            else if ((long)count * width > EmptyLimit) throw new AvatarFormatException($"{count} elements without "
                + $"bytes are more than we read.");
            return count;
        }

        private static int Width(string type)
        {
            switch (type)
            {
                case "SCALAR": return 1;
                case "VEC2": return 2;
                case "VEC3": return 3;
                case "VEC4": return 4;
                case "MAT4": return 16;
                default: return 0;
            }
        }

        private static int Size(int type)
        {
            switch (type)
            {
                case 5120: case 5121: return 1;
                case 5122: case 5123: return 2;
                case 5125: case Float: return 4;
                default: throw new AvatarFormatException($"An accessor's component type is {type}, which glTF does "
                    + $"not know.");
            }
        }

        private (int start, int stride) Bounds(JsonValue view, JsonValue offset, int size, int width, int count)
        {
            GlbView found = glb.View(view, "an accessor");
            int skip = Glb.Whole(offset, "accessor.byteOffset");
            int stride = found.Stride == 0 ? size * width : found.Stride;
            if (stride < size * width) throw new AvatarFormatException("An accessor's stride is too small. Export "
                + "the avatar again.");
            if (skip + (long)stride * (count - 1) + size * width > found.Length)
            {
                throw new AvatarFormatException("An accessor reaches outside the file, which may have been cut off.");
            }
            return (found.Start + skip, stride);
        }

        private void Fill(JsonValue accessor, int width, int count, double[] values)
        {
            int type = accessor["componentType"].Integer("componentType");
            if (accessor["bufferView"].Exists) Elements(accessor["bufferView"], accessor["byteOffset"], type, width,
                count, values);
            JsonValue sparse = accessor["sparse"];
            if (sparse.Exists) FillSparse(accessor, sparse, type, width, count, values);
            double most = type == 5120 ? 127 : type == 5121 ? 255 : type == 5122 ? 32767 : type == 5123 ? 65535 : 0;
            if (!accessor["normalized"].IsTrue || most == 0) return;
            for (int i = 0; i < values.Length; i++) values[i] = Math.Max(values[i] / most, -1);
        }

        private void FillSparse(JsonValue accessor, JsonValue sparse, int type, int width, int count, double[] values)
        {
            int stored = sparse["count"].Integer("sparse.count", count);
            JsonValue indices = sparse["indices"], numbers = sparse["values"];
            int indexType = indices["componentType"].Integer("sparse.indices");
            if (indexType == Float) throw new AvatarFormatException("Sparse indices are floats. Export the avatar again.");
            if (stored == 0) return;
            Bounds(indices["bufferView"], indices["byteOffset"], Size(indexType), 1, stored);
            Bounds(numbers["bufferView"], numbers["byteOffset"], Size(type), width, stored);
            var rows = new double[stored];
            var kept = new double[checked(stored * width)];
            Elements(indices["bufferView"], indices["byteOffset"], indexType, 1, stored, rows);
            Elements(numbers["bufferView"], numbers["byteOffset"], type, width, stored, kept);
            double before = -1;
            for (int k = 0; k < stored; k++)
            {
                if (!(rows[k] > before && rows[k] < count)) throw new AvatarFormatException("Sparse indices must "
                    + "rise and stay within the accessor.");
                before = rows[k];
                Array.Copy(kept, k * width, values, (int)rows[k] * width, width);
            }
        }

        private void Elements(JsonValue view, JsonValue offset, int type, int width, int count, double[] values)
        {
            int size = Size(type);
            (int start, int stride) = Bounds(view, offset, size, width, count);
            byte[] data = glb.Data;
            for (int i = 0, to = 0; i < count; i++)
            {
                int row = start + i * stride;
                for (int c = 0; c < width; c++, to++) values[to] = Read(data.AsSpan(row + c * size, size), type);
            }
        }

        private static double Read(ReadOnlySpan<byte> at, int type)
        {
            switch (type)
            {
                case 5120: return (sbyte)at[0];
                case 5121: return at[0];
                case 5122: return BinaryPrimitives.ReadInt16LittleEndian(at);
                case 5123: return BinaryPrimitives.ReadUInt16LittleEndian(at);
                case 5125: return BinaryPrimitives.ReadUInt32LittleEndian(at);
                default: return BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadInt32LittleEndian(at));
            }
        }
    }
}
