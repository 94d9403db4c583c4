using System;

namespace Flameport
{
    /// <summary>From an operator to what it does: those that `exporter/onnx_plain.py` lists for networks of layers, as ONNX
    /// opset 15 defines them.</summary>
    internal static class NetworkOperators
    {
        /// <summary>Return the step of the builder's operator; throws <see cref="AvatarFormatException"/> of one that is not
        /// run here.</summary>
        public static Action Make(NetworkBuilder builder) => LayoutOperators.Make(builder) ?? ProductOperators.Make(builder)
            ?? ReductionOperators.Make(builder) ?? ElementOperators.Make(builder)
            ?? throw OnnxReader.Refused("uses " + Named(builder.Node.Operator));

        /// <summary>A name of a stranger's, short and on one line.</summary>
        private static string Named(string name) => name.Length > 0 && name.Length <= 40 && Array.TrueForAll(name.ToCharArray(),
            one => one > ' ' && one < 127) ? name : "an operator of no name";

        /// <summary>Return an axis counted from the front; throws where there is none.</summary>
        public static int Axis(double axis, int axes)
        {
            int found = (int)Math.Max(Math.Min(axis < 0 ? axis + axes : axis, axes), -1);
            return found >= 0 && found < axes ? found : throw ProtobufReader.Damaged();
        }

        /// <summary>Return the product of sizes from one axis up to another.</summary>
        public static int Product(int[] shape, int from, int to)
        {
            int product = 1;
            for (int i = from; i < to; i++) product *= shape[i];
            return product;
        }
    }
}
