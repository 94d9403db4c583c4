#nullable disable
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using UnityEngine;

namespace Flameport.Headless
{
    /// <summary>A buffer or a picture on the card: its number in the trace, and whether it is still there.</summary>
    internal sealed class GpuBlock
    {
        public int Id;
        public string Kind = "", Name = "";
        public int Count, Stride;
        public bool Alive;
    }

    /// <summary>Everything on the card that is not freed yet, and the rules about buffers.</summary>
    internal static class GpuMemory
    {
        private static readonly Dictionary<int, GpuBlock> alive = new Dictionary<int, GpuBlock>();
        private static int ids;

        public static int NextId() => ++ids;

        public static GpuBlock Buffer(int count, int stride, string target)
        {
            // ScriptReference/GraphicsBuffer-ctor: the engine's own checks, and Unity's limit of 2048 bytes.
            if (count <= 0) throw new ArgumentException("Attempting to create a zero length compute buffer", nameof(count));
            if (stride <= 0)
            {
                throw new ArgumentException("A compute buffer with a negative or null stride", nameof(stride));
            }
            if (stride % 4 != 0) throw new EngineException($"a buffer's stride must be a multiple of 4; got {stride}");
            if (stride > 2048) throw new EngineException($"a buffer's stride must be 2048 at most; got {stride}");
            if ((long)count * stride >= 1L << 31)
            {
                throw new EngineException($"a buffer of {(long)count * stride} bytes: 2 GiB at most");
            }
            var block = new GpuBlock { Id = NextId(), Kind = "buffer", Count = count, Stride = stride, Alive = true };
            alive[block.Id] = block;
            Trace.Write("buffer", ("id", block.Id), ("count", count), ("stride", stride), ("target", target));
            return block;
        }

        public static GpuBlock Picture(string kind, string name)
        {
            var block = new GpuBlock { Id = NextId(), Kind = kind, Name = name, Alive = true };
            alive[block.Id] = block;
            return block;
        }

        public static void Free(GpuBlock block)
        {
            if (!block.Alive) return;
            block.Alive = false;
            alive.Remove(block.Id);
            Trace.Write("free", ("id", block.Id));
        }

        public static void LoseBuffers()
        {
            foreach (GpuBlock block in new List<GpuBlock>(alive.Values)) if (block.Kind == "buffer") Free(block);
        }

        public static void Check(GpuBlock block, string where)
        {
            if (block == null) throw new ArgumentNullException(where);
            if (!block.Alive) throw new EngineException($"{where}: {block.Kind} {block.Id} {block.Name} was released already");
        }

        public static List<string> Alive()
        {
            var found = new List<string>();
            foreach (GpuBlock one in alive.Values) found.Add($"{one.Kind} {one.Id} {one.Name} ({one.Count} x {one.Stride})");
            return found;
        }

        /// <summary>Copy elements of an array into a buffer, from its element <paramref name="to"/> of that size.</summary>
        public static void Upload(GpuBlock block, Array data, int from, int to, int count)
        {
            Check(block, "SetData");
            if (data == null) throw new ArgumentNullException(nameof(data));
            Type element = data.GetType().GetElementType();
            if (from < 0 || to < 0 || count < 0 || from + count > data.Length)
            {
                throw new ArgumentOutOfRangeException($"Bad indices/count arguments (managedBufferStartIndex:{from} "
                    + $"bufferStartIndex:{to} count:{count})");
            }
            int size = SizeOf(element);
            if ((long)(to + count) * size > (long)block.Count * block.Stride)
            {
                throw new EngineException($"buffer {block.Id} {block.Name} of {(long)block.Count * block.Stride} bytes; "
                    + $"written up to {(long)(to + count) * size}");
            }
            if (Trace.Silent || count == 0) return;
            byte[] bytes = Trace.BytesOf(data, from, count);
            Trace.Write("upload", ("id", block.Id), ("offset", to * size), ("at", Trace.Keep(bytes)), ("bytes", bytes.Length));
        }

        private static Type lastType;
        private static int lastSize;

        /// <summary>Bytes of an element; blittable types only, as the engine demands.</summary>
        public static int SizeOf(Type element)
        {
            if (element == lastType) return lastSize;
            if (!element.IsValueType) throw new ArgumentException($"{element} must be blittable");
            lastSize = element == typeof(bool) || element == typeof(char)
                ? throw new ArgumentException($"{element} must be blittable") : Marshal.SizeOf(element);
            lastType = element;
            return lastSize;
        }
    }
}
