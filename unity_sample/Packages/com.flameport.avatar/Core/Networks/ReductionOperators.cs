using System;
using static Flameport.NetworkOperators;

namespace Flameport
{
    /// <summary>Sums, means, largest and smallest numbers along axes; and softmax.</summary>
    internal static class ReductionOperators
    {
        /// <summary>Return the step; null of other operators.</summary>
        public static Action? Make(NetworkBuilder builder)
        {
            switch (builder.Node.Operator)
            {
                case "ReduceSum": return Reduce(builder, builder.Integers(1), (sum, x) => sum + x, 0, false);
                case "ReduceMean": return Reduce(builder, builder.Node.List("axes"), (sum, x) => sum + x, 0, true);
                case "ReduceMax":
                    return Reduce(builder, builder.Node.List("axes"), (most, x) => Math.Max(most, x), double.NegativeInfinity,
                        false);
                case "ReduceMin":
                    return Reduce(builder, builder.Node.List("axes"), (least, x) => Math.Min(least, x),
                        double.PositiveInfinity, false);
                case "Softmax": return Softmax(builder);
                default: return null;
            }
        }

        private static Action Reduce(NetworkBuilder builder, long[]? axes, Func<double, double, double> join, double start,
            bool mean)
        {
            NetworkTensor x = builder.Input(0);
            int count = x.Shape.Length;
            var gone = new bool[count];
            bool all = (axes == null || axes.Length == 0) && builder.Node.Number("noop_with_empty_axes", 0) == 0;
            foreach (long axis in axes ?? new long[0]) gone[Axis(axis, count)] = true;
            bool keep = builder.Node.Number("keepdims", 1) != 0;
            var shape = new System.Collections.Generic.List<int>();
            var order = new System.Collections.Generic.List<int>();
            int reduced = 1;
            for (int i = 0; i < count; i++)
            {
                gone[i] |= all;
                if (gone[i]) reduced *= x.Shape[i];
                else order.Add(i);
                if (!gone[i]) shape.Add(x.Shape[i]);
                else if (keep) shape.Add(1);
            }
            for (int i = 0; i < count; i++)
            {
                if (gone[i]) order.Add(i);
            }
            NetworkTensor y = builder.Output(0, shape.ToArray(), x.Whole && !mean);
            // Axes that go come last, so that what is joined lies together.
            int[] own = Broadcast.Steps(x.Shape, count), steps = order.ConvertAll(i => own[i]).ToArray();
            Broadcast walk = Broadcast.OfSteps(order.ConvertAll(i => x.Shape[i]).ToArray(), new[] { steps });
            float share = mean ? 1f / reduced : 1;
            builder.Costs(x.Values.Length);
            return () =>
            {
                if (y.Values.Length == 0 || x.Values.Length == 0) return;
                int run = walk.Run, step = walk.Step(0), at = 0, joined = 0;
                double sum = start;
                walk.Start();
                do
                {
                    for (int i = 0, from = walk.At[0]; i < run; i++, from += step)
                    {
                        sum = join(sum, x.Values[from]);
                        if (++joined < reduced) continue;
                        y.Values[at++] = (float)sum * share;
                        (sum, joined) = (start, 0);
                    }
                }
                while (walk.Next());
            };
        }

        private static Action Softmax(NetworkBuilder builder)
        {
            NetworkTensor x = builder.Input(0), y = builder.Output(0, x.Shape);
            int axis = Axis(builder.Node.Number("axis", -1), x.Shape.Length), size = x.Shape[axis];
            int outer = Product(x.Shape, 0, axis), inner = Product(x.Shape, axis + 1, x.Shape.Length);
            builder.Costs(8L * x.Values.Length);
            return () =>
            {
                for (int o = 0; o < outer; o++)
                {
                    for (int i = 0; i < inner; i++)
                    {
                        int first = o * size * inner + i, end = first + size * inner;
                        double most = double.NegativeInfinity, sum = 0;
                        for (int at = first; at < end; at += inner) most = Math.Max(most, x.Values[at]);
                        for (int at = first; at < end; at += inner) sum += Math.Exp(x.Values[at] - most);
                        for (int at = first; at < end; at += inner) y.Values[at] = (float)(Math.Exp(x.Values[at] - most) / sum);
                    }
                }
            };
        }
    }
}
