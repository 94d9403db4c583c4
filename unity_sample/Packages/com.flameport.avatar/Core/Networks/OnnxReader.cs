using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>
    /// From the bytes of an ONNX file to its graph (`onnx.proto` of ONNX 1.10), with bounds: nothing larger than the file's
    /// own bytes is allocated. Weights outside of the file, graphs in graphs and functions are refused.
    /// </summary>
    internal static class OnnxReader
    {
        private const int Float = 1, Int32 = 6, Int64 = 7, Bool = 9, Float16 = 10, Double = 11;

        /// <summary>Return the graph; throws <see cref="AvatarFormatException"/>.</summary>
        public static OnnxGraph Read(ReadOnlySpan<byte> onnx)
        {
            OnnxGraph? graph = null;
            var model = new ProtobufReader(onnx);
            while (model.Next())
            {
                if (model.Field == 25) throw Refused("defines operators of its own");
                if (model.Field != 7) continue;
                if (graph != null || model.Wire != 2) throw ProtobufReader.Damaged();
                graph = Graph(model.Bytes);
            }
            return graph ?? throw ProtobufReader.Damaged();
        }

        internal static AvatarFormatException Refused(string why) =>
            new AvatarFormatException($"A network of the avatar {why}, which this package does not run; "
                + "'flameport bake X --linearise' makes tables of it.");

        private static OnnxGraph Graph(ReadOnlySpan<byte> bytes)
        {
            var graph = new OnnxGraph();
            var fields = new ProtobufReader(bytes);
            while (fields.Next())
            {
                if (fields.Field == 15) throw Refused("has sparse weights");
                if (fields.Field == 1) graph.Nodes.Add(Node(fields.Bytes));
                if (fields.Field == 5)
                {
                    (string name, NetworkTensor tensor) = Tensor(fields.Bytes);
                    graph.Constants[name] = tensor;
                }
                if (graph.Nodes.Count > OnnxGraph.MostNodes) throw NetworkTensor.TooLarge();
            }
            return graph;
        }

        private static OnnxNode Node(ReadOnlySpan<byte> bytes)
        {
            var node = new OnnxNode();
            var fields = new ProtobufReader(bytes);
            while (fields.Next())
            {
                if (fields.Field == 1) node.Inputs.Add(fields.Text());
                if (fields.Field == 2) node.Outputs.Add(fields.Text());
                if (fields.Field == 4) node.Operator = fields.Text();
                if (fields.Field == 5) Attribute(fields.Bytes, node);
                if (fields.Field == 7 && fields.Bytes.Length > 0 && fields.Text() != "ai.onnx")
                {
                    throw Refused("uses operators of its own");
                }
            }
            return node;
        }

        private static void Attribute(ReadOnlySpan<byte> bytes, OnnxNode node)
        {
            string name = "";
            double? number = null;
            List<long>? list = null;
            var fields = new ProtobufReader(bytes);
            while (fields.Next())
            {
                switch (fields.Field)
                {
                    case 1: name = fields.Text(); break;
                    case 2: number = fields.Float(); break;
                    case 3: number = unchecked((long)fields.Number); break;
                    case 6: case 11: throw Refused("holds a graph in a graph");
                    case 8:
                        list = list ?? new List<long>();
                        if (fields.Wire == 2) list.AddRange(fields.Packed());
                        else list.Add(unchecked((long)fields.Number));
                        break;
                }
            }
            if (list != null) node.Lists[name] = list.ToArray();
            else if (number != null) node.Numbers[name] = number.Value;
        }

        private static (string, NetworkTensor) Tensor(ReadOnlySpan<byte> bytes)
        {
            string name = "";
            int kind = 0;
            var shape = new List<long>();
            ReadOnlySpan<byte> raw = default, floats = default;
            long[]? whole = null;
            var fields = new ProtobufReader(bytes);
            while (fields.Next())
            {
                switch (fields.Field)
                {
                    case 1:
                        if (fields.Wire == 2) shape.AddRange(fields.Packed());
                        else shape.Add(unchecked((long)fields.Number));
                        if (shape.Count > NetworkTensor.MostAxes) throw NetworkTensor.TooLarge();
                        break;
                    case 2: kind = (int)Math.Min(fields.Number, 1000); break;
                    case 4: floats = Only(fields); break;
                    case 5: case 7: whole = Whole(fields); break;
                    case 8: name = fields.Text(); break;
                    case 9: raw = fields.Bytes; break;
                    case 13: throw Refused("keeps weights outside of the file");
                    case 14:
                        if (fields.Number != 0) throw Refused("keeps weights outside of the file");
                        break;
                }
            }
            int[] sizes = Array.ConvertAll(shape.ToArray(), n => n >= 0 && n <= NetworkTensor.Most ? (int)n
                : throw NetworkTensor.TooLarge());
            return (name, Decoded(sizes, kind, raw, floats, whole));
        }

        private static ReadOnlySpan<byte> Only(in ProtobufReader fields) => fields.Wire == 2 ? fields.Bytes
            : throw Refused("lists its weights one by one");

        private static long[] Whole(in ProtobufReader fields) => fields.Wire == 2 ? fields.Packed()
            : throw Refused("lists its weights one by one");

        private static NetworkTensor Decoded(int[] shape, int kind, ReadOnlySpan<byte> raw, ReadOnlySpan<byte> floats,
            long[]? listed)
        {
            int count = NetworkTensor.Count(shape), size = SizeOf(kind);
            bool whole = kind == Int32 || kind == Int64 || kind == Bool;
            if (kind == Float && raw.Length == 0) raw = floats;
            bool bare = count > 0 && raw.Length == 0;
            if (raw.Length != 0 && raw.Length != (long)count * size) throw ProtobufReader.Damaged();
            if (bare && (kind == Float || kind == Double || listed == null
                || listed.Length != count)) throw ProtobufReader.Damaged();
            var values = new float[count];
            long[]? integers = whole ? new long[count] : null;
            for (int i = 0; i < count; i++)
            {
                ReadOnlySpan<byte> at = bare ? default : raw.Slice(i * size, size);
                long one = bare ? listed![i] : 0;
                switch (kind)
                {
                    case Float: values[i] = BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadInt32LittleEndian(at)); break;
                    case Double:
                        values[i] = (float)BitConverter.Int64BitsToDouble(BinaryPrimitives.ReadInt64LittleEndian(at));
                        break;
                    case Float16:
                        values[i] = (float)TexelNumbers.FromHalf(at.Length == 0 ? (uint)one & 0xFFFF
                            : BinaryPrimitives.ReadUInt16LittleEndian(at));
                        break;
                    default:
                        if (at.Length == 8) one = BinaryPrimitives.ReadInt64LittleEndian(at);
                        if (at.Length == 4) one = BinaryPrimitives.ReadInt32LittleEndian(at);
                        if (at.Length == 1) one = at[0];
                        integers![i] = one;
                        values[i] = one;
                        break;
                }
            }
            return new NetworkTensor(shape, values, whole) { Integers = integers, Fixed = true };
        }

        private static int SizeOf(int kind)
        {
            switch (kind)
            {
                case Float: case Int32: return 4;
                case Int64: case Double: return 8;
                case Bool: return 1;
                case Float16: return 2;
                default: throw Refused($"stores numbers of kind {kind}");
            }
        }
    }
}
