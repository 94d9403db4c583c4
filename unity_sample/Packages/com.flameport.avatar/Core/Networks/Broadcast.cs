using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>How tensors of several shapes lie over one another (ONNX, "Multidirectional Broadcasting"): the axes of the
    /// result, and each tensor's steps along them; axes that need no telling apart are one.</summary>
    internal sealed class Broadcast
    {
        private readonly int[] sizes, index;
        private readonly int[][] steps;

        private Broadcast(int[] sizes, int[][] steps)
        {
            this.sizes = sizes;
            this.steps = steps;
            index = new int[sizes.Length];
            At = new int[steps.Length];
        }

        /// <summary>Where each tensor's next run begins.</summary>
        public int[] At { get; }
        /// <summary>Numbers in a run.</summary>
        public int Run => sizes[sizes.Length - 1];

        /// <summary>A tensor's step along a run.</summary>
        public int Step(int tensor) => steps[tensor][sizes.Length - 1];

        /// <summary>Go to the beginning.</summary>
        public void Start()
        {
            Array.Clear(index, 0, index.Length);
            Array.Clear(At, 0, At.Length);
        }

        /// <summary>Go to the next run; false after the last.</summary>
        public bool Next()
        {
            for (int axis = sizes.Length - 2; axis >= 0; axis--)
            {
                index[axis]++;
                for (int t = 0; t < At.Length; t++) At[t] += steps[t][axis];
                if (index[axis] < sizes[axis]) return true;
                for (int t = 0; t < At.Length; t++) At[t] -= steps[t][axis] * sizes[axis];
                index[axis] = 0;
            }
            return false;
        }

        /// <summary>Return the shape of what several shapes give; throws where they do not fit.</summary>
        public static int[] Shape(params int[][] shapes)
        {
            int axes = 0;
            foreach (int[] shape in shapes) axes = Math.Max(axes, shape.Length);
            var result = new int[axes];
            for (int i = 0; i < axes; i++) result[i] = 1;
            foreach (int[] shape in shapes)
            {
                for (int i = 0; i < shape.Length; i++)
                {
                    int at = axes - shape.Length + i;
                    if (shape[i] == 1 || shape[i] == result[at]) continue;
                    if (result[at] != 1) throw ProtobufReader.Damaged();
                    result[at] = shape[i];
                }
            }
            return result;
        }

        /// <summary>Return how tensors of these shapes lie in the result's.</summary>
        public static Broadcast Of(int[] result, params int[][] shapes)
        {
            var all = new int[shapes.Length][];
            for (int t = 0; t < shapes.Length; t++) all[t] = Steps(shapes[t], result.Length);
            return OfSteps(result, all);
        }

        /// <summary>Return the same of steps along the result's axes.</summary>
        public static Broadcast OfSteps(int[] result, int[][] all)
        {
            var kept = new List<int>();
            var counts = new List<int>();
            for (int axis = 0; axis < result.Length; axis++)
            {
                if (result[axis] == 1) continue;
                bool joins = kept.Count > 0;
                foreach (int[] steps in all) joins = joins && steps[kept[kept.Count - 1]] == steps[axis] * result[axis];
                if (joins)
                {
                    kept[kept.Count - 1] = axis;
                    counts[counts.Count - 1] *= result[axis];
                }
                else
                {
                    kept.Add(axis);
                    counts.Add(result[axis]);
                }
            }
            if (kept.Count == 0) counts.Add(1);
            return new Broadcast(counts.ToArray(), Array.ConvertAll(all, steps => kept.Count == 0 ? new[] { 1 }
                : kept.ConvertAll(axis => steps[axis]).ToArray()));
        }

        /// <summary>Return the steps of a row-major tensor, 0 along axes of one; it begins at the last axes of so many.</summary>
        public static int[] Steps(int[] shape, int axes)
        {
            var steps = new int[axes];
            int step = 1;
            for (int i = shape.Length - 1; i >= 0; i--)
            {
                steps[axes - shape.Length + i] = shape[i] == 1 ? 0 : step;
                step *= shape[i];
            }
            return steps;
        }
    }
}
