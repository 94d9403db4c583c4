using System.Collections.Generic;

namespace Flameport
{
    /// <summary>An avatar at one moment, on the processor: the head, and every layer. Allocates once.</summary>
    public sealed class PosedAvatar
    {
        private readonly List<GaussianPoser> gaussians = new List<GaussianPoser>();
        private readonly List<MeshPoser> meshes = new List<MeshPoser>();

        public PosedAvatar(Avatar avatar)
        {
            Avatar = avatar;
            Head = new HeadPoser(avatar.Head);
            foreach (Layer layer in avatar.Layers)
            {
                if (layer is SplatLayer splats) gaussians.Add(new SplatPoser(splats, Head));
                else if (layer is StrandLayer strands) gaussians.Add(new StrandPoser(strands, Head));
                else if (layer is MeshLayer mesh) meshes.Add(new MeshPoser(mesh, Head));
            }
        }

        public Avatar Avatar { get; }
        public HeadPoser Head { get; }
        /// <summary>Splats and strands, in the order of layers.</summary>
        public IReadOnlyList<GaussianPoser> Gaussians => gaussians;
        /// <summary>Innermost first.</summary>
        public IReadOnlyList<MeshPoser> Meshes => meshes;

        /// <summary>Pose everything.</summary>
        public void Apply(Pose pose)
        {
            Head.Apply(pose);
            foreach (GaussianPoser layer in gaussians) layer.Apply(pose);
            foreach (MeshPoser layer in meshes) layer.Apply(pose);
        }
    }
}
