using System;
using System.Collections.Generic;
using static Flameport.NetworkOperators;

namespace Flameport
{
    /// <summary>
    /// The words that networks are said in to an engine. An engine gives what each means for its own tensors; everything
    /// else of <see cref="NetworkProgram"/>'s operators is made of those.
    /// </summary>
    public sealed class EngineWords<T> where T : class
    {
        /// <summary>Of one: `Abs Acos Asin Atan Ceil Cos Erf Exp Floor Log Relu Round Sigmoid Sign Sin Sqrt Tan Tanh Trunc`,
        /// and `Float` of truths, which are of the engine's own kind.</summary>
        public Dictionary<string, Func<T, T>> One { get; } = new Dictionary<string, Func<T, T>>();
        /// <summary>Of two, with broadcasting: `Add Sub Mul Div Pow Max Min`, truths `Less LessEqual Equals`, and
        /// `MatMul` of two axes or more.</summary>
        public Dictionary<string, Func<T, T, T>> Two { get; } = new Dictionary<string, Func<T, T, T>>();
        /// <summary>Of several, with numbers: `Reshape` and `BroadcastTo` (sizes), `Permute` (axes), `Narrow` (axis, first,
        /// count), `IndexSelect` (axis, places), `Concat` (axis), `ReduceSum` and `ReduceMax` (axes, which stay as ones),
        /// `Where` (truth, then, else).</summary>
        public Dictionary<string, Func<T[], int[], T>> Others { get; } = new Dictionary<string, Func<T[], int[], T>>();
        /// <summary>A tensor of a shape and row-major numbers.</summary>
        public Func<int[], float[], T> Constant { get; set; } = (shape, numbers) => throw OnnxReader.Refused("has weights");

        /// <summary>Return what a network makes of its inputs, in the shapes of its outputs; throws <see
        /// cref="AvatarFormatException"/> where that cannot be said.</summary>
        /// <param name="network">The network.</param>
        /// <param name="input">Makes an input of a shape; called in their order.</param>
        public T[] Build(AvatarNetwork network, Func<int[], T> input) => new EngineGraph<T>(this).Build(network, input);
    }

    /// <summary>A network as an engine's graph; what depends on nothing is worked out here.</summary>
    internal sealed class EngineGraph<T> where T : class
    {
        /// <summary>Operators of one tensor that ONNX and engines name alike.</summary>
        private static readonly string[] Alike = { "Abs", "Acos", "Asin", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "Log",
            "Relu", "Round", "Sigmoid", "Sign", "Sin", "Sqrt", "Tan", "Tanh" };

        private readonly EngineWords<T> words;
        private readonly Dictionary<NetworkTensor, T> made = new Dictionary<NetworkTensor, T>();

        public EngineGraph(EngineWords<T> words) { this.words = words; }

        /// <summary>As <see cref="EngineWords{T}.Build"/>.</summary>
        public T[] Build(AvatarNetwork network, Func<int[], T> input)
        {
            var given = new Dictionary<string, NetworkTensor>();
            foreach (NetworkPort port in network.Inputs)
            {
                made[given[port.Name] = new NetworkTensor(port.Shape, new float[port.Count])] = input(port.Shape);
            }
            var builder = new NetworkBuilder(network.Graph, given, Array.ConvertAll(network.Outputs, port => port.Name));
            foreach (NetworkStep step in builder.Moving) Add(step);
            return Array.ConvertAll(network.Outputs, port =>
            {
                NetworkTensor found = builder.Find(port.Name);
                if (found.Fixed) throw OnnxReader.Refused("gives numbers that nothing drives");
                return Say("Reshape", port.Shape, made[found]);
            });
        }

        private void Add(NetworkStep step)
        {
            foreach (NetworkTensor? tensor in step.Inputs)
            {
                if (tensor?.Values.Length == 0) throw OnnxReader.Refused("has parts of no numbers");
            }
            if (step.Node.Operator == "Split") Split(step);
            else made[step.Outputs[0]!] = Layout(step) ?? Product(step) ?? Reduced(step) ?? Numbers(step)
                ?? throw OnnxReader.Refused("uses " + step.Node.Operator);
        }

        private T Say(string word, int[] numbers, params T[] of)
        {
            if (of.Length == 1 && words.One.TryGetValue(word, out Func<T, T> one)) return one(of[0]);
            if (of.Length == 2 && words.Two.TryGetValue(word, out Func<T, T, T> two)) return two(of[0], of[1]);
            return words.Others.TryGetValue(word, out Func<T[], int[], T> other) ? other(of, numbers)
                : throw OnnxReader.Refused("needs " + word);
        }

        private T Say(string word, params T[] of) => Say(word, Array.Empty<int>(), of);

        private T Number(float value) => words.Constant(new int[0], new[] { value });

        private T Input(NetworkStep step, int i)
        {
            NetworkTensor tensor = step.Inputs[i]!;
            return made.TryGetValue(tensor, out T known) ? known : made[tensor] = words.Constant(tensor.Shape, tensor.Values);
        }

