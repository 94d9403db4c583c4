using System;
using UnityEngine;

namespace Flameport
{
    /// <summary>An avatar in a project: the bytes of a `.flameavatar`, and the shaders that play it. Players share what it
    /// holds, in memory and on the graphics card.</summary>
    public sealed class AvatarAsset : ScriptableObject
    {
        [SerializeField, HideInInspector] private byte[] data = new byte[0];
        [SerializeField] private ComputeShader? kernels;
        [SerializeField] private Shader? splats, mesh, composite, fallback;
        [SerializeField] private string title = "", system = "";
        [SerializeField] private string[] licenseNotices = new string[0];
        [SerializeField] private double duration;
        [NonSerialized] private Avatar? loaded;
        [NonSerialized] private byte[]? loadedFrom;
        [NonSerialized] private AvatarException? failure;

        /// <summary>The avatar's name.</summary>
        public string Title => title;
        /// <summary>The system that made it.</summary>
        public string System => system;
        /// <summary>Terms that come with it, a line each.</summary>
        public string[] LicenseNotices => licenseNotices;
        /// <summary>Seconds of its own clip; 0 without one.</summary>
        public double Duration => duration;
        /// <summary>The shaders, each null where it is missing.</summary>
        public ComputeShader? Kernels => kernels;
        /// <summary>`Flameport/Avatar`.</summary>
        public Shader? Splats => splats;
        /// <summary>`Flameport/AvatarMesh`.</summary>
        public Shader? Mesh => mesh;
        /// <summary>`Flameport/AvatarComposite`.</summary>
        public Shader? Composite => composite;
        /// <summary>`Flameport/AvatarFallback`.</summary>
        public Shader? Fallback => fallback;

        /// <summary>Return an asset of a file's bytes, in an importer or in a running game; throws <see
        /// cref="AvatarException"/> where they are no avatar.</summary>
        public static AvatarAsset Create(byte[] data, ComputeShader? kernels, Shader? splats, Shader? mesh, Shader? composite,
            Shader? fallback)
        {
            Avatar avatar = Avatar.Read(data);
            AvatarAsset asset = CreateInstance<AvatarAsset>();
            asset.name = asset.title = avatar.Meta.Name;
            asset.system = avatar.Meta.System;
            asset.licenseNotices = avatar.Meta.LicenseNotices;
            asset.duration = avatar.Clip?.Duration ?? 0;
            (asset.data, asset.loadedFrom, asset.loaded) = (data, data, avatar);
            (asset.kernels, asset.splats, asset.mesh) = (kernels, splats, mesh);
            (asset.composite, asset.fallback) = (composite, fallback);
            return asset;
        }

        /// <summary>Return an asset of other bytes with this one's shaders: how a game loads avatars while it
        /// runs.</summary>
        public AvatarAsset CreateAlike(byte[] bytes) => Create(bytes, kernels, splats, mesh, composite, fallback);

        /// <summary>Fail where shaders are missing, as in an asset that was imported before the package was whole.</summary>
        internal void Check()
        {
            if (kernels == null || splats == null || mesh == null || composite == null || fallback == null) throw new
                AvatarFormatException($"'{title}' lacks shaders of the package. Import it again.");
        }

        /// <summary>Return the avatar, read once; another one after the asset was imported again.</summary>
        public Avatar Load()
        {
            if (loadedFrom != data)
            {
                (loadedFrom, loaded, failure) = (data, null, null);
                try
                {
                    loaded = Avatar.Read(data);
                }
                catch (AvatarException error)
                {
                    // Damaged files are not read again in every frame.
                    failure = error;
                }
            }
            return loaded ?? throw failure!;
        }
    }
}
