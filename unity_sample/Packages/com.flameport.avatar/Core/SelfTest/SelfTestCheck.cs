using System;

namespace Flameport
{
    /// <summary>What came of one check.</summary>
    public readonly struct SelfTestResult
    {
        public SelfTestResult(string name, string kernel, double error, double bound, bool passed, string note = "")
        {
            Name = name;
            Kernel = kernel;
            Error = error;
            Bound = bound;
            Passed = passed;
            Note = note;
        }

        public string Name { get; }
        /// <summary>Kernels that it depends on, or what else.</summary>
        public string Kernel { get; }
        public double Error { get; }
        public double Bound { get; }
        public bool Passed { get; }
        public string Note { get; }
    }

    /// <summary>Numbers that a buffer of the self-test should hold in the end.</summary>
    public sealed class SelfTestCheck
    {
        private readonly string kind, name, kernel;
        private readonly double bound;
        private readonly int at, every, width, count;
        private readonly float[] expected;

        internal SelfTestCheck(JsonValue entry, int buffer, int elements, byte[] expectedBytes)
        {
            Buffer = buffer;
            count = elements;
            name = entry["name"].Text("");
            kernel = entry["kernel"].Text("");
            kind = entry["kind"].Choice("kind", "near", "relative", "turn", "sorted");
            bound = entry["bound"].Number("bound");
            expected = Floats(expectedBytes);
            if (kind == "sorted") return;
            at = entry["at"].Integer("at");
            every = entry["every"].Integer("every");
            width = entry["width"].Integer("width", 16);
        }

        /// <summary>Which of the file's buffers.</summary>
        public int Buffer { get; }

        /// <summary>Return how far what was read from the buffer is from what is expected. What is no number
        /// fails.</summary>
        public SelfTestResult Compare(byte[] read)
        {
            double error = kind == "sorted" ? Misplaced(read) : Farthest(Floats(read));
            return new SelfTestResult(name, kernel, error, bound, error <= bound);
        }

        /// <summary>Write what is expected into a buffer's bytes, where it belongs. For tests.</summary>
        public void Fill(byte[] buffer)
        {
            for (int i = 0; i < expected.Length; i++)
            {
                float value = float.IsNaN(expected[i]) ? 0 : expected[i];
                BitConverter.GetBytes(value).CopyTo(buffer, 4 * (at + i / width * every + i % width));
            }
        }

        private double Farthest(float[] found)
        {
            double most = 0;
            for (int row = 0; row * width < expected.Length; row++)
            {
                double same = 0, turned = 0;
                for (int c = 0; c < width; c++)
                {
                    double wanted = expected[row * width + c];
                    // Not compared: nothing is seen of it.
                    if (double.IsNaN(wanted)) continue;
                    int place = at + row * every + c;
                    double value = place < found.Length ? found[place] : double.NaN;
                    double unit = kind == "relative" ? Math.Max(Math.Abs(wanted), 1e-6) : 1;
                    same = Larger(same, Math.Abs(value - wanted) / unit);
                    turned = Larger(turned, Math.Abs(value + wanted));
                }
                // A quaternion and its negative are one rotation.
                most = Larger(most, kind == "turn" ? Math.Min(same, turned) : same);
            }
            return most;
        }

        private static double Larger(double a, double b) => a >= b ? a : double.IsNaN(a) || double.IsNaN(b)
            ? double.PositiveInfinity : b;

        /// <summary>How many of the sorted numbers are at a wrong place.</summary>
        private int Misplaced(byte[] read)
        {
            int wrong = 0;
            if (read.Length != 4 * count) return count;
            var keyed = new ulong[count];
            for (int i = 0; i < count; i++) keyed[i] = (ulong)Key(i) << 32 | (uint)i;
            Array.Sort(keyed);
            for (int i = 0; i < count; i++)
            {
                // Key k is number count - 1 - k's.
                if (BitConverter.ToInt32(read, 4 * i) != count - 1 - (int)(uint)keyed[i]) wrong++;
            }
            return wrong;
        }

        /// <summary>Keys that repeat, spread over all 32 bits.</summary>
        private static uint Key(int i) => unchecked((uint)i * 2654435761u % 40009u * 100003u);

        internal static byte[] KeyBytes(int count)
        {
            var bytes = new byte[4 * count];
            for (int i = 0; i < count; i++) BitConverter.GetBytes(Key(i)).CopyTo(bytes, 4 * i);
            return bytes;
        }

        private static float[] Floats(byte[] bytes)
        {
            var floats = new float[bytes.Length / 4];
            for (int i = 0; i < floats.Length; i++) floats[i] = BitConverter.ToSingle(bytes, 4 * i);
            return floats;
        }
    }
}
