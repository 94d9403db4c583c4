using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Numbers of a network: all as float32, whole ones as well. Row-major.</summary>
    public sealed class NetworkTensor
    {
        /// <summary>Numbers of a tensor at most.</summary>
        public const int Most = 1 << 26;
        /// <summary>Axes at most, as `exporter/onnx_plain.py` writes them.</summary>
        public const int MostAxes = 8;

        public NetworkTensor(int[] shape, float[] values, bool whole = false)
        {
            Shape = shape;
            Values = values;
            Whole = whole;
        }

        public int[] Shape { get; }
        public float[] Values { get; }
        /// <summary>Integers: division drops what is after the point.</summary>
        public bool Whole { get; }
        /// <summary>The numbers of a stored list of integers, such as sizes and axes; null of anything else.</summary>
        public long[]? Integers { get; internal set; }
        /// <summary>Does not depend on what drives the network.</summary>
        public bool Fixed { get; internal set; }

        /// <summary>How many numbers a shape has; throws <see cref="AvatarFormatException"/> beyond <see
        /// cref="Most"/>.</summary>
        public static int Count(int[] shape)
        {
            long count = 1, most = 1;
            if (shape.Length > MostAxes) throw TooLarge();
            foreach (int n in shape)
            {
                if (n < 0) throw ProtobufReader.Damaged();
                count *= n;
                // Of an empty one too, whose parts are counted elsewhere.
                most *= Math.Max(n, 1);
                if (most > Most) throw TooLarge();
            }
            return (int)count;
        }

        internal static AvatarFormatException TooLarge() => new AvatarFormatException("A network of the avatar is too "
            + "large to be run here; 'flameport bake X --linearise' makes tables of it.");
    }

    /// <summary>One operator of a graph, and the names of what it takes and gives.</summary>
    public sealed class OnnxNode
    {
        internal readonly Dictionary<string, double> Numbers = new Dictionary<string, double>();
        internal readonly Dictionary<string, long[]> Lists = new Dictionary<string, long[]>();

        public string Operator { get; internal set; } = "";
        public List<string> Inputs { get; } = new List<string>();
        public List<string> Outputs { get; } = new List<string>();

        /// <summary>A number that it is given, or what it is without.</summary>
        public double Number(string name, double otherwise) => Numbers.TryGetValue(name, out double value) ? value : otherwise;

        /// <summary>Integers that it is given; null without.</summary>
        public long[]? List(string name) => Lists.TryGetValue(name, out long[] values) ? values : null;
    }

    /// <summary>An ONNX file's graph: what flameport writes of the format, and nothing that loops or reads other files.</summary>
    public sealed class OnnxGraph
    {
        /// <summary>Operators at most.</summary>
        public const int MostNodes = 1 << 14;

        public List<OnnxNode> Nodes { get; } = new List<OnnxNode>();
        /// <summary>Stored numbers by name.</summary>
        public Dictionary<string, NetworkTensor> Constants { get; } = new Dictionary<string, NetworkTensor>();
    }
}
