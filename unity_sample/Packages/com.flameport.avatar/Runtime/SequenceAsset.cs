using System;
using UnityEngine;

namespace Flameport
{
    /// <summary>A clip in a project: the bytes of a sequence, JSON or binary, or of ARKit's weights as JSON.</summary>
    public sealed class SequenceAsset : ScriptableObject
    {
        [SerializeField, HideInInspector] private byte[] data = new byte[0];
        [SerializeField] private double duration;
        [NonSerialized] private Sequence? loaded;
        [NonSerialized] private byte[]? loadedFrom;

        /// <summary>Seconds from its first frame to its last.</summary>
        public double Duration => duration;

        /// <summary>Return an asset of a file's bytes; throws <see cref="AvatarException"/> where they are no
        /// clip.</summary>
        public static SequenceAsset Create(byte[] data)
        {
            Sequence clip = SequenceFile.Read(data);
            SequenceAsset asset = CreateInstance<SequenceAsset>();
            (asset.data, asset.loadedFrom, asset.loaded) = (data, data, clip);
            asset.duration = clip.Duration;
            return asset;
        }

        /// <summary>Return the clip, read once; another one after the asset was imported again.</summary>
        public Sequence Load()
        {
            if (loaded != null && loadedFrom == data) return loaded;
            loaded = SequenceFile.Read(data);
            loadedFrom = data;
            return loaded;
        }
    }
}
