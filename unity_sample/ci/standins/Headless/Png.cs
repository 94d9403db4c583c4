#nullable disable
using System;
using System.IO;
using System.IO.Compression;

namespace Flameport.Headless
{
    /// <summary>Reads what our exporter writes of PNG: 8 bits, grey, colour or colour with alpha, not interlaced.</summary>
    internal static class Png
    {
        /// <summary>Return RGBA, the lowest row first as the engine's textures have it; false where it is no such file.</summary>
        public static bool Read(byte[] data, out int width, out int height, out byte[] rgba)
        {
            (width, height, rgba) = (0, 0, null);
            if (data.Length < 33 || data[0] != 0x89 || data[1] != 'P' || data[2] != 'N' || data[3] != 'G') return false;
            (width, height) = (Number(data, 16), Number(data, 20));
            int depth = data[24], kind = data[25], channels = kind == 0 ? 1 : kind == 2 ? 3 : kind == 6 ? 4 : 0;
            if (depth != 8 || channels == 0
                || data[28] != 0) throw new EngineException($"the stand-in reads no PNG of kind {kind}, {depth} bits");
            var packed = new MemoryStream();
            for (int at = 8; at + 12 <= data.Length; at += 12 + Number(data, at))
            {
                if (data[at + 4] == 'I' && data[at + 5] == 'D') packed.Write(data, at + 8, Number(data, at));
            }
            packed.Position = 2; // zlib's header
            var raw = new MemoryStream();
            using (var inflate = new DeflateStream(packed, CompressionMode.Decompress)) inflate.CopyTo(raw);
            rgba = Filtered(raw.ToArray(), width, height, channels);
            return true;
        }

        private static int Number(byte[] data, int at) => data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3];

        private static byte[] Filtered(byte[] raw, int width, int height, int channels)
        {
            int stride = width * channels;
            var now = new byte[stride];
            var above = new byte[stride];
            var rgba = new byte[4 * width * height];
            for (int y = 0; y < height; y++)
            {
                int filter = raw[y * (stride + 1)];
                for (int i = 0; i < stride; i++)
                {
                    int a = i >= channels ? now[i - channels] : 0, b = above[i], c = i >= channels ? above[i - channels] : 0;
                    int guess = filter == 1 ? a : filter == 2 ? b : filter == 3 ? (a + b) / 2 : filter == 4 ? Paeth(a, b, c) : 0;
                    now[i] = (byte)(raw[y * (stride + 1) + 1 + i] + guess);
                }
                int row = 4 * width * (height - 1 - y);
                for (int x = 0; x < width; x++)
                {
                    for (int c = 0; c < 4; c++)
                    {
                        rgba[row + 4 * x + c] = c == 3 && channels < 4 ? (byte)255 : now[x * channels + (channels == 1 ? 0 : c)];
                    }
                }
                (now, above) = (above, now);
            }
            return rgba;
        }

        private static int Paeth(int a, int b, int c)
        {
            int p = a + b - c, da = Math.Abs(p - a), db = Math.Abs(p - b), dc = Math.Abs(p - c);
            return da <= db && da <= dc ? a : db <= dc ? b : c;
        }
    }
}
