using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Networks of a GLB (`exporter/GLB.md`, 1.6), each read where something uses it.</summary>
    internal sealed class GlbNetworks
    {
        private const string Again = " Export the avatar again.";

        private readonly Glb glb;
        private readonly Dictionary<string, AvatarNetwork> read = new Dictionary<string, AvatarNetwork>();

        public GlbNetworks(Glb glb) { this.glb = glb; }

        /// <summary>Return the network that moves a layer of so many Gaussians.</summary>
        public AvatarNetwork Deltas(JsonValue name, int count)
        {
            AvatarNetwork network = Read(name);
            for (int c = 0; c < LinearDynamics.ChannelNames.Length; c++)
            {
                int output = network.Output("delta_" + LinearDynamics.ChannelNames[c]);
                if (output >= 0) Expect(network, network.Outputs[output], count, LinearDynamics.Widths[c]);
            }
            foreach (NetworkPort port in network.Inputs)
            {
                if (port.Name != "posed_means") continue;
                Expect(network, port, count, 3);
                if (!network.Posed) throw new AvatarFormatException($"Network '{network.Name}' takes posed_means and is not in "
                    + "posed space." + Again);
            }
            return network;
        }

        /// <summary>Return the network that gives linear dynamics their coefficients.</summary>
        public AvatarNetwork Coefficients(JsonValue name, LinearDynamics dynamics)
        {
            AvatarNetwork network = Read(name);
            int output = network.Output("coefficients");
            if (output < 0) throw new AvatarFormatException($"Network '{network.Name}' gives no coefficients." + Again);
            Expect(network, network.Outputs[output], 1, dynamics.Rank);
            foreach (NetworkPort port in network.Inputs)
            {
                if (Array.IndexOf(dynamics.Driver, port.Name) < 0) throw new AvatarFormatException($"Network "
                    + $"'{network.Name}' takes {port.Name}, which is not among what drives it: "
                    + $"{string.Join(", ", dynamics.Driver)}." + Again);
            }
            return network;
        }

        private static void Expect(AvatarNetwork network, NetworkPort port, int rows, int columns)
        {
            if (port.Shape.Length == 2 && port.Shape[0] == rows && port.Shape[1] == columns) return;
            throw new AvatarFormatException($"Network '{network.Name}': '{port.Name}' has shape "
                + $"{string.Join(" x ", port.Shape)}, expected {rows} x {columns}." + Again);
        }

        private AvatarNetwork Read(JsonValue reference)
        {
            string name = reference.Text("");
            if (read.TryGetValue(name, out AvatarNetwork known)) return known;
            JsonValue entry = glb.Json["extensions"][Glb.Extension]["networks"][name];
            string where = "networks." + name;
            if (!entry.Exists) throw new AvatarFormatException($"'{where}' is missing, and a layer needs it." + Again);
            var made = new AvatarNetwork(name, glb.Bytes(entry["bufferView"], where), Ports(entry["inputs"], where),
                Ports(entry["outputs"], where), entry["space"].Choice(where + ".space", "canonical", "posed") == "posed");
            // Once, to know that it can be run.
            new NetworkProgram(made).Dispose();
            return read[name] = made;
        }

        private static NetworkPort[] Ports(JsonValue list, string where)
        {
            list.List(where);
            var ports = new NetworkPort[list.Count];
            var names = new HashSet<string>();
            for (int i = 0; i < ports.Length; i++)
            {
                JsonValue sizes = list.At(i)["shape"].List(where + ".shape");
                var shape = new int[sizes.Count];
                for (int k = 0; k < shape.Length; k++) shape[k] = sizes.At(k).Integer(where + ".shape", NetworkTensor.Most);
                ports[i] = new NetworkPort(list.At(i)["name"].Text(""), shape);
                if (!names.Add(ports[i].Name)) throw new AvatarFormatException($"'{where}' names "
                    + $"'{ports[i].Name}' twice." + Again);
            }
            return ports;
        }
    }
}
