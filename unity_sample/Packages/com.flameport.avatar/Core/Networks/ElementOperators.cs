using System;

namespace Flameport
{
    /// <summary>Operators that make each number of one, two or three.</summary>
    internal static class ElementOperators
    {
        /// <summary>Return the step; null of other operators.</summary>
        public static Action? Make(NetworkBuilder builder)
        {
            string name = builder.Node.Operator;
            switch (name)
            {
                case "Where": return Choose(builder);
                case "Clip": return Clip(builder);
                case "Cast": return Cast(builder);
                case "Max": case "Min": return Several(builder, name == "Max");
            }
            Func<float, float>? one = Single(builder.Node);
            if (one != null) return Each(builder, one, builder.Input(0).Whole && name != "Reciprocal");
            Func<float, float, float>? two = Double(name, Count(builder) == 2 && builder.Input(0).Whole
                && builder.Input(1).Whole);
            return two == null ? null : Pairs(builder, two, name);
        }

        private static int Count(NetworkBuilder builder) => builder.Count;

        private static Func<float, float>? Single(OnnxNode node)
        {
            switch (node.Operator)
            {
                case "Abs": return x => Math.Abs(x);
                case "Acos": return x => (float)Math.Acos(x);
                case "Asin": return x => (float)Math.Asin(x);
                case "Atan": return x => (float)Math.Atan(x);
                case "Ceil": return x => (float)Math.Ceiling(x);
                case "Cos": return x => (float)Math.Cos(x);
                case "Elu": return Elu((float)node.Number("alpha", 1));
                case "Erf": return Erf;
                case "Exp": return x => (float)Math.Exp(x);
                case "Floor": return x => (float)Math.Floor(x);
                case "LeakyRelu": return Leaky((float)node.Number("alpha", 0.01f));
                case "Log": return x => (float)Math.Log(x);
                case "Neg": return x => -x;
                case "Not": return x => x == 0 ? 1 : 0;
                case "Reciprocal": return x => 1 / x;
                case "Relu": return x => x < 0 ? 0 : x;
                case "Round": return x => (float)Math.Round(x, MidpointRounding.ToEven);
                case "Sigmoid": return x => (float)(1 / (1 + Math.Exp(-x)));
                case "Sign": return x => x > 0 ? 1 : x < 0 ? -1 : 0;
                case "Sin": return x => (float)Math.Sin(x);
                case "Softplus": return x => (float)(Math.Max(x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(x))));
                case "Sqrt": return x => (float)Math.Sqrt(x);
                case "Tan": return x => (float)Math.Tan(x);
                case "Tanh": return x => (float)Math.Tanh(x);
                default: return null;
            }
        }

        private static Func<float, float> Elu(float alpha) => x => x < 0 ? (float)(alpha * (Math.Exp(x) - 1)) : x;

        private static Func<float, float> Leaky(float slope) => x => x < 0 ? slope * x : x;

        /// <summary>The error function: its series, and far out its continued fraction (Abramowitz and Stegun, 7.1.6 and
        /// 7.1.14).</summary>
        internal static float Erf(float value)
        {
            double x = Math.Abs((double)value), sum = 0;
            if (x < 2.5)
            {
                double term = x;
                for (int n = 0; n < 60; n++)
                {
                    sum += term;
                    term *= 2 * x * x / (2 * n + 3);
                }
                sum *= 2 / Math.Sqrt(Math.PI) * Math.Exp(-x * x);
            }
            else
            {
                double rest = 0;
                for (int n = 40; n > 0; n--) rest = n / 2.0 / (x + rest);
                sum = 1 - Math.Exp(-x * x) / (Math.Sqrt(Math.PI) * (x + rest));
            }
            return (float)(value < 0 ? -sum : sum);
        }

        private static Func<float, float, float>? Double(string name, bool whole)
        {
            switch (name)
            {
                case "Add": return (x, y) => x + y;
                case "Sub": return (x, y) => x - y;
                case "Mul": return (x, y) => x * y;
                case "Div": return whole ? (x, y) => (float)Math.Truncate(x / y) : (Func<float, float, float>)((x, y) => x / y);
                case "Pow": return (x, y) => (float)Math.Pow(x, y);
                case "PRelu": return (x, y) => x < 0 ? x * y : x;
                case "And": return (x, y) => x != 0 && y != 0 ? 1 : 0;
                case "Or": return (x, y) => x != 0 || y != 0 ? 1 : 0;
                case "Equal": return (x, y) => x == y ? 1 : 0;
                case "Greater": return (x, y) => x > y ? 1 : 0;
                case "GreaterOrEqual": return (x, y) => x >= y ? 1 : 0;
                case "Less": return (x, y) => x < y ? 1 : 0;
                case "LessOrEqual": return (x, y) => x <= y ? 1 : 0;
                default: return null;
            }
        }

        private static Action Each(NetworkBuilder builder, Func<float, float> make, bool whole)
        {
            NetworkTensor x = builder.Input(0), y = builder.Output(0, x.Shape, whole);
            builder.Costs(8L * x.Values.Length);
            float[] from = x.Values, to = y.Values;
            if (builder.Node.Operator == "Relu") return () =>
            {
                for (int i = 0; i < to.Length; i++) to[i] = from[i] < 0 ? 0 : from[i];
            };
            return () =>
            {
                for (int i = 0; i < to.Length; i++) to[i] = make(from[i]);
            };
        }

