using System;
using System.Collections.Generic;
using static Flameport.NetworkOperators;

namespace Flameport
{
    /// <summary>Operators that move numbers and change none.</summary>
    internal static class LayoutOperators
    {
        /// <summary>Return the step; null of other operators.</summary>
        public static Action? Make(NetworkBuilder builder)
        {
            switch (builder.Node.Operator)
            {
                case "Identity": return Copy(builder, builder.Input(0).Shape);
                case "Reshape": return Copy(builder, Reshaped(builder));
                case "Expand": return Expand(builder);
                case "Tile": return Tile(builder);
                case "Transpose": return Transpose(builder);
                case "Slice": return Slice(builder);
                case "Split": return Split(builder);
                case "Concat": return Concat(builder);
                case "Gather": return Gather(builder);
                default: return null;
            }
        }

        private static Action Copy(NetworkBuilder builder, int[] shape)
        {
            NetworkTensor x = builder.Input(0), y = builder.Output(0, shape, x.Whole);
            if (x.Values.Length != y.Values.Length) throw ProtobufReader.Damaged();
            return () => x.Values.CopyTo(y.Values, 0);
        }

        private static int[] Reshaped(NetworkBuilder builder)
        {
            int[] before = builder.Input(0).Shape;
            long[] wanted = Needed(builder, 1);
            var shape = new int[wanted.Length];
            int open = -1;
            long known = 1;
            for (int i = 0; i < shape.Length; i++)
            {
                long size = wanted[i] == 0 && i < before.Length && builder.Node.Number("allowzero", 0) == 0 ? before[i]
                    : wanted[i];
                if (size == -1 && open < 0) open = i;
                else known *= shape[i] = Size(size);
                if (known > NetworkTensor.Most) throw NetworkTensor.TooLarge();
            }
            if (open >= 0) shape[open] = (int)(NetworkTensor.Count(before) / Math.Max(known, 1));
            return shape;
        }

        private static long[] Needed(NetworkBuilder builder, int i) => builder.Integers(i) ?? throw ProtobufReader.Damaged();

        private static int Size(long size) => size >= 0 && size <= NetworkTensor.Most ? (int)size
            : throw ProtobufReader.Damaged();

        /// <summary>Copy along steps of the input that begin somewhere.</summary>
        private static Action Walk(NetworkBuilder builder, int[] shape, int[] steps, int start)
        {
            NetworkTensor x = builder.Input(0), y = builder.Output(0, shape, x.Whole);
            Broadcast walk = Broadcast.OfSteps(shape, new[] { steps });
            float[] from = x.Values, to = y.Values;
            int run = walk.Run, step = walk.Step(0);
            return () =>
            {
                if (to.Length == 0) return;
                int at = 0;
                walk.Start();
                do
                {
                    int place = start + walk.At[0];
                    if (step == 1) Array.Copy(from, place, to, at, run);
                    else for (int i = 0; i < run; i++) to[at + i] = from[place + i * step];
                    at += run;
                }
                while (walk.Next());
            };
        }

        private static Action Expand(NetworkBuilder builder)
        {
            int[] before = builder.Input(0).Shape;
            int[] shape = Broadcast.Shape(before, Array.ConvertAll(Needed(builder, 1), Size));
            return Walk(builder, shape, Broadcast.Steps(before, shape.Length), 0);
        }

        private static Action Tile(NetworkBuilder builder)
        {
            int[] before = builder.Input(0).Shape, repeats = Array.ConvertAll(Needed(builder, 1), Size);
            int axes = before.Length;
            if (repeats.Length != axes || 2 * axes > 16) throw ProtobufReader.Damaged();
            var shape = new int[axes];
            var sizes = new int[2 * axes];
            var steps = new int[2 * axes];
            int[] own = Broadcast.Steps(before, axes);
            for (int i = 0; i < axes; i++)
            {
                shape[i] = Size((long)before[i] * repeats[i]);
                (sizes[2 * i], sizes[2 * i + 1], steps[2 * i + 1]) = (repeats[i], before[i], own[i]);
            }
            NetworkTensor x = builder.Input(0), y = builder.Output(0, shape, x.Whole);
            Broadcast walk = Broadcast.OfSteps(sizes, new[] { steps });
            return () =>
            {
                if (y.Values.Length == 0) return;
                int at = 0, run = walk.Run, step = walk.Step(0);
                walk.Start();
                do
                {
                    for (int i = 0; i < run; i++) y.Values[at++] = x.Values[walk.At[0] + i * step];
                }
                while (walk.Next());
            };
        }

        private static Action Transpose(NetworkBuilder builder)
        {
            int[] before = builder.Input(0).Shape, own = Broadcast.Steps(before, before.Length);
            long[]? order = builder.Node.List("perm");
            if (order != null && order.Length != before.Length) throw ProtobufReader.Damaged();
            var shape = new int[before.Length];
            var steps = new int[before.Length];
            int seen = 0;
            for (int i = 0; i < shape.Length; i++)
            {
                int axis = order == null ? shape.Length - 1 - i : Axis(order[i], shape.Length);
                (shape[i], steps[i]) = (before[axis], own[axis]);
                seen |= 1 << axis;
            }
            if (seen != (1 << shape.Length) - 1) throw ProtobufReader.Damaged();
            return Walk(builder, shape, steps, 0);
        }

        private static Action Slice(NetworkBuilder builder)
        {
            int[] before = builder.Input(0).Shape, shape = (int[])before.Clone(), steps = Broadcast.Steps(before, before.Length);
            int start = 0;
            foreach ((int axis, int from, int stride, int count) in Ranges(before, Needed(builder, 1), Needed(builder, 2),
                builder.Integers(3), builder.Integers(4)))
            {
                shape[axis] = count;
                if (count > 0) start += from * steps[axis];
                steps[axis] *= stride;
            }
            return Walk(builder, shape, steps, start);
        }

