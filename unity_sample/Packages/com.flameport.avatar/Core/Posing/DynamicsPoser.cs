using System;

namespace Flameport
{
    /// <summary>Linear dynamics at one moment: coefficients from the pose, and deltas of each channel.</summary>
    public sealed class DynamicsPoser : IDeltas
    {
        private readonly LinearDynamics dynamics;
        private readonly INetworkRunner? runner;
        private readonly double[] numbers, hidden;
        private readonly int[] starts;

        public DynamicsPoser(LinearDynamics dynamics)
        {
            this.dynamics = dynamics;
            Coefficients = new double[dynamics.Rank];
            numbers = dynamics.Function == null ? Coefficients : new double[dynamics.Function.DrivingCount];
            hidden = new double[dynamics.Function?.HiddenCount ?? 0];
            starts = new int[dynamics.Driver.Length + 1];
            if (dynamics.Network == null) return;
            int width = 0;
            foreach (NetworkPort port in dynamics.Network.Inputs) width += port.Count;
            numbers = new double[dynamics.Mean == null ? width : dynamics.Mean.Length];
            runner = NetworkRunners.Open(dynamics.Network);
        }

        /// <summary>What multiplies the tables; what the shaders take.</summary>
        public double[] Coefficients { get; }
        public bool Posed => dynamics.Posed;
        public string Warning => runner == null ? "" : runner.Warning;

        public bool Has(Channel channel) => dynamics.Tables[(int)channel] != null;

        /// <summary>
        /// Work out the coefficients: the named drivers end to end, less their mean, or what the function or
        /// the network makes of those. One driver may be absent, as when no clip is playing: it then rests at its mean. Throws
        /// <see cref="SequenceException"/> where they have other lengths.
        /// </summary>
        public void Drive(Pose pose, double[]? means = null)
        {
            int known = 0, absent = 0;
            foreach (string name in dynamics.Driver)
            {
                if (pose.TryDriver(name, out ReadOnlySpan<double> part)) known += part.Length;
                else absent++;
            }
            int gap = numbers.Length - known;
            if (absent > 1 || gap < 0 || (absent == 0 && gap != 0))
            {
                throw new SequenceException($"The avatar's dynamics read {numbers.Length} numbers from "
                    + $"{string.Join(" + ", dynamics.Driver)}; "
                    + $"the clip holds {known}.");
            }
            int at = 0, one = 0;
            foreach (string name in dynamics.Driver)
            {
                starts[one++] = at;
                if (pose.TryDriver(name, out ReadOnlySpan<double> part))
                {
                    for (int i = 0; i < part.Length; i++, at++) numbers[at] = part[i]
                        - (dynamics.Mean == null ? 0 : dynamics.Mean[at]);
                }
                else
                {
                    Array.Clear(numbers, at, gap);
                    at += gap;
                }
            }
            dynamics.Function?.Evaluate(numbers, hidden, Coefficients);
            starts[one] = at;
            if (runner != null) Ask(dynamics.Network!, runner);
        }

        /// <summary>Each of the network's inputs is the part of its name.</summary>
        private void Ask(AvatarNetwork network, INetworkRunner asked)
        {
            for (int i = 0; i < network.Inputs.Length; i++)
            {
                NetworkPort port = network.Inputs[i];
                float[] to = asked.Input(i);
                int part = Array.IndexOf(dynamics.Driver, port.Name), start = starts[part];
                if (starts[part + 1] - start != to.Length)
                {
                    throw new SequenceException($"The avatar's network reads {to.Length} numbers from {port.Name}; the clip "
                        + $"holds {starts[part + 1] - start}.");
                }
                for (int k = 0; k < to.Length; k++) to[k] = (float)numbers[start + k];
            }
            asked.Run();
            float[] made = asked.Output(network.Output("coefficients"));
            for (int k = 0; k < Coefficients.Length; k++) Coefficients[k] = made[k];
        }

        public void Dispose() => runner?.Dispose();

        /// <summary>Add the deltas of a channel to <paramref name="values"/>; nothing where it does not move.</summary>
        public void Add(Channel channel, double[] values)
        {
            float[]? table = dynamics.Tables[(int)channel];
            if (table == null) return;
            for (int k = 0; k < Coefficients.Length; k++)
            {
                double weight = Coefficients[k];
                if (weight == 0) continue;
                int start = k * values.Length;
                for (int i = 0; i < values.Length; i++) values[i] += weight * table[start + i];
            }
        }
    }
}
