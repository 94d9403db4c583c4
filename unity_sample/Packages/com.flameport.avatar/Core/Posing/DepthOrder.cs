using System;

namespace Flameport
{
    /// <summary>
    /// Gaussians from back to front, where there are no compute shaders: a counting sort of 32-bit depths in three
    /// passes of 11, 11 and 10
    /// bits, whose arrays are kept from frame to frame.
    /// </summary>
    public sealed class DepthOrder
    {
        private const int Buckets = 1 << 11;

        private readonly int[] low = new int[Buckets], middle = new int[Buckets], high = new int[Buckets];
        private double[] depths = new double[0];
        private uint[] keys = new uint[0], otherKeys = new uint[0];
        private int[] places = new int[0], otherPlaces = new int[0];

        /// <summary>
        /// Write the numbers of Gaussians beyond <paramref name="near"/> to <paramref name="order"/>, farthest first,
        /// and return how many there
        /// are. Of equally deep ones the first is nearer, as in `formats.render`.
        /// </summary>
        /// <param name="means">Three numbers each, world space.</param>
        /// <param name="view">Row-major 3 x 4, to a camera that looks along +z.</param>
        /// <param name="near">Metres.</param>
        /// <param name="order">Room for all.</param>
        public int Sort(ReadOnlySpan<double> means, ReadOnlySpan<double> view, double near, Span<int> order)
        {
            int count = means.Length / 3, shown = 0;
            Reserve(count);
            double x = view[8], y = view[9], z = view[10], w = view[11];
            double nearest = double.PositiveInfinity, farthest = double.NegativeInfinity;
            // From the last to the first: every pass keeps the order of equal keys.
            for (int i = count - 1; i >= 0; i--)
            {
                double depth = x * means[3 * i] + y * means[3 * i + 1] + z * means[3 * i + 2] + w;
                if (!(depth > near)) continue;
                depths[shown] = depth;
                places[shown++] = i;
                nearest = Math.Min(nearest, depth);
                farthest = Math.Max(farthest, depth);
            }
            if (shown == 0) return 0;
            double scale = uint.MaxValue / Math.Max(farthest - nearest, 1e-9);
            Array.Clear(low, 0, Buckets);
            Array.Clear(middle, 0, Buckets);
            Array.Clear(high, 0, Buckets);
            for (int k = 0; k < shown; k++)
            {
                uint key = (uint)Math.Min((farthest - depths[k]) * scale, uint.MaxValue);
                keys[k] = key;
                low[key & 0x7FF]++;
                middle[(key >> 11) & 0x7FF]++;
                high[key >> 22]++;
            }
            ToStarts(low);
            ToStarts(middle);
            ToStarts(high);
            for (int k = 0; k < shown; k++)
            {
                int to = low[keys[k] & 0x7FF]++;
                otherKeys[to] = keys[k];
                otherPlaces[to] = places[k];
            }
            for (int k = 0; k < shown; k++)
            {
                int to = middle[(otherKeys[k] >> 11) & 0x7FF]++;
                keys[to] = otherKeys[k];
                places[to] = otherPlaces[k];
            }
            for (int k = 0; k < shown; k++) order[high[keys[k] >> 22]++] = places[k];
            return shown;
        }

        private void Reserve(int count)
        {
            if (keys.Length >= count) return;
            depths = new double[count];
            keys = new uint[count];
            otherKeys = new uint[count];
            places = new int[count];
            otherPlaces = new int[count];
        }

        private static void ToStarts(int[] counts)
        {
            int start = 0;
            for (int k = 0; k < counts.Length; k++)
            {
                int count = counts[k];
                counts[k] = start;
                start += count;
            }
        }
    }
}
