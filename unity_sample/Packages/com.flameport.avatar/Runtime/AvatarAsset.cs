using UnityEngine;

namespace Flameport
{
    /// <summary>An avatar in a project: the bytes of a `.flameavatar`, and the shaders that play it. Players share what it
    /// holds, in memory and on the graphics card.</summary>
    public sealed class AvatarAsset : ScriptableObject
    {
        /// <summary>`AvatarKernels.compute`.</summary>
        public ComputeShader? Kernels;
        /// <summary>`Flameport/Avatar`, `AvatarMesh`, `AvatarComposite` and `AvatarFallback`.</summary>
        public Shader? Splats, Mesh, Composite, Fallback;
        [SerializeField, HideInInspector] private byte[] data = new byte[0];
        private readonly Parsed<Avatar> parsed = new Parsed<Avatar>(Avatar.Read);

        /// <summary>The avatar's name.</summary>
        public string Title => Load().Meta.Name;
        /// <summary>The system that made it.</summary>
        public string System => Load().Meta.System;
        /// <summary>Terms that come with it, a line each.</summary>
        public string[] LicenseNotices => Load().Meta.LicenseNotices;
        /// <summary>Seconds of its own clip; 0 without one.</summary>
        public double Duration => Load().Clip?.Duration ?? 0;
        /// <summary>The shaders, in the order of <see cref="Program"/>.</summary>
        internal Shader?[] Programs => new[] { Splats, Mesh, Composite, Fallback };

        /// <summary>Return an asset of a file's bytes, in an importer or in a running game; throws <see
        /// cref="AvatarException"/> where they are no avatar.</summary>
        public static AvatarAsset Create(byte[] data, ComputeShader? kernels, Shader? splats, Shader? mesh, Shader? composite,
            Shader? fallback)
        {
            AvatarAsset asset = CreateInstance<AvatarAsset>();
            (asset.Kernels, asset.Splats, asset.Mesh) = (kernels, splats, mesh);
            (asset.Composite, asset.Fallback, asset.data) = (composite, fallback, data);
            asset.name = asset.Title;
            return asset;
        }

        /// <summary>Return an asset of other bytes with this one's shaders: how a game loads avatars while it
        /// runs.</summary>
        public AvatarAsset CreateAlike(byte[] bytes) => Create(bytes, Kernels, Splats, Mesh, Composite, Fallback);

        /// <summary>Return the avatar, read once; another one after the asset was imported again. Throws <see
        /// cref="AvatarException"/>.</summary>
        public Avatar Load() => parsed.Of(data);
    }
}
