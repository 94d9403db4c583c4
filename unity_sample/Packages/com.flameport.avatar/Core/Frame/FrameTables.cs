using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Everything of an avatar that lies on the graphics card and does not change: one for all its
    /// players.</summary>
    public sealed class FrameTables
    {
        /// <summary>Make the tables of an avatar: as small files have them, else in full precision. Throws <see
        /// cref="AvatarFormatException"/> where no device could hold them.</summary>
        /// <param name="avatar">The avatar.</param>
        /// <param name="bottomUp">The engine's textures begin with their lowest row.</param>
        /// <param name="variant">Pack anew, so; `small` files are not packed anew.</param>
        public FrameTables(Avatar avatar, bool bottomUp = true, TexelVariant variant = TexelVariant.Float)
        {
            Avatar = avatar;
            Layers = (Layer[])avatar.Layers.Clone();
            for (int i = 0; i < Layers.Length; i++)
            {
                if (!(Layers[i] is StrandLayer strands)) continue;
                if (StrandSplats.Fits(strands)) Layers[i] = StrandSplats.Of(strands);
                else LeftOut = $"Strands '{strands.Name}' ride vertices' normals and are not shown.";
            }
            Data = new TexelData(avatar.Texels ?? Packed(variant));
            bool headMesh = avatar.Head.Albedo != null && avatar.Head.CornerUvs != null;
            Records = new RecordRows(avatar.Head, Layers, Data, headMesh);
            if (Records.Total > FramePlan.MostGaussians) throw new AvatarFormatException($"The avatar has {Records.Total} "
                + $"Gaussians; at most {FramePlan.MostGaussians} can be shown.");
            Rings = RingTable.Of(avatar.Head.Faces, avatar.Head.VertexCount);
            for (int i = 0; i < Layers.Length; i++)
            {
                if (Layers[i] is MeshLayer mesh) Meshes.Add(DrawnMesh.Of(mesh, 1 + i, bottomUp));
            }
            HeadMesh = headMesh ? DrawnMesh.Of(avatar.Head, Records.HeadMesh, bottomUp) : null;
            Sphere = new HeadSphere(avatar.Head);
        }

        public Avatar Avatar { get; }
        /// <summary>The avatar's, strands as splats.</summary>
        public Layer[] Layers { get; }
        public TexelData Data { get; }
        public RecordRows Records { get; }
        public uint[] Rings { get; }
        /// <summary>Mesh layers, innermost first.</summary>
        public List<DrawnMesh> Meshes { get; } = new List<DrawnMesh>();
        /// <summary>The textured head; null where the file has no picture of it.</summary>
        public DrawnMesh? HeadMesh { get; }
        public HeadSphere Sphere { get; }
        /// <summary>What is not shown; empty for nothing.</summary>
        public string LeftOut { get; } = "";

        private TexelTables Packed(TexelVariant variant)
        {
            var tables = new TexelTables(variant);
            new HeadPacker(tables).Pack(Avatar.Head);
            for (int i = 0; i < Layers.Length; i++)
            {
                if (Layers[i] is SplatLayer splats) new SplatPacker(tables, $"layer{i}.").Pack(splats);
                if (Layers[i] is MeshLayer mesh) MeshPacker.Pack(tables, $"layer{i}.", mesh);
            }
            return tables;
        }
    }
}
