using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>An operator of a run, with the tensors that it takes and gives; null where one is left out.</summary>
    internal sealed class NetworkStep
    {
        public NetworkStep(OnnxNode node, List<NetworkTensor?> inputs, List<NetworkTensor?> outputs)
        {
            Node = node;
            Inputs = inputs;
            Outputs = outputs;
        }

        public readonly OnnxNode Node;
        public readonly List<NetworkTensor?> Inputs, Outputs;
    }

    /// <summary>What operators are made into steps with: tensors by name, memory that is used again, and how much work a run
    /// is.</summary>
    internal sealed class NetworkBuilder
    {
        /// <summary>Numbers of all tensors at most; and products of a run at most.</summary>
        private const long MostNumbers = 1 << 27, MostWork = 1L << 36;

        private readonly Dictionary<string, NetworkTensor> known = new Dictionary<string, NetworkTensor>();
        private readonly Dictionary<string, int> lastUse = new Dictionary<string, int>();
        private readonly Dictionary<int, Stack<float[]>> spare = new Dictionary<int, Stack<float[]>>();
        private readonly List<Action> steps = new List<Action>();
        private readonly List<NetworkStep> moving = new List<NetworkStep>();
        private OnnxNode node = new OnnxNode();
        private long numbers;
        private bool isFixed;

        /// <summary>Make the steps of a graph; throws <see cref="AvatarFormatException"/> where it cannot be run.</summary>
        public NetworkBuilder(OnnxGraph graph, IReadOnlyDictionary<string, NetworkTensor> inputs, IEnumerable<string> outputs)
        {
            foreach (KeyValuePair<string, NetworkTensor> entry in graph.Constants) known[entry.Key] = entry.Value;
            foreach (KeyValuePair<string, NetworkTensor> entry in inputs) known[entry.Key] = entry.Value;
            for (int i = 0; i < graph.Nodes.Count; i++)
            {
                foreach (string name in graph.Nodes[i].Inputs) lastUse[name] = i;
            }
            foreach (string name in inputs.Keys) lastUse[name] = int.MaxValue;
            foreach (string name in outputs) lastUse[name] = int.MaxValue;
            for (int i = 0; i < graph.Nodes.Count; i++) Add(graph.Nodes[i], i);
        }

        /// <summary>What a run does, in order.</summary>
        public List<Action> Steps => steps;
        /// <summary>The operators of a run, in order; the others were made once.</summary>
        public List<NetworkStep> Moving => moving;
        /// <summary>Products, or about as much work, of a run.</summary>
        public long Work { get; private set; }
        /// <summary>The operator that is made now.</summary>
        public OnnxNode Node => node;
        /// <summary>How many tensors it takes.</summary>
        public int Count => node.Inputs.Count;

        /// <summary>Return a tensor by its name; throws where the graph has none.</summary>
        public NetworkTensor Find(string name) => known.TryGetValue(name, out NetworkTensor found) ? found
            : throw ProtobufReader.Damaged();

        /// <summary>Return what the operator takes.</summary>
        public NetworkTensor Input(int i) => Find(i < Count ? node.Inputs[i] : "");

        /// <summary>Return what it takes, or null where that is left out.</summary>
        public NetworkTensor? Optional(int i) => i < Count && node.Inputs[i].Length > 0 ? Find(node.Inputs[i]) : null;

        /// <summary>Return integers that it takes; null where they are left out. They must not depend on what drives the
        /// network.</summary>
        public long[]? Integers(int i) => IntegersOf(Optional(i));

        /// <summary>Return a tensor's numbers as integers; null of none.</summary>
        public static long[]? IntegersOf(NetworkTensor? tensor)
        {
            if (tensor == null) return null;
            if (!tensor.Fixed) throw OnnxReader.Refused("has sizes that depend on what drives it");
            return tensor.Integers ?? Array.ConvertAll(tensor.Values, x => (long)Math.Max(Math.Min(Math.Round(x), 1L << 52),
                -1L << 52));
        }

        /// <summary>Return a new tensor for one of its outputs.</summary>
        public NetworkTensor Output(int i, int[] shape, bool whole = false)
        {
            if (i >= node.Outputs.Count) throw ProtobufReader.Damaged();
            int count = NetworkTensor.Count(shape);
            Costs(count);
            // What is made once must not lie where a later run writes.
            float[]? memory = !isFixed && spare.TryGetValue(count, out Stack<float[]> free) && free.Count > 0 ? free.Pop() : null;
            if (memory == null && (numbers += count) > MostNumbers) throw NetworkTensor.TooLarge();
            return known[node.Outputs[i]] = new NetworkTensor(shape, memory ?? new float[count], whole);
        }

        /// <summary>Say how much work it is.</summary>
        public void Costs(long work)
        {
            Work += work;
            if (work < 0 || Work > MostWork) throw NetworkTensor.TooLarge();
        }

        private void Add(OnnxNode next, int number)
        {
            node = next;
            isFixed = true;
            foreach (string name in next.Inputs) isFixed &= name.Length == 0 || Find(name).Fixed;
            foreach (string name in next.Outputs)
            {
                // Each name once, so that memory has one owner.
                if (known.ContainsKey(name)) throw ProtobufReader.Damaged();
            }
            Action step = NetworkOperators.Make(this);
            foreach (string name in next.Outputs)
            {
                if (name.Length > 0 && isFixed) Find(name).Fixed = true;
            }
            if (isFixed) step();
            else
            {
                steps.Add(step);
                moving.Add(new NetworkStep(next, next.Inputs.ConvertAll(name => name.Length == 0 ? null : Find(name)),
                    next.Outputs.ConvertAll(name => name.Length == 0 ? null : Find(name))));
            }
            foreach (string name in next.Inputs) Release(name, number);
            foreach (string name in next.Outputs) Release(name, number);
        }

        private void Release(string name, int number)
        {
            if (name.Length == 0 || (lastUse.TryGetValue(name, out int last) && last > number)) return;
            if (!known.TryGetValue(name, out NetworkTensor tensor) || tensor.Fixed) return;
            known.Remove(name);
            if (!spare.TryGetValue(tensor.Values.Length, out Stack<float[]> free)) spare[tensor.Values.Length] = free =
                new Stack<float[]>();
            free.Push(tensor.Values);
        }
    }
}
