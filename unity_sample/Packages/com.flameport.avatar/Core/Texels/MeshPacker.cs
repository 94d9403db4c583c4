using System;

namespace Flameport
{
    /// <summary>A mesh layer's tables as texels, for the kernel that poses vertices: rest, normals, and what moves them.
    /// Of no file: only players make them, with variant float.</summary>
    internal static class MeshPacker
    {
        /// <summary>Add the tables of a layer whose names begin with <paramref name="prefix"/>.</summary>
        public static void Pack(TexelTables tables, string prefix, MeshLayer layer)
        {
            var packer = new HeadPacker(tables);
            packer.Floats(prefix + "rest", Array.ConvertAll(layer.Vertices, x => (double)x), 3);
            packer.Floats(prefix + "normals", Array.ConvertAll(layer.Normals, x => (double)x), 3);
            SkinTables own = layer.Tables;
            int joints = 1;
            foreach (int joint in own.Weights.Joints) joints = Math.Max(joints, joint + 1);
            packer.Deltas(prefix, own.Expressions, own.Correctives, own.Eyelids, layer.VertexCount);
            packer.Skin(prefix, own.Weights, joints);
        }
    }
}
