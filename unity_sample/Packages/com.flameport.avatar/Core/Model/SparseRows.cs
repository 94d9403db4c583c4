using System;

namespace Flameport
{
    /// <summary>A direction of a table: three numbers for each of the rows it moves. <see cref="Rows"/> null: all of
    /// them.</summary>
    public sealed class SparseRows
    {
        public SparseRows(int[]? rows, float[] values)
        {
            Rows = rows;
            Values = values;
        }

        public int[]? Rows { get; }
        public float[] Values { get; }

        /// <summary>Return the first <paramref name="count"/> rows, only those that are not zero where that is less
        /// than two thirds.</summary>
        public static SparseRows FromDense(float[] dense, int count)
        {
            int kept = 0;
            for (int i = 0; i < count; i++)
            {
                if (Moves(dense, i)) kept++;
            }
            if (kept * 3L > count * 2L) return new SparseRows(null, dense.Length == 3 * count ? dense
                : dense.AsSpan(0, 3 * count).ToArray());
            var rows = new int[kept];
            var values = new float[3 * kept];
            for (int i = 0, k = 0; i < count; i++)
            {
                if (!Moves(dense, i)) continue;
                Array.Copy(dense, 3 * i, values, 3 * k, 3);
                rows[k++] = i;
            }
            return new SparseRows(rows, values);
        }

        private static bool Moves(float[] dense, int i) => dense[3 * i] != 0 || dense[3 * i + 1] != 0
            || dense[3 * i + 2] != 0;

        /// <summary>Return every row, those that are not stored as zeros.</summary>
        public float[] ToDense(int count)
        {
            if (Rows == null) return Values;
            var dense = new float[3 * count];
            for (int k = 0; k < Rows.Length; k++) Array.Copy(Values, 3 * k, dense, 3 * Rows[k], 3);
            return dense;
        }

        /// <summary>Add <paramref name="weight"/> times the direction to <paramref name="points"/>, three numbers
        /// each.</summary>
        public void AddTo(double[] points, double weight)
        {
            if (weight == 0) return;
            float[] values = Values;
            if (Rows == null)
            {
                for (int i = 0; i < values.Length; i++) points[i] += weight * values[i];
                return;
            }
            for (int k = 0, v = 0; k < Rows.Length; k++, v += 3)
            {
                int at = 3 * Rows[k];
                points[at] += weight * values[v];
                points[at + 1] += weight * values[v + 1];
                points[at + 2] += weight * values[v + 2];
            }
        }

        /// <summary>The same, turned by a row-major rotation first: eyelids that come after skinning.</summary>
        public void AddTurned(double[] points, double weight, double[] rotation)
        {
            if (weight == 0) return;
            for (int v = 0; v < Values.Length; v += 3)
            {
                int at = Rows == null ? v : 3 * Rows[v / 3];
                double x = weight * Values[v], y = weight * Values[v + 1], z = weight * Values[v + 2];
                for (int r = 0; r < 3; r++) points[at + r] += rotation[3 * r] * x + rotation[3 * r + 1] * y
                    + rotation[3 * r + 2] * z;
            }
        }
    }
}
