using System;

namespace Flameport
{
    /// <summary>Random numbers that are the same everywhere for a seed: a 32-bit counter through a mixing function
    /// (splitmix).</summary>
    public struct SplitMix
    {
        private const uint Step = 0x9E3779B9;
        private uint state;

        public SplitMix(int seed, int stream, int block = 0)
        {
            state = 0;
            state = Mix((state ^ (uint)seed) + Step);
            state = Mix((state ^ (uint)stream) + Step);
            if (stream > 0) state = Mix((state ^ (uint)block) + Step);
        }

        /// <summary>The next number, 0 to below 1.</summary>
        public double Next()
        {
            state += Step;
            return Mix(state) / 4294967296.0;
        }

        /// <summary>The next number of the standard normal distribution (Box and Muller).</summary>
        public double NextNormal()
        {
            double radius = Math.Sqrt(-2 * Math.Log(1 - Next()));
            return radius * Math.Cos(2 * Math.PI * Next());
        }

        private static uint Mix(uint z)
        {
            z = (z ^ (z >> 16)) * 0x21F0AAAD;
            z = (z ^ (z >> 15)) * 0x735A2D97;
            return z ^ (z >> 15);
        }
    }
}
