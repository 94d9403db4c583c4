using System;

namespace Flameport
{
    /// <summary>Products of matrices. Rows of zeros in the left one, as rectifiers leave them, cost nothing.</summary>
    internal static class ProductOperators
    {
        /// <summary>Return the step; null of other operators.</summary>
        public static Action? Make(NetworkBuilder builder) => builder.Node.Operator == "MatMul" ? MatMul(builder)
            : builder.Node.Operator == "Gemm" ? Gemm(builder) : null;

        private static Action MatMul(NetworkBuilder builder)
        {
            NetworkTensor a = builder.Input(0), b = builder.Input(1);
            int[] left = Matrix(a.Shape, true), right = Matrix(b.Shape, false);
            int axes = Math.Max(left.Length, right.Length), rows = left[left.Length - 2], inner = left[left.Length - 1];
            int columns = right[right.Length - 1];
            if (right[right.Length - 2] != inner) throw ProtobufReader.Damaged();
            int[] before = left.AsSpan(0, left.Length - 2).ToArray(), after = right.AsSpan(0, right.Length - 2).ToArray();
            int[] batch = Broadcast.Shape(before, after);
            var shape = new System.Collections.Generic.List<int>(batch);
            if (a.Shape.Length > 1) shape.Add(rows);
            if (b.Shape.Length > 1) shape.Add(columns);
            NetworkTensor y = builder.Output(0, shape.ToArray());
            int[] one = Broadcast.Steps(before, axes - 2), two = Broadcast.Steps(after, axes - 2);
            int matrices = NetworkTensor.Count(batch);
            builder.Costs((long)matrices * rows * inner * columns);
            // Which matrix of either each one of the result is made of.
            var lefts = new int[matrices];
            var rights = new int[matrices];
            for (int m = 0; m < matrices; m++)
            {
                for (int axis = axes - 3, rest = m; axis >= 0; axis--)
                {
                    lefts[m] += rest % batch[axis] * one[axis] * rows * inner;
                    rights[m] += rest % batch[axis] * two[axis] * inner * columns;
                    rest /= batch[axis];
                }
            }
            return () =>
            {
                Array.Clear(y.Values, 0, y.Values.Length);
                for (int m = 0; m < matrices; m++)
                {
                    Multiply(a.Values, lefts[m], b.Values, rights[m], y.Values, m * rows * columns, rows, inner, columns);
                }
            };
        }

        private static int[] Matrix(int[] shape, bool row)
        {
            if (shape.Length == 0) throw ProtobufReader.Damaged();
            return shape.Length > 1 ? shape : row ? new[] { 1, shape[0] } : new[] { shape[0], 1 };
        }

        private static Action Gemm(NetworkBuilder builder)
        {
            NetworkTensor a = builder.Input(0), b = builder.Input(1);
            NetworkTensor? c = builder.Optional(2);
            bool turnA = builder.Node.Number("transA", 0) != 0, turnB = builder.Node.Number("transB", 0) != 0;
            if (a.Shape.Length != 2 || b.Shape.Length != 2) throw ProtobufReader.Damaged();
            int rows = a.Shape[turnA ? 1 : 0], inner = a.Shape[turnA ? 0 : 1], columns = b.Shape[turnB ? 0 : 1];
            if (b.Shape[turnB ? 1 : 0] != inner) throw ProtobufReader.Damaged();
            float alpha = (float)builder.Node.Number("alpha", 1), beta = (float)builder.Node.Number("beta", 1);
            NetworkTensor y = builder.Output(0, new[] { rows, columns });
            builder.Costs((long)rows * inner * columns);
            Broadcast? added = null;
            if (c != null)
            {
                int[] result = Broadcast.Shape(y.Shape, c.Shape);
                if (result.Length != 2 || result[0] != rows || result[1] != columns) throw ProtobufReader.Damaged();
                added = Broadcast.Of(y.Shape, c.Shape);
            }
            // Weights are turned once, what changes each time.
            float[] left = turnA ? new float[a.Values.Length] : a.Values, right = turnB ? new float[b.Values.Length] : b.Values;
            if (turnB && b.Fixed) Turn(b.Values, right, columns, inner);
            return () =>
            {
                if (turnA) Turn(a.Values, left, inner, rows);
                if (turnB && !b.Fixed) Turn(b.Values, right, columns, inner);
                Array.Clear(y.Values, 0, y.Values.Length);
                Multiply(left, 0, right, 0, y.Values, 0, rows, inner, columns);
                if (alpha != 1) for (int i = 0; i < y.Values.Length; i++) y.Values[i] *= alpha;
                if (added != null) Accumulate(c!.Values, added, beta, y.Values);
            };
        }

        private static void Accumulate(float[] values, Broadcast walk, float factor, float[] sums)
        {
            int run = walk.Run, step = walk.Step(0), at = 0;
            if (sums.Length == 0) return;
            walk.Start();
            do
            {
                for (int i = 0, from = walk.At[0]; i < run; i++, from += step) sums[at++] += factor * values[from];
            }
            while (walk.Next());
        }

        /// <summary>Transpose a row-major matrix.</summary>
        internal static void Turn(float[] from, float[] to, int rows, int columns)
        {
            for (int r = 0; r < rows; r++)
            {
                for (int c = 0; c < columns; c++) to[c * rows + r] = from[r * columns + c];
            }
        }

        /// <summary>Add a product to zeros.</summary>
        private static void Multiply(float[] a, int atA, float[] b, int atB, float[] y, int atY, int rows, int inner, int columns)
        {
            for (int r = 0; r < rows; r++)
            {
                Span<float> sums = y.AsSpan(atY + r * columns, columns);
                int k = 0, at = atA + r * inner;
                // Four at a time: sums are fetched and put a quarter as often.
                for (; k + 4 <= inner; k += 4, at += 4)
                {
                    float w0 = a[at], w1 = a[at + 1], w2 = a[at + 2], w3 = a[at + 3];
                    if (w0 == 0 && w1 == 0 && w2 == 0 && w3 == 0) continue;
                    ReadOnlySpan<float> r0 = b.AsSpan(atB + k * columns, columns), r1 = b.AsSpan(atB + (k + 1) * columns,
                        columns);
                    ReadOnlySpan<float> r2 = b.AsSpan(atB + (k + 2) * columns, columns),
                        r3 = b.AsSpan(atB + (k + 3) * columns, columns);
                    for (int c = 0; c < sums.Length; c++) sums[c] += w0 * r0[c] + w1 * r1[c] + (w2 * r2[c] + w3 * r3[c]);
                }
                for (; k < inner; k++, at++)
                {
                    ReadOnlySpan<float> row = b.AsSpan(atB + k * columns, columns);
                    for (int c = 0; c < sums.Length; c++) sums[c] += a[at] * row[c];
                }
            }
        }
    }
}