        /// <summary>Return what a slice takes along each of its axes: where it begins, its stride, and how many.</summary>
        internal static List<(int axis, int from, int stride, int count)> Ranges(int[] before, long[] starts, long[] ends,
            long[]? axes, long[]? strides)
        {
            int seen = 0;
            if (starts.Length != ends.Length || (axes ?? starts).Length != starts.Length
                || (strides ?? starts).Length != starts.Length) throw ProtobufReader.Damaged();
            var found = new List<(int, int, int, int)>();
            for (int i = 0; i < starts.Length; i++)
            {
                int axis = Axis(axes == null ? i : axes[i], before.Length), size = before[axis];
                long stride = strides == null ? 1 : strides[i];
                if (stride == 0 || Math.Abs(stride) > NetworkTensor.Most
                    || (seen & (1 << axis)) != 0) throw ProtobufReader.Damaged();
                seen |= 1 << axis;
                long from = Within(starts[i], size, stride < 0), to = Within(ends[i], size, stride < 0);
                if (stride > 0) to = Math.Max(to, 0);
                long count = Math.Max(stride > 0 ? (to - from + stride - 1) / stride : (from - to - stride - 1) / -stride, 0);
                found.Add((axis, (int)from, (int)stride, (int)count));
            }
            return found;
        }

        private static long Within(long place, int size, bool backwards)
        {
            if (place < 0) place = Math.Max(place, -1L << 40) + size;
            return Math.Max(Math.Min(place, backwards ? size - 1 : size), backwards ? -1 : 0);
        }

        private static Action Split(NetworkBuilder builder)
        {
            NetworkTensor x = builder.Input(0);
            int axis = Axis(builder.Node.Number("axis", 0), x.Shape.Length), count = builder.Node.Outputs.Count, at = 0;
            long[]? sizes = builder.Integers(1);
            if (count == 0 || (sizes == null ? x.Shape[axis] % count != 0
                : sizes.Length != count)) throw ProtobufReader.Damaged();
            var parts = new NetworkTensor[count];
            for (int i = 0; i < count; i++)
            {
                var shape = (int[])x.Shape.Clone();
                shape[axis] = sizes == null ? x.Shape[axis] / count : Size(sizes[i]);
                at += shape[axis];
                parts[i] = builder.Output(i, shape, x.Whole);
            }
            if (at != x.Shape[axis]) throw ProtobufReader.Damaged();
            return () => Between(x, parts, axis, false);
        }

        private static Action Concat(NetworkBuilder builder)
        {
            var parts = new NetworkTensor[builder.Count];
            for (int i = 0; i < parts.Length; i++) parts[i] = builder.Input(i);
            if (parts.Length == 0) throw ProtobufReader.Damaged();
            var shape = (int[])parts[0].Shape.Clone();
            int axis = Axis(builder.Node.Number("axis", 0), shape.Length);
            long length = 0;
            foreach (NetworkTensor part in parts)
            {
                if (part.Shape.Length != shape.Length) throw ProtobufReader.Damaged();
                for (int i = 0; i < shape.Length; i++)
                {
                    if (i != axis && part.Shape[i] != shape[i]) throw ProtobufReader.Damaged();
                }
                length += part.Shape[axis];
            }
            shape[axis] = Size(length);
            NetworkTensor y = builder.Output(0, shape, Array.TrueForAll(parts, part => part.Whole));
            return () => Between(y, parts, axis, true);
        }

        /// <summary>Copy between a tensor and its parts along an axis.</summary>
        private static void Between(NetworkTensor all, NetworkTensor[] parts, int axis, bool together)
        {
            int outer = Product(all.Shape, 0, axis), inner = Product(all.Shape, axis + 1, all.Shape.Length), at = 0;
            int row = all.Shape[axis] * inner;
            for (int p = 0; p < parts.Length; p++)
            {
                int length = parts[p].Shape[axis] * inner;
                for (int i = 0; i < outer; i++)
                {
                    if (together) Array.Copy(parts[p].Values, i * length, all.Values, i * row + at, length);
                    else Array.Copy(all.Values, i * row + at, parts[p].Values, i * length, length);
                }
                at += length;
            }
        }

        private static Action Gather(NetworkBuilder builder)
        {
            NetworkTensor x = builder.Input(0), index = builder.Input(1);
            int axis = Axis(builder.Node.Number("axis", 0), x.Shape.Length), size = x.Shape[axis];
            int outer = Product(x.Shape, 0, axis), inner = Product(x.Shape, axis + 1, x.Shape.Length);
            var shape = new int[x.Shape.Length - 1 + index.Shape.Length];
            Array.Copy(x.Shape, shape, axis);
            index.Shape.CopyTo(shape, axis);
            Array.Copy(x.Shape, axis + 1, shape, axis + index.Shape.Length, x.Shape.Length - axis - 1);
            NetworkTensor y = builder.Output(0, shape, x.Whole);
            // Places are checked once: they do not change.
            int[] places = Array.ConvertAll(Needed(builder, 1), i => i >= -size && i < size ? (int)(i < 0 ? i + size : i)
                : throw ProtobufReader.Damaged());
            return () =>
            {
                for (int o = 0, at = 0; o < outer; o++)
                {
                    for (int i = 0; i < places.Length; i++, at += inner)
                    {
                        Array.Copy(x.Values, (o * size + places[i]) * inner, y.Values, at, inner);
                    }
                }
            };
        }
    }
}
