#nullable disable
using System;
using System.Collections.Generic;
using System.IO;

namespace Flameport.Headless
{
    /// <summary>
    /// What is read back from the card. There is none while a play is recorded: each request is written into the trace and gets
    /// noughts. A replay answers them in their order, and the same play with those answers sees what a card would have said.
    /// </summary>
    public static class Readbacks
    {
        private static readonly Queue<byte[]> answers = new Queue<byte[]>();

        /// <summary>Take a replay's answers: a length in four bytes, then as many bytes, again and again.</summary>
        public static void Load(string path)
        {
            using (var file = new BinaryReader(File.OpenRead(path)))
            {
                while (file.BaseStream.Position < file.BaseStream.Length) answers.Enqueue(file.ReadBytes(file.ReadInt32()));
            }
        }

        internal static byte[] Buffer(int id, int offset, int size)
        {
            Trace.Write("readback", ("id", id), ("offset", offset), ("bytes", size), ("format", "buffer"));
            return Next(size);
        }

        internal static byte[] Picture(int id, string format, int size)
        {
            Trace.Write("readback", ("id", id), ("offset", 0), ("bytes", size), ("format", format));
            return Next(size);
        }

        private static byte[] Next(int size)
        {
            if (answers.Count == 0) return new byte[size];
            byte[] answer = answers.Dequeue();
            return answer.Length == size ? answer
                : throw new EngineException($"an answer of {answer.Length} bytes; {size} were asked for");
        }
    }
}
