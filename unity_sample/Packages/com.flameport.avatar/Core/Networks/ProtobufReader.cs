using System;
using System.Text;

namespace Flameport
{
    /// <summary>Fields of a protobuf message, one after another. Every length is checked against the bytes that are
    /// there.</summary>
    internal ref struct ProtobufReader
    {
        private readonly ReadOnlySpan<byte> data;
        private int at;

        public ProtobufReader(ReadOnlySpan<byte> data)
        {
            this.data = data;
            at = 0;
            Field = Wire = 0;
            Number = 0;
            Bytes = default;
        }

        /// <summary>Of the field that was read last.</summary>
        public int Field { get; private set; }
        /// <summary>How it is written: 0 a number, 1 eight bytes, 2 bytes, 5 four bytes.</summary>
        public int Wire { get; private set; }
        /// <summary>Its number; the bits of one of four or eight bytes.</summary>
        public ulong Number { get; private set; }
        /// <summary>Its bytes, of wire type 2.</summary>
        public ReadOnlySpan<byte> Bytes { get; private set; }

        /// <summary>Read a field; false at the end. Throws <see cref="AvatarFormatException"/> where it is cut off.</summary>
        public bool Next()
        {
            if (at >= data.Length) return false;
            ulong tag = Varint();
            if (tag >> 3 == 0 || tag >> 3 > 1 << 29) throw Damaged();
            (Field, Wire) = ((int)(tag >> 3), (int)(tag & 7));
            Bytes = default;
            switch (Wire)
            {
                case 0: Number = Varint(); break;
                case 1: Number = Fixed(8); break;
                case 5: Number = Fixed(4); break;
                case 2:
                    ulong length = Varint();
                    if (length > (ulong)(data.Length - at)) throw Damaged();
                    Bytes = data.Slice(at, (int)length);
                    at += (int)length;
                    break;
                default: throw Damaged();
            }
            return true;
        }

        /// <summary>Its text, of at most 4096 bytes.</summary>
        public string Text() => Bytes.Length <= 4096 ? Encoding.UTF8.GetString(Bytes) : throw Damaged();

        /// <summary>Its number as a float, of wire type 5.</summary>
        public float Float() => BitConverter.Int32BitsToSingle(unchecked((int)Number));

        /// <summary>The numbers in its bytes, each of one to ten bytes.</summary>
        public long[] Packed()
        {
            var inside = new ProtobufReader(Bytes);
            int count = 0;
            foreach (byte one in Bytes) count += one < 128 ? 1 : 0;
            var found = new long[count];
            for (int i = 0; i < count; i++) found[i] = unchecked((long)inside.Varint());
            return inside.at == Bytes.Length ? found : throw Damaged();
        }

        public static AvatarFormatException Damaged() =>
            new AvatarFormatException("A network of the avatar is damaged: not an ONNX graph. Export the avatar again.");

        private ulong Varint()
        {
            ulong value = 0;
            for (int shift = 0; shift < 70; shift += 7)
            {
                if (at >= data.Length) throw Damaged();
                byte one = data[at++];
                if (shift < 64) value |= (ulong)(one & 127) << shift;
                if (one < 128) return value;
            }
            throw Damaged();
        }

        private ulong Fixed(int bytes)
        {
            if (data.Length - at < bytes) throw Damaged();
            ulong value = 0;
            for (int i = 0; i < bytes; i++) value |= (ulong)data[at++] << (8 * i);
            return value;
        }
    }
}