        private static NetworkTensor? Optional(NetworkStep step, int i) => i < step.Inputs.Count ? step.Inputs[i] : null;

        private static long[]? Integers(NetworkStep step, int i) => NetworkBuilder.IntegersOf(Optional(step, i));

        /// <summary>In the shape of the step's result.</summary>
        private T Shaped(NetworkStep step, T x) => Say("Reshape", step.Outputs[0]!.Shape, x);

        private T? Layout(NetworkStep step)
        {
            int[] before = step.Inputs[0]!.Shape;
            T x = Input(step, 0);
            switch (step.Node.Operator)
            {
                case "Identity": case "Reshape": return Shaped(step, x);
                case "Expand": return Say("BroadcastTo", step.Outputs[0]!.Shape, x);
                case "Transpose":
                    long[]? order = step.Node.List("perm");
                    var axes = new int[before.Length];
                    for (int i = 0; i < axes.Length; i++) axes[i] = order == null ? axes.Length - 1 - i : Axis(order[i],
                        axes.Length);
                    return Say("Permute", axes, x);
                case "Concat":
                    var parts = new T[step.Inputs.Count];
                    for (int i = 0; i < parts.Length; i++) parts[i] = Input(step, i);
                    return Say("Concat", new[] { Axis(step.Node.Number("axis", 0), before.Length) }, parts);
                case "Slice":
                    foreach ((int axis, int from, int stride, int count) in LayoutOperators.Ranges(before, Integers(step, 1)!,
                        Integers(step, 2)!, Integers(step, 3), Integers(step, 4)))
                    {
                        if (count == 0) throw OnnxReader.Refused("has parts of no numbers");
                        x = Select(x, axis, before[axis], count, i => from + i * stride);
                    }
                    return x;
                case "Tile":
                    for (int axis = 0; axis < before.Length; axis++)
                    {
                        int size = before[axis];
                        x = Select(x, axis, size, step.Outputs[0]!.Shape[axis], i => i % size);
                    }
                    return x;
                case "Gather":
                    int along = Axis(step.Node.Number("axis", 0), before.Length);
                    long[] places = Integers(step, 1)!;
                    return Shaped(step, Select(x, along, before[along], places.Length,
                        i => (int)(places[i] < 0 ? places[i] + before[along] : places[i])));
                default: return null;
            }
        }

        /// <summary>Some places along an axis: all, a run of them, or any.</summary>
        private T Select(T x, int axis, int size, int count, Func<int, int> place)
        {
            var numbers = new int[count + 1];
            bool run = true;
            for (int i = 0; i < count; i++)
            {
                numbers[i + 1] = place(i);
                run &= numbers[i + 1] == numbers[1] + i;
            }
            numbers[0] = axis;
            if (run && count == size) return x;
            return run ? Say("Narrow", new[] { axis, numbers[1], count }, x) : Say("IndexSelect", numbers, x);
        }

        private void Split(NetworkStep step)
        {
            int axis = Axis(step.Node.Number("axis", 0), step.Inputs[0]!.Shape.Length), at = 0;
            foreach (NetworkTensor? part in step.Outputs)
            {
                int first = at, count = part!.Shape[axis];
                if (count > 0) made[part] = Select(Input(step, 0), axis, step.Inputs[0]!.Shape[axis], count, i => first + i);
                at += count;
            }
        }

        private T? Product(NetworkStep step)
        {
            if (step.Node.Operator != "MatMul" && step.Node.Operator != "Gemm") return null;
            NetworkTensor a = step.Inputs[0]!, b = step.Inputs[1]!;
            if (step.Node.Operator == "MatMul")
            {
                T left = a.Shape.Length > 1 ? Input(step, 0) : Say("Reshape", new[] { 1, a.Shape[0] }, Input(step, 0));
                T right = b.Shape.Length > 1 ? Input(step, 1) : Say("Reshape", new[] { b.Shape[0], 1 }, Input(step, 1));
                T product = Say("MatMul", left, right);
                return a.Shape.Length > 1 && b.Shape.Length > 1 ? product : Shaped(step, product);
            }
            T y = Say("MatMul", Turned(step, 0, "transA"), Turned(step, 1, "transB"));
            float alpha = (float)step.Node.Number("alpha", 1), beta = (float)step.Node.Number("beta", 1);
            if (alpha != 1) y = Say("Mul", y, Number(alpha));
            if (Optional(step, 2) == null) return y;
            return Say("Add", y, beta == 1 ? Input(step, 2) : Say("Mul", Input(step, 2), Number(beta)));
        }

        /// <summary>A matrix, transposed where it is to be: weights here, once.</summary>
        private T Turned(NetworkStep step, int i, string name)
        {
            NetworkTensor x = step.Inputs[i]!;
            if (step.Node.Number(name, 0) == 0) return Input(step, i);
            if (!x.Fixed) return Say("Permute", new[] { 1, 0 }, Input(step, i));
            var turned = new float[x.Values.Length];
            ProductOperators.Turn(x.Values, turned, x.Shape[0], x.Shape[1]);
            return words.Constant(new[] { x.Shape[1], x.Shape[0] }, turned);
        }

