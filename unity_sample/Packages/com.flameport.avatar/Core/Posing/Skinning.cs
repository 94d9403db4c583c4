namespace Flameport
{
    /// <summary>Linear blend skinning with only the influences that are not zero.</summary>
    public static class Skinning
    {
        /// <summary>
        /// Write skinned points, three numbers each, and the blended 3 x 3 (nine a row) to <paramref name="linear"/>
        /// when it is given.
        /// With <paramref name="partial"/>, what a row lacks to 1 stays put; else rows sum to 1.
        /// </summary>
        public static void Skin(double[] rest, Influences influences, double[] matrices, bool partial,
            double[]? points, double[]? linear)
        {
            int[] starts = influences.Starts, joints = influences.Joints;
            double[] weights = influences.Weights;
            for (int i = 0; i < influences.Rows; i++)
            {
                double a = partial ? influences.Missing(i) : 0, f = a, k = a;
                double b = 0, c = 0, d = 0, e = 0, g = 0, h = 0, x = 0, y = 0, z = 0;
                for (int s = starts[i]; s < starts[i + 1]; s++)
                {
                    double w = weights[s];
                    int o = 12 * joints[s];
                    a += w * matrices[o];
                    b += w * matrices[o + 1];
                    c += w * matrices[o + 2];
                    x += w * matrices[o + 3];
                    d += w * matrices[o + 4];
                    f += w * matrices[o + 5];
                    e += w * matrices[o + 6];
                    y += w * matrices[o + 7];
                    g += w * matrices[o + 8];
                    h += w * matrices[o + 9];
                    k += w * matrices[o + 10];
                    z += w * matrices[o + 11];
                }
                if (points != null)
                {
                    double p = rest[3 * i], q = rest[3 * i + 1], r = rest[3 * i + 2];
                    points[3 * i] = a * p + b * q + c * r + x;
                    points[3 * i + 1] = d * p + f * q + e * r + y;
                    points[3 * i + 2] = g * p + h * q + k * r + z;
                }
                if (linear == null) continue;
                int to = 9 * i;
                linear[to] = a;
                linear[to + 1] = b;
                linear[to + 2] = c;
                linear[to + 3] = d;
                linear[to + 4] = f;
                linear[to + 5] = e;
                linear[to + 6] = g;
                linear[to + 7] = h;
                linear[to + 8] = k;
            }
        }
    }
}
