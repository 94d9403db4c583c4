#nullable disable
using System;
using System.Collections.Generic;

// docs.unity3d.com/Packages/com.unity.ai.inference@2.2/api/Unity.InferenceEngine.{Functional,FunctionalTensor}.html, and
// manual/supported-functional-methods.html. Each runs when it is asked for, on the processor, so that tests see numbers.
#if STANDIN_SENTIS
namespace Unity.Sentis
#else
namespace Unity.InferenceEngine
#endif
{
    public class FunctionalTensor
    {
        internal readonly int[] Sizes;
        internal readonly bool Whole;
        private readonly Func<float[]> make;
        private float[] now;
        private int run;

        internal FunctionalTensor(int[] sizes, bool whole, Func<float[]> make)
        {
            Sizes = sizes;
            Whole = whole;
            this.make = make;
        }

        internal int Count => new TensorShape(Sizes).length;
        /// <summary>How many times graphs have run: each tensor is made once in each.</summary>
        internal static int Runs;

        internal void Feed(float[] numbers) => now = numbers;

        internal float[] Numbers()
        {
            if (make == null || (now != null && run == Runs)) return now;
            run = Runs;
            return now = make();
        }
    }

    public static class Functional
    {
        public static FunctionalTensor Constant(TensorShape shape, float[] values) => new FunctionalTensor(shape.Sizes, false,
            () => values.Length == shape.length ? values : throw new ArgumentException("as many numbers as the shape has"));
        public static FunctionalTensor Constant(int[] values) => new FunctionalTensor(new[] { values.Length }, true,
            () => Array.ConvertAll(values, x => (float)x));

        public static FunctionalTensor Abs(FunctionalTensor input) => One(input, Math.Abs);
        public static FunctionalTensor Acos(FunctionalTensor input) => One(input, Math.Acos);
        public static FunctionalTensor Asin(FunctionalTensor input) => One(input, Math.Asin);
        public static FunctionalTensor Atan(FunctionalTensor input) => One(input, Math.Atan);
        public static FunctionalTensor Ceil(FunctionalTensor input) => One(input, Math.Ceiling);
        public static FunctionalTensor Cos(FunctionalTensor input) => One(input, Math.Cos);
        public static FunctionalTensor Erf(FunctionalTensor input) => One(input, x =>
        {
            // Simpson's rule on the definition.
            double h = x / 400, sum = 1 + Math.Exp(-x * x);
            for (int i = 1; i < 400; i++) sum += (i % 2 == 1 ? 4 : 2) * Math.Exp(-i * h * i * h);
            return 2 / Math.Sqrt(Math.PI) * sum * h / 3;
        });
        public static FunctionalTensor Exp(FunctionalTensor input) => One(input, Math.Exp);
        public static FunctionalTensor Floor(FunctionalTensor input) => One(input, Math.Floor);
        public static FunctionalTensor Log(FunctionalTensor input) => One(input, Math.Log);
        public static FunctionalTensor Relu(FunctionalTensor input) => One(input, x => Math.Max(x, 0));
        public static FunctionalTensor Round(FunctionalTensor input) => One(input, x => Math.Round(x, MidpointRounding.ToEven));
        public static FunctionalTensor Sigmoid(FunctionalTensor input) => One(input, x => 1 / (1 + Math.Exp(-x)));
        public static FunctionalTensor Sign(FunctionalTensor input) => One(input, x => Math.Sign(x));
        public static FunctionalTensor Sin(FunctionalTensor input) => One(input, Math.Sin);
        public static FunctionalTensor Sqrt(FunctionalTensor input) => One(input, Math.Sqrt);
        public static FunctionalTensor Tan(FunctionalTensor input) => One(input, Math.Tan);
        public static FunctionalTensor Tanh(FunctionalTensor input) => One(input, Math.Tanh);
        public static FunctionalTensor Trunc(FunctionalTensor input) => One(input, Math.Truncate);
        public static FunctionalTensor Float(this FunctionalTensor input) => new FunctionalTensor(input.Sizes, false,
            input.Numbers);

        public static FunctionalTensor Add(FunctionalTensor input, FunctionalTensor other) => Two(input, other, (x, y) => x + y);
        public static FunctionalTensor Sub(FunctionalTensor input, FunctionalTensor other) => Two(input, other, (x, y) => x - y);
        public static FunctionalTensor Mul(FunctionalTensor input, FunctionalTensor other) => Two(input, other, (x, y) => x * y);
        public static FunctionalTensor Div(FunctionalTensor input, FunctionalTensor other) => Two(input, other, (x, y) => x / y);
        public static FunctionalTensor Pow(FunctionalTensor input, FunctionalTensor exponent) => Two(input, exponent, Math.Pow);
        public static FunctionalTensor Pow(FunctionalTensor input, float exponent) => One(input, x => Math.Pow(x, exponent));
        public static FunctionalTensor Max(FunctionalTensor input, FunctionalTensor other) => Two(input, other, Math.Max);
        public static FunctionalTensor Min(FunctionalTensor input, FunctionalTensor other) => Two(input, other, Math.Min);
        public static FunctionalTensor Less(FunctionalTensor input, FunctionalTensor other) =>
            Two(input, other, (x, y) => x < y ? 1 : 0, true);
        public static FunctionalTensor LessEqual(FunctionalTensor input, FunctionalTensor other) =>
            Two(input, other, (x, y) => x <= y ? 1 : 0, true);
        public static FunctionalTensor Equals(FunctionalTensor input, FunctionalTensor other) =>
            Two(input, other, (x, y) => x == y ? 1 : 0, true);
        public static FunctionalTensor Equals(FunctionalTensor input, float value) => One(input, x => x == value ? 1 : 0, true);
        public static FunctionalTensor Equals(FunctionalTensor input, int value) => One(input, x => x == value ? 1 : 0, true);

        public static FunctionalTensor Where(FunctionalTensor condition, FunctionalTensor input, FunctionalTensor other)
        {
            if (!condition.Whole) throw new ArgumentException("a condition is of integers");
            int[] sizes = Joined(Joined(condition.Sizes, input.Sizes), other.Sizes);
            FunctionalTensor c = condition.BroadcastTo(sizes), x = input.BroadcastTo(sizes), y = other.BroadcastTo(sizes);
            return new FunctionalTensor(sizes, false, () =>
            {
                float[] choose = c.Numbers(), one = x.Numbers(), two = y.Numbers(), made = new float[choose.Length];
                for (int i = 0; i < made.Length; i++) made[i] = choose[i] != 0 ? one[i] : two[i];
                return made;
            });
        }

        public static FunctionalTensor MatMul(FunctionalTensor input, FunctionalTensor other)
        {
            int[] a = input.Sizes, b = other.Sizes;
            if (a.Length < 2 || b.Length < 2 || a[a.Length - 1] != b[b.Length - 2]) throw new ArgumentException("matrices");
            int rows = a[a.Length - 2], inner = a[a.Length - 1], columns = b[b.Length - 1];
            int[] many = Joined(a.AsSpan(0, a.Length - 2).ToArray(), b.AsSpan(0, b.Length - 2).ToArray());
            FunctionalTensor x = input.BroadcastTo(With(many, rows, inner)), y = other.BroadcastTo(With(many, inner, columns));
            int[] sizes = With(many, rows, columns);
            return new FunctionalTensor(sizes, false, () =>
            {
                float[] left = x.Numbers(), right = y.Numbers(), made = new float[new TensorShape(sizes).length];
                for (int i = 0; i < made.Length; i++)
                {
                    int m = i / (rows * columns), r = i / columns % rows, c = i % columns;
                    double sum = 0;
                    for (int k = 0; k < inner; k++) sum += (double)left[(m * rows + r) * inner + k]
                        * right[(m * inner + k) * columns + c];
                    made[i] = (float)sum;
                }
                return made;
            });
        }

        public static FunctionalTensor Reshape(this FunctionalTensor input, int[] shape)
        {
            if (new TensorShape(shape).length != input.Count) throw new ArgumentException("another count");
            return new FunctionalTensor((int[])shape.Clone(), input.Whole, input.Numbers);
        }

        public static FunctionalTensor BroadcastTo(this FunctionalTensor input, int[] shape)
        {
            int[] sizes = Joined(input.Sizes, shape);
            int less = sizes.Length - input.Sizes.Length;
            return Taken(input, sizes, place =>
            {
                var from = new int[input.Sizes.Length];
                for (int i = 0; i < from.Length; i++) from[i] = input.Sizes[i] == 1 ? 0 : place[less + i];
                return from;
            });
        }

        public static FunctionalTensor Permute(this FunctionalTensor input, int[] dims) => Taken(input,
            Array.ConvertAll(dims, axis => input.Sizes[axis]), place =>
            {
                var from = new int[dims.Length];
                for (int i = 0; i < dims.Length; i++) from[dims[i]] = place[i];
                return from;
            });

        public static FunctionalTensor Narrow(this FunctionalTensor input, int dim, int start, int length) =>
            Along(input, dim, length, i => start + i);

        public static FunctionalTensor IndexSelect(this FunctionalTensor input, int dim, FunctionalTensor index)
        {
            if (!index.Whole || index.Sizes.Length != 1) throw new ArgumentException("places are a list of integers");
            float[] places = index.Numbers();
            return Along(input, dim, places.Length, i => (int)places[i]);
        }

        public static FunctionalTensor Concat(FunctionalTensor[] tensors, int dim = 0)
        {
            var sizes = (int[])tensors[0].Sizes.Clone();
            sizes[dim] = 0;
            foreach (FunctionalTensor part in tensors) sizes[dim] += part.Sizes[dim];
            return new FunctionalTensor(sizes, false, () =>
            {
                float[][] parts = Array.ConvertAll(tensors, part => part.Numbers());
                var made = new float[new TensorShape(sizes).length];
                for (int i = 0; i < made.Length; i++)
                {
                    int[] place = Place(i, sizes);
                    int p = 0;
                    while (place[dim] >= tensors[p].Sizes[dim]) place[dim] -= tensors[p++].Sizes[dim];
                    made[i] = parts[p][Flat(place, tensors[p].Sizes)];
                }
                return made;
            });
        }

        public static FunctionalTensor ReduceSum(FunctionalTensor input, int[] dim, bool keepdim = false) =>
            Reduced(input, dim, keepdim, 0, (x, y) => x + y);
        public static FunctionalTensor ReduceMax(FunctionalTensor input, int[] dim, bool keepdim = false) =>
            Reduced(input, dim, keepdim, double.NegativeInfinity, Math.Max);

        private static FunctionalTensor One(FunctionalTensor x, Func<double, double> make, bool truth = false) =>
            new FunctionalTensor(x.Sizes, truth || x.Whole, () => Array.ConvertAll(x.Numbers(), each => (float)make(each)));

        private static FunctionalTensor Two(FunctionalTensor a, FunctionalTensor b, Func<double, double, double> make,
            bool truth = false)
        {
            int[] sizes = Joined(a.Sizes, b.Sizes);
            FunctionalTensor x = a.BroadcastTo(sizes), y = b.BroadcastTo(sizes);
            return new FunctionalTensor(sizes, truth || (a.Whole && b.Whole), () =>
            {
                float[] one = x.Numbers(), two = y.Numbers(), made = new float[one.Length];
                for (int i = 0; i < made.Length; i++) made[i] = (float)make(one[i], two[i]);
                return made;
            });
        }

        private static FunctionalTensor Reduced(FunctionalTensor x, int[] dim, bool keepdim, double start,
            Func<double, double, double> join)
        {
            if (dim.Length == 0 || !keepdim) throw new NotSupportedException("here, some axes that stay");
            var sizes = (int[])x.Sizes.Clone();
            foreach (int axis in dim) sizes[axis] = 1;
            return new FunctionalTensor(sizes, x.Whole, () =>
            {
                float[] from = x.Numbers();
                var made = new double[new TensorShape(sizes).length];
                Array.Fill(made, start);
                for (int i = 0; i < from.Length; i++)
                {
                    int[] place = Place(i, x.Sizes);
                    foreach (int axis in dim) place[axis] = 0;
                    int at = Flat(place, sizes);
                    made[at] = join(made[at], from[i]);
                }
                return Array.ConvertAll(made, each => (float)each);
            });
        }

        private static FunctionalTensor Along(FunctionalTensor x, int dim, int count, Func<int, int> from)
        {
            var sizes = (int[])x.Sizes.Clone();
            sizes[dim] = count;
            return Taken(x, sizes, place =>
            {
                place[dim] = from(place[dim]);
                if (place[dim] < 0 || place[dim] >= x.Sizes[dim]) throw new ArgumentException("outside of an axis");
                return place;
            });
        }

        /// <summary>Each number from a place in another tensor.</summary>
        private static FunctionalTensor Taken(FunctionalTensor x, int[] sizes, Func<int[], int[]> from) =>
            new FunctionalTensor(sizes, x.Whole, () =>
            {
                float[] numbers = x.Numbers();
                var made = new float[new TensorShape(sizes).length];
                for (int i = 0; i < made.Length; i++) made[i] = numbers[Flat(from(Place(i, sizes)), x.Sizes)];
                return made;
            });

        private static int[] Place(int at, int[] sizes)
        {
            var place = new int[sizes.Length];
            for (int i = sizes.Length - 1; i >= 0; i--)
            {
                place[i] = at % sizes[i];
                at /= sizes[i];
            }
            return place;
        }

        private static int Flat(int[] place, int[] sizes)
        {
            int at = 0;
            for (int i = 0; i < sizes.Length; i++) at = at * sizes[i] + place[i];
            return at;
        }

        private static int[] With(int[] many, int rows, int columns) => new List<int>(many) { rows, columns }.ToArray();

        private static int[] Joined(int[] a, int[] b)
        {
            var sizes = new int[Math.Max(a.Length, b.Length)];
            for (int i = 1; i <= sizes.Length; i++)
            {
                int x = i <= a.Length ? a[a.Length - i] : 1, y = i <= b.Length ? b[b.Length - i] : 1;
                if (x != y && x != 1 && y != 1) throw new ArgumentException("shapes do not fit");
                sizes[sizes.Length - i] = x == 1 ? y : x;
            }
            return sizes;
        }
    }
}
