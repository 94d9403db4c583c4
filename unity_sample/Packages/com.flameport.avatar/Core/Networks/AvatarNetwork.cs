using System;

namespace Flameport
{
    /// <summary>What a network takes or gives: its name, and its shape.</summary>
    public readonly struct NetworkPort
    {
        public NetworkPort(string name, int[] shape)
        {
            Name = name;
            Shape = shape;
            Count = NetworkTensor.Count(shape);
        }

        public readonly string Name;
        public readonly int[] Shape;
        /// <summary>Numbers.</summary>
        public readonly int Count;
    }

    /// <summary>A network of an avatar: an ONNX graph of fixed sizes, float32 in and out (`exporter/GLB.md`, 1.6).</summary>
    public sealed class AvatarNetwork
    {
        private OnnxGraph? graph;

        public AvatarNetwork(string name, byte[] onnx, NetworkPort[] inputs, NetworkPort[] outputs, bool posed)
        {
            Name = name;
            Onnx = onnx;
            Inputs = inputs;
            Outputs = outputs;
            Posed = posed;
        }

        public string Name { get; }
        /// <summary>The file's bytes.</summary>
        public byte[] Onnx { get; }
        public NetworkPort[] Inputs { get; }
        public NetworkPort[] Outputs { get; }
        /// <summary>Deltas apply after the binding, in world axes.</summary>
        public bool Posed { get; }
        /// <summary>The graph, read once; throws <see cref="AvatarFormatException"/>.</summary>
        public OnnxGraph Graph => graph = graph ?? OnnxReader.Read(Onnx);

        /// <summary>Which output has a name; -1 for none.</summary>
        public int Output(string name) => Array.FindIndex(Outputs, port => port.Name == name);

        /// <summary>Whether it takes where the binding put the Gaussians.</summary>
        public bool TakesMeans => Array.Exists(Inputs, port => port.Name == "posed_means");
    }

    /// <summary>Something that runs one network: <see cref="NetworkProgram"/>, or an engine's own.</summary>
    public interface INetworkRunner : IDisposable
    {
        /// <summary>Numbers to be filled, of one of <see cref="AvatarNetwork.Inputs"/>.</summary>
        float[] Input(int index);

        /// <summary>Run it.</summary>
        void Run();

        /// <summary>What the last run gave, of one of <see cref="AvatarNetwork.Outputs"/>; there until the next.</summary>
        float[] Output(int index);

        /// <summary>What should be known of it, such as that it is slow; empty for nothing.</summary>
        string Warning { get; }
    }

    /// <summary>What is alike of networks that engines run: numbers go in, it runs, numbers come out.</summary>
    public abstract class EngineNetwork : INetworkRunner
    {
        private readonly float[][] given, taken;

        protected EngineNetwork(AvatarNetwork network)
        {
            given = Array.ConvertAll(network.Inputs, port => new float[port.Count]);
            taken = Array.ConvertAll(network.Outputs, port => new float[port.Count]);
        }

        public string Warning => "";

        public float[] Input(int index) => given[index];

        public float[] Output(int index) => taken[index];

        public void Run()
        {
            for (int i = 0; i < given.Length; i++) Give(i, given[i]);
            Start();
            for (int i = 0; i < taken.Length; i++) taken[i] = Take(i);
        }

        public abstract void Dispose();

        /// <summary>Put the numbers of an input.</summary>
        protected abstract void Give(int input, float[] numbers);

        /// <summary>Run it with what was given.</summary>
        protected abstract void Start();

        /// <summary>Wait for an output, and return its numbers.</summary>
        protected abstract float[] Take(int output);
    }

    /// <summary>Which way networks are run.</summary>
    public static class NetworkRunners
    {
        /// <summary>Products up to which the processor is quicker than asking an engine and waiting for its answer.</summary>
        public const long Small = 1_000_000;

        /// <summary>Make what runs a network. Engines put their own here; it gives null for a network that it cannot
        /// run, or throws <see cref="AvatarFormatException"/>.</summary>
        public static Func<AvatarNetwork, INetworkRunner?>? Engine { get; set; }

        /// <summary>Return what runs a network: the engine's for one that is not small, else the processor; throws <see
        /// cref="AvatarFormatException"/>.</summary>
        public static INetworkRunner Open(AvatarNetwork network)
        {
            var program = new NetworkProgram(network);
            return (program.Work > Small ? OfEngine(network) : null) ?? program;
        }

        private static INetworkRunner? OfEngine(AvatarNetwork network)
        {
            try
            {
                return Engine?.Invoke(network);
            }
            catch (AvatarFormatException)
            {
                return null;
            }
        }
    }
}