        private T? Reduced(NetworkStep step)
        {
            int axes = step.Inputs[0]!.Shape.Length;
            T x = Input(step, 0);
            OnnxNode node = step.Node;
            if (node.Operator == "Softmax")
            {
                var axis = new[] { Axis(node.Number("axis", -1), axes) };
                T powers = Say("Exp", Say("Sub", x, Say("ReduceMax", axis, x)));
                return Say("Div", powers, Say("ReduceSum", axis, powers));
            }
            if (!node.Operator.StartsWith("Reduce", StringComparison.Ordinal)) return null;
            long[] said = (node.Operator == "ReduceSum" ? Integers(step, 1) : node.List("axes")) ?? new long[0];
            if (said.Length == 0 && node.Number("noop_with_empty_axes", 0) != 0) return Shaped(step, x);
            var gone = new SortedSet<int>();
            foreach (long axis in said) gone.Add(Axis(axis, axes));
            for (int i = 0; i < axes && said.Length == 0; i++) gone.Add(i);
            if (gone.Count == 0) return Shaped(step, x);
            var along = new int[gone.Count];
            gone.CopyTo(along);
            switch (node.Operator)
            {
                case "ReduceSum": return Shaped(step, Say("ReduceSum", along, x));
                case "ReduceMax": return Shaped(step, Say("ReduceMax", along, x));
                case "ReduceMin": return Shaped(step, Negative(Say("ReduceMax", along, Negative(x))));
                case "ReduceMean":
                    float share = (float)step.Outputs[0]!.Values.Length / step.Inputs[0]!.Values.Length;
                    return Shaped(step, Say("Mul", Say("ReduceSum", along, x), Number(share)));
                default: return null;
            }
        }

        private T Negative(T x) => Say("Mul", x, Number(-1));

        private T Untrue(T x) => Say("Equals", x, Number(0));

        /// <summary>Of each number by itself.</summary>
        private T? Numbers(NetworkStep step)
        {
            OnnxNode node = step.Node;
            string name = node.Operator;
            T x = Input(step, 0);
            if (Array.IndexOf(Alike, name) >= 0) return Say(name, x);
            switch (name)
            {
                case "Neg": return Negative(x);
                case "Reciprocal": return Say("Div", Number(1), x);
                case "Not": return Say("Float", Untrue(x));
                case "Elu":
                    T below = Say("Sub", Say("Exp", Say("Min", x, Number(0))), Number(1));
                    return Say("Add", Say("Relu", x), Say("Mul", below, Number((float)node.Number("alpha", 1))));
                case "LeakyRelu": return Leaky(x, Number((float)node.Number("alpha", 0.01f)));
                case "PRelu": return Leaky(x, Input(step, 1));
                case "Softplus":
                    T rest = Say("Log", Say("Add", Number(1), Say("Exp", Negative(Say("Abs", x)))));
                    return Say("Add", Say("Relu", x), rest);
                case "Cast":
                    // To truths (onnx.proto: 9), to integers, or only to another width.
                    if (node.Number("to", 0) == 9) return Say("Sub", Number(1), Say("Float", Untrue(x)));
                    return step.Outputs[0]!.Whole ? Say("Trunc", x) : x;
                case "Clip":
                    if (Optional(step, 1) != null) x = Say("Max", x, Input(step, 1));
                    if (Optional(step, 2) != null) x = Say("Min", x, Input(step, 2));
                    return Shaped(step, x);
                case "Max": case "Min":
                    for (int i = 1; i < step.Inputs.Count; i++) x = Say(name, x, Input(step, i));
                    return x;
                case "Where": return Say("Where", Untrue(x), Input(step, 2), Input(step, 1));
                case "Add": case "Sub": case "Mul": case "Pow": return Say(name, x, Input(step, 1));
                case "Div":
                    T quotient = Say("Div", x, Input(step, 1));
                    return step.Inputs[0]!.Whole && step.Inputs[1]!.Whole ? Say("Trunc", quotient) : quotient;
                // Truths are 0 and 1.
                case "And": return Say("Mul", x, Input(step, 1));
                case "Or": return Say("Max", x, Input(step, 1));
                case "Equal": return Say("Float", Say("Equals", x, Input(step, 1)));
                case "Less": return Say("Float", Say("Less", x, Input(step, 1)));
                case "LessOrEqual": return Say("Float", Say("LessEqual", x, Input(step, 1)));
                case "Greater": return Say("Float", Say("Less", Input(step, 1), x));
                case "GreaterOrEqual": return Say("Float", Say("LessEqual", Input(step, 1), x));
                default: return null;
            }
        }

        private T Leaky(T x, T slope) => Say("Add", Say("Relu", x), Say("Mul", slope, Say("Min", x, Number(0))));
    }
}
