using System;

namespace Flameport
{
    /// <summary>A sphere around the head at rest, 1.15 times as large as its vertices need: what 16-bit depths span, and
    /// what engines take for its bounds.</summary>
    public sealed class HeadSphere
    {
        private const double Margin = 1.15;

        public HeadSphere(Head head)
        {
            float[] v = head.Template;
            Middle = new double[3];
            for (int c = 0; c < 3; c++)
            {
                double low = double.PositiveInfinity, high = double.NegativeInfinity;
                for (int i = c; i < v.Length; i += 3)
                {
                    low = Math.Min(low, v[i]);
                    high = Math.Max(high, v[i]);
                }
                Middle[c] = (low + high) / 2;
            }
            double most = 0;
            for (int i = 0; i < v.Length; i += 3)
            {
                double x = v[i] - Middle[0], y = v[i + 1] - Middle[1], z = v[i + 2] - Middle[2];
                most = Math.Max(most, x * x + y * y + z * z);
            }
            Radius = Margin * Math.Sqrt(most);
        }

        /// <summary>Metres, at rest.</summary>
        public double[] Middle { get; }
        public double Radius { get; }

        /// <summary>Write the middle as a row-major 3 x 4 transform moves it.</summary>
        public void Move(ReadOnlySpan<double> transform, Span<double> moved)
        {
            for (int r = 0; r < 3; r++)
            {
                moved[r] = transform[4 * r + 3];
                for (int c = 0; c < 3; c++) moved[r] += transform[4 * r + c] * Middle[c];
            }
        }
    }
}
