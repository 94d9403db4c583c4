using System;

namespace Flameport
{
    /// <summary>What `AvatarMesh.shader` draws: a mesh layer, or the head with its picture.</summary>
    public sealed class DrawnMesh
    {
        private DrawnMesh(int record, bool opaque, byte[] picture, uint[] corners)
        {
            Record = record;
            Opaque = opaque;
            Picture = picture;
            Corners = corners;
        }

        public int Record { get; }
        public bool Opaque { get; }
        /// <summary>A PNG.</summary>
        public byte[] Picture { get; }
        /// <summary>Rows of `_Corners`, four words each, three rows a triangle.</summary>
        public uint[] Corners { get; }
        public int CornerCount => Corners.Length / 4;

        /// <summary>Return a mesh layer; <paramref name="bottomUp"/> for engines whose textures begin with their lowest
        /// row.</summary>
        public static DrawnMesh Of(MeshLayer layer, int record, bool bottomUp)
        {
            var corners = new uint[4 * layer.Triangles.Length];
            for (int c = 0; c < layer.Triangles.Length; c++)
            {
                int drawn = layer.Triangles[c];
                Put(corners, c, layer.Drawn[drawn], layer.Uvs[2 * drawn], layer.Uvs[2 * drawn + 1], bottomUp);
            }
            return new DrawnMesh(record, layer.Opaque, layer.Texture, corners);
        }

        /// <summary>Return the head; null where it has no picture.</summary>
        public static DrawnMesh? Of(Head head, int record, bool bottomUp)
        {
            if (head.Albedo == null || head.CornerUvs == null) return null;
            var corners = new uint[4 * head.Faces.Length];
            for (int c = 0; c < head.Faces.Length; c++) Put(corners, c, head.Faces[c], head.CornerUvs[2 * c],
                head.CornerUvs[2 * c + 1], bottomUp);
            return new DrawnMesh(record, true, head.Albedo, corners);
        }

        private static void Put(uint[] corners, int c, int vertex, float u, float v, bool bottomUp)
        {
            corners[4 * c] = (uint)vertex;
            corners[4 * c + 1] = Bits(u);
            corners[4 * c + 2] = Bits(bottomUp ? 1 - v : v);
        }

        private static uint Bits(float value) => unchecked((uint)BitConverter.SingleToInt32Bits(value));
    }
}