        private static Action Pairs(NetworkBuilder builder, Func<float, float, float> make, string name)
        {
            NetworkTensor x = builder.Input(0), y = builder.Input(1);
            NetworkTensor z = builder.Output(0, Broadcast.Shape(x.Shape, y.Shape), x.Whole && y.Whole);
            builder.Costs(4L * z.Values.Length);
            return Walk(x, y, z, make, name);
        }

        private static Action Walk(NetworkTensor x, NetworkTensor y, NetworkTensor z, Func<float, float, float> make, string name)
        {
            Broadcast walk = Broadcast.Of(z.Shape, x.Shape, y.Shape);
            float[] a = x.Values, b = y.Values, to = z.Values;
            int run = walk.Run, i = walk.Step(0), j = walk.Step(1);
            return () =>
            {
                if (to.Length == 0) return;
                int at = 0;
                walk.Start();
                do
                {
                    int p = walk.At[0], q = walk.At[1], end = at + run;
                    // Calls cost more than sums do.
                    if (name == "Add") for (; at < end; at++, p += i, q += j) to[at] = a[p] + b[q];
                    else if (name == "Mul") for (; at < end; at++, p += i, q += j) to[at] = a[p] * b[q];
                    else if (name == "Sub") for (; at < end; at++, p += i, q += j) to[at] = a[p] - b[q];
                    else for (; at < end; at++, p += i, q += j) to[at] = make(a[p], b[q]);
                }
                while (walk.Next());
            };
        }

        private static Action Several(NetworkBuilder builder, bool most)
        {
            var shapes = new int[builder.Count][];
            bool whole = true;
            for (int i = 0; i < shapes.Length; i++)
            {
                shapes[i] = builder.Input(i).Shape;
                whole &= builder.Input(i).Whole;
            }
            if (shapes.Length == 0) throw ProtobufReader.Damaged();
            NetworkTensor z = builder.Output(0, Broadcast.Shape(shapes), whole);
            builder.Costs(4L * z.Values.Length * shapes.Length);
            Func<float, float, float> make = most ? (x, y) => Math.Max(x, y) : (Func<float, float,
                float>)((x, y) => Math.Min(x, y));
            // Over itself again for each tensor more; numbers are taken before they are put.
            var steps = new Action[shapes.Length];
            steps[0] = Walk(builder.Input(0), builder.Input(0), z, make, "");
            for (int i = 1; i < steps.Length; i++) steps[i] = Walk(z, builder.Input(i), z, make, "");
            return () =>
            {
                foreach (Action step in steps) step();
            };
        }

        private static Action Choose(NetworkBuilder builder)
        {
            NetworkTensor c = builder.Input(0), x = builder.Input(1), y = builder.Input(2);
            NetworkTensor z = builder.Output(0, Broadcast.Shape(c.Shape, x.Shape, y.Shape), x.Whole && y.Whole);
            Broadcast walk = Broadcast.Of(z.Shape, c.Shape, x.Shape, y.Shape);
            builder.Costs(4L * z.Values.Length);
            float[] to = z.Values;
            int run = walk.Run;
            return () =>
            {
                if (to.Length == 0) return;
                int at = 0;
                walk.Start();
                do
                {
                    for (int i = 0; i < run; i++, at++)
                    {
                        bool first = c.Values[walk.At[0] + i * walk.Step(0)] != 0;
                        to[at] = first ? x.Values[walk.At[1] + i * walk.Step(1)] : y.Values[walk.At[2] + i * walk.Step(2)];
                    }
                }
                while (walk.Next());
            };
        }

        private static Action Clip(NetworkBuilder builder)
        {
            NetworkTensor x = builder.Input(0), y = builder.Output(0, x.Shape, x.Whole);
            NetworkTensor? low = builder.Optional(1), high = builder.Optional(2);
            if ((low != null && low.Values.Length != 1) || (high != null
                && high.Values.Length != 1)) throw ProtobufReader.Damaged();
            builder.Costs(4L * y.Values.Length);
            return () =>
            {
                float least = low == null ? float.NegativeInfinity : low.Values[0], most = high == null ? float.PositiveInfinity
                    : high.Values[0];
                for (int i = 0; i < y.Values.Length; i++) y.Values[i] = Math.Min(Math.Max(x.Values[i], least), most);
            };
        }

        private static Action Cast(NetworkBuilder builder)
        {
            // onnx.proto: 1 float, 10 float16 and 11 double; 9 bool; 2 to 8, 12 and 13 integers.
            int kind = (int)builder.Node.Number("to", 0);
            bool whole = (kind >= 2 && kind <= 7) || kind == 12 || kind == 13;
            if (!whole && kind != 1 && kind != 9 && kind != 11) throw OnnxReader.Refused($"turns numbers into kind {kind}");
            if (kind == 9) return Each(builder, x => x != 0 ? 1 : 0, true);
            return Each(builder, whole ? x => (float)Math.Truncate(x) : (Func<float, float>)(x => x), whole);
        }
    }
}
