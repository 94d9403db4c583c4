using System;

namespace Flameport
{
    /// <summary>
    /// c = bias + linear y + outer tanh(inner y + innerBias), y the driver less its mean, held within low..high
    /// (`formats.coefficient_function`). D driving numbers, H hidden ones, K coefficients; matrices row after row.
    /// </summary>
    public sealed class CoefficientFunction
    {
        private readonly float[] linear, bias, inner, innerBias, outer, low, high;

        /// <summary>Check the sizes; throws <see cref="AvatarFormatException"/>.</summary>
        public CoefficientFunction(int rank, float[] linear, float[] bias, float[] inner, float[] innerBias, float[] outer,
            float[] low, float[] high)
        {
            int d = low.Length, h = innerBias.Length;
            if (d == 0 || high.Length != d || bias.Length != rank || linear.Length != (long)rank * d
                || inner.Length != (long)h * d || outer.Length != (long)rank * h)
            {
                throw new AvatarFormatException($"A coefficient function of {d} driving and {h} hidden numbers does not "
                    + $"fit {rank} coefficients. Export the avatar again.");
            }
            this.linear = linear;
            this.bias = bias;
            this.inner = inner;
            this.innerBias = innerBias;
            this.outer = outer;
            this.low = low;
            this.high = high;
        }

        /// <summary>D: how many numbers drive it.</summary>
        public int DrivingCount => low.Length;

        /// <summary>H: how many numbers it works with.</summary>
        public int HiddenCount => innerBias.Length;

        /// <summary>Write the coefficients of the driver less its mean, whose numbers beyond what the function was fitted
        /// to are held at its end, in place. <paramref name="hidden"/> is room for its own.</summary>
        public void Evaluate(double[] driving, double[] hidden, double[] coefficients)
        {
            for (int d = 0; d < driving.Length; d++) driving[d] = Math.Min(Math.Max(driving[d], low[d]), high[d]);
            for (int h = 0; h < hidden.Length; h++) hidden[h] = Math.Tanh(innerBias[h] + Product(inner, h, driving));
            for (int k = 0; k < bias.Length; k++)
            {
                coefficients[k] = bias[k] + Product(linear, k, driving) + Product(outer, k, hidden);
            }
        }

        private static double Product(float[] matrix, int row, double[] values)
        {
            double sum = 0;
            for (int i = 0, at = row * values.Length; i < values.Length; i++, at++) sum += matrix[at] * values[i];
            return sum;
        }
    }
}
