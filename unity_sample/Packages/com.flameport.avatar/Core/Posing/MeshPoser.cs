using System;

namespace Flameport
{
    /// <summary>Poses one mesh layer again and again without allocating: `formats.deform.deform_mesh`.</summary>
    public sealed class MeshPoser
    {
        private readonly MeshLayer layer;
        private readonly SkinPoser skin;
        private readonly double[] rest;

        public MeshPoser(MeshLayer layer, HeadPoser head)
        {
            this.layer = layer;
            skin = new SkinPoser(new SkinBinding { Own = layer.Tables }, head, true);
            rest = Array.ConvertAll(layer.Vertices, x => (double)x);
            Vertices = (double[])rest.Clone();
            Normals = new double[rest.Length];
        }

        /// <summary>V * 3, world space; and unit normals.</summary>
        public double[] Vertices { get; }
        public double[] Normals { get; }

        public void Apply(Pose pose)
        {
            skin.Apply(pose, rest, Vertices, null);
            skin.TurnNormals(layer.Normals, Normals);
        }
    }
}
