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

    /// <summary>Which way networks are run.</summary>
    public static class NetworkRunners
    {
        /// <summary>Make what runs a network. Engines put their own here; it gives null for a network that it cannot
        /// run.</summary>
        public static Func<AvatarNetwork, INetworkRunner?>? Engine { get; set; }

        /// <summary>Return what runs a network: the engine's, else the processor; throws <see
        /// cref="AvatarFormatException"/>.</summary>
        public static INetworkRunner Open(AvatarNetwork network) => Engine?.Invoke(network) ?? new NetworkProgram(network);
    }
}
