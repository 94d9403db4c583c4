using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>A network on the processor, in float32. Everything is allocated when it is made.</summary>
    public sealed class NetworkProgram : INetworkRunner
    {
        /// <summary>Products beyond which a run takes more than some 20 ms on a processor.</summary>
        public const long Slow = 20_000_000;

        private readonly NetworkTensor[] inputs, outputs;
        private readonly Action[] steps;

        /// <summary>Make it; throws <see cref="AvatarFormatException"/> of a graph that is damaged, too large, or uses
        /// what is not run here.</summary>
        public NetworkProgram(AvatarNetwork network)
        {
            var given = new Dictionary<string, NetworkTensor>();
            inputs = Array.ConvertAll(network.Inputs, port => given[port.Name] =
                new NetworkTensor(port.Shape, new float[port.Count]));
            var builder = new NetworkBuilder(network.Graph, given, Array.ConvertAll(network.Outputs, port => port.Name));
            outputs = Array.ConvertAll(network.Outputs, port =>
            {
                NetworkTensor found = builder.Find(port.Name);
                return found.Values.Length == port.Count ? found : throw ProtobufReader.Damaged();
            });
            steps = builder.Steps.ToArray();
            Work = builder.Work;
            if (Work > Slow) Warning = $"Network '{network.Name}' is {Work / 1e6:F0} million products a frame, on the processor; "
                + "'flameport bake X --linearise' makes fast tables of it.";
        }

        /// <summary>Products, or about as much work, of a run.</summary>
        public long Work { get; }
        public string Warning { get; } = "";

        public float[] Input(int index) => inputs[index].Values;

        public float[] Output(int index) => outputs[index].Values;

        public void Run()
        {
            foreach (Action step in steps) step();
        }

        public void Dispose() { }
    }
}
