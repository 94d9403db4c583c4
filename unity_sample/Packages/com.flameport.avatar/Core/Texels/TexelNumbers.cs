using System;

namespace Flameport
{
    /// <summary>Least and largest value of each column, as float32, rounded outwards.</summary>
    public readonly struct TexelBox
    {
        public TexelBox(double[] low, double[] high)
        {
            Low = low;
            High = high;
        }

        public readonly double[] Low, High;

        /// <summary>Return the box of rows; with <paramref name="unit"/>, of 0..1 too.</summary>
        public static TexelBox Of(double[] values, int columns, bool unit = false)
        {
            var low = new double[columns];
            var high = new double[columns];
            for (int c = 0; c < columns; c++)
            {
                low[c] = values.Length > 0 ? double.PositiveInfinity : 0;
                high[c] = values.Length > 0 ? double.NegativeInfinity : 0;
            }
            for (int i = 0; i < values.Length; i++)
            {
                low[i % columns] = Math.Min(low[i % columns], values[i]);
                high[i % columns] = Math.Max(high[i % columns], values[i]);
            }
            for (int c = 0; c < columns; c++)
            {
                if (unit)
                {
                    low[c] = Math.Min(low[c], 0);
                    high[c] = Math.Max(high[c], 1);
                }
                float down = (float)low[c], up = (float)high[c];
                low[c] = down > low[c] ? Next(down, false) : down;
                high[c] = up < high[c] ? Next(up, true) : up;
            }
            return new TexelBox(low, high);
        }

        private static float Next(float x, bool up)
        {
            if (x == 0) return up ? float.Epsilon : -float.Epsilon;
            int bits = BitConverter.SingleToInt32Bits(x);
            return BitConverter.Int32BitsToSingle(up == x > 0 ? bits + 1 : bits - 1);
        }
    }

    /// <summary>Numbers as the bits of packed texels, bit for bit as `formats/codecs/texel_numbers.py`; rounding is
    /// floor(x + 0.5).</summary>
    public static class TexelNumbers
    {
        /// <summary>floor((x - low) / (high - low) (2^bits - 1) + 0.5); 0 where a box has no size.</summary>
        public static uint Unorm(double x, in TexelBox box, int column, int bits)
        {
            double most = Math.Pow(2, bits) - 1, extent = box.High[column] - box.Low[column];
            double share = (x - box.Low[column]) / (extent > 0 ? extent : 1);
            return (uint)Math.Min(Math.Max(Math.Floor(share * most + 0.5), 0), most);
        }

        /// <summary>low + (high - low) q / (2^bits - 1).</summary>
        public static double FromUnorm(uint q, double low, double high, int bits) => low + (high - low)
            * q / (Math.Pow(2, bits) - 1);

        /// <summary>floor(x (2^(bits-1) - 1) + 0.5) as two's complement.</summary>
        public static uint Snorm(double x, int bits)
        {
            double most = Math.Pow(2, bits - 1) - 1;
            long q = (long)Math.Min(Math.Max(Math.Floor(x * most + 0.5), -most), most);
            return (uint)(q & ((1L << bits) - 1));
        }

        /// <summary>q / (2^(bits-1) - 1), not below -1.</summary>
        public static double FromSnorm(uint q, int bits)
        {
            long value = q;
            if ((value >> (bits - 1)) != 0) value -= 1L << bits;
            return Math.Max(value / (Math.Pow(2, bits - 1) - 1), -1);
        }

        /// <summary>The bits of float16: of the float32 nearest, nearest, ties to even, cut to its range.</summary>
        public static uint Half(double value)
        {
            float x = Math.Min(Math.Max((float)value, -65504f), 65504f);
            int bits = BitConverter.SingleToInt32Bits(x);
            uint sign = bits < 0 ? 0x8000u : 0;
            // A subnormal or a normal number is a whole number of steps; halfway goes to the even one.
            int exponent = Math.Max(((bits >> 23) & 0xFF) - 127, -14);
            double steps = Math.Abs((double)x) / Math.Pow(2, exponent - 10), whole = Math.Floor(steps), rest = steps - whole;
            if (rest > 0.5 || (rest == 0.5 && whole % 2 == 1)) whole++;
            // The leading one of a normal number adds to the exponent, which therefore counts from one less.
            return sign + (uint)((exponent + 14) * 1024 + whole);
        }

        /// <summary>The number that the bits of a float16 mean; infinities and NaN as they are.</summary>
        public static double FromHalf(uint bits)
        {
            double sign = (bits & 0x8000) != 0 ? -1 : 1;
            int exponent = (int)(bits >> 10) & 31;
            double fraction = bits & 1023;
            if (exponent == 31) return fraction == 0 ? sign * double.PositiveInfinity : double.NaN;
            return sign * (exponent == 0 ? fraction * Math.Pow(2, -24) : (1024 + fraction) * Math.Pow(2, exponent - 25));
        }

        /// <summary>The bits of a float32.</summary>
        public static uint FloatBits(double x) => unchecked((uint)BitConverter.SingleToInt32Bits((float)x));

        /// <summary>A word of two 16-bit numbers, the first lowest.</summary>
        public static uint Two(uint low, uint high) => low | (high << 16);

        /// <summary>A word of four bytes, the first lowest.</summary>
        public static uint Four(uint a, uint b, uint c, uint d) => a | (b << 8) | (c << 16) | (d << 24);

        /// <summary>Three snorms of 11, 11 and 10 bits, the first lowest.</summary>
        public static uint ThreeSnorms(double x, double y, double z) => Snorm(x, 11) | (Snorm(y, 11) << 11)
            | (Snorm(z, 10) << 22);

        /// <summary>A unit quaternion wxyz in 32 bits, up to its sign.</summary>
        public static uint SmallestThree(ReadOnlySpan<float> q)
        {
            int largest = 0;
            for (int i = 1; i < 4; i++)
            {
                if (Math.Abs(q[i]) > Math.Abs(q[largest])) largest = i;
            }
            double scale = (q[largest] < 0 ? -1 : 1) * Math.Sqrt(2);
            uint word = (uint)largest << 30;
            for (int i = 0, shift = 0; i < 4; i++)
            {
                if (i == largest) continue;
                word |= Snorm(q[i] * scale, 10) << shift;
                shift += 10;
            }
            return word;
        }

        /// <summary>Rows of words as texels, each row begun on a texel and its end zero.</summary>
        public static uint[] RowsToTexels(uint[] words, int width)
        {
            int wide = (width + 3) / 4 * 4;
            if (wide == width) return words;
            int rows = words.Length / width;
            var texels = new uint[checked(rows * wide)];
            for (int i = 0; i < rows; i++) Array.Copy(words, i * width, texels, i * wide, width);
            return texels;
        }

        /// <summary>Words as texels, the last one filled with zeros.</summary>
        public static uint[] Several(uint[] words)
        {
            var texels = new uint[(words.Length + 3) / 4 * 4];
            words.CopyTo(texels, 0);
            return texels;
        }
    }
}
