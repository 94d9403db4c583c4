using System;

namespace Flameport
{
    /// <summary>What moves a layer's Gaussians: linear dynamics or a network.</summary>
    public interface IDeltas : IDisposable
    {
        /// <summary>Deltas apply after the binding, in world axes.</summary>
        bool Posed { get; }

        /// <summary>Whether numbers of this kind move.</summary>
        bool Has(Channel channel);

        /// <summary>Take a pose; throws <see cref="SequenceException"/> where it lacks what they read.</summary>
        /// <param name="pose">The pose.</param>
        /// <param name="means">Where the binding put the Gaussians; null where that is not known yet.</param>
        void Drive(Pose pose, double[]? means);

        /// <summary>Add the deltas of a channel to <paramref name="values"/>; nothing where it does not move.</summary>
        void Add(Channel channel, double[] values);

        /// <summary>What should be known; empty for nothing.</summary>
        string Warning { get; }
    }

    /// <summary>Deltas that a network gives (`formats.deform.deltas_of`).</summary>
    public sealed class NetworkPoser : IDeltas
    {
        /// <summary>Where each channel's numbers are among a Gaussian's.</summary>
        private static readonly int[] Places = { 0, 4, 8, 3, 12 };

        private readonly AvatarNetwork network;
        private readonly INetworkRunner runner;
        private readonly int[] outputs = new int[5];
        private readonly int[]? rows;

        /// <summary>Open a layer's network; throws <see cref="AvatarFormatException"/> where it cannot be run.</summary>
        public NetworkPoser(SplatLayer layer)
        {
            network = layer.Network!;
            rows = layer.NetworkRows;
            runner = NetworkRunners.Open(network);
            for (int c = 0; c < outputs.Length; c++) outputs[c] = network.Output("delta_" + LinearDynamics.ChannelNames[c]);
        }

        public bool Posed => network.Posed;
        public string Warning => runner.Warning;

        public bool Has(Channel channel) => outputs[(int)channel] >= 0;

        public void Drive(Pose pose, double[]? means)
        {
            Feed(network, runner, pose, means);
            runner.Run();
        }

        public void Add(Channel channel, double[] values)
        {
            int output = outputs[(int)channel], width = LinearDynamics.Widths[(int)channel];
            if (output < 0) return;
            float[] deltas = runner.Output(output);
            for (int i = 0; i < values.Length; i++) values[i] += deltas[rows == null ? i : rows[i / width] * width + i % width];
        }

        /// <summary>Put all deltas as shaders read them, <see cref="RecordRows.DeltaRows"/> rows of four a Gaussian: mean and
        /// logit, rotation vector, logarithms of scales, colour. What does not move is 0 there already.</summary>
        public void Put(Span<float> to)
        {
            for (int c = 0; c < outputs.Length; c++)
            {
                if (outputs[c] < 0) continue;
                int width = LinearDynamics.Widths[c], place = Places[c], count = to.Length / (4 * RecordRows.DeltaRows);
                float[] deltas = runner.Output(outputs[c]);
                for (int i = 0; i < count; i++)
                {
                    int from = width * (rows == null ? i : rows[i]);
                    for (int k = 0; k < width; k++) to[4 * RecordRows.DeltaRows * i + place + k] = deltas[from + k];
                }
            }
        }

        public void Dispose() => runner.Dispose();

        /// <summary>Give a network the numbers of a pose; zeros where nothing gives them, as when no clip is
        /// playing.</summary>
        internal static void Feed(AvatarNetwork network, INetworkRunner runner, Pose pose, double[]? means)
        {
            for (int i = 0; i < network.Inputs.Length; i++)
            {
                NetworkPort port = network.Inputs[i];
                float[] to = runner.Input(i);
                ReadOnlySpan<double> from = means;
                if (port.Name != "posed_means" && !pose.TryDriver(port.Name, out from))
                {
                    Array.Clear(to, 0, to.Length);
                    continue;
                }
                if (from.Length != to.Length)
                {
                    throw new SequenceException($"The avatar's network reads {to.Length} numbers from {port.Name}; the clip "
                        + $"holds {from.Length}.");
                }
                for (int k = 0; k < to.Length; k++) to[k] = (float)from[k];
            }
        }
    }
}
