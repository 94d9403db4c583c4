using UnityEngine;

namespace Flameport
{
    /// <summary>A clip in a project: the bytes of a sequence, JSON or binary, or of ARKit's weights as JSON.</summary>
    public sealed class SequenceAsset : ScriptableObject
    {
        [SerializeField, HideInInspector] private byte[] data = new byte[0];
        private readonly Parsed<Sequence> parsed = new Parsed<Sequence>(SequenceFile.Read);

        /// <summary>Return an asset of a file's bytes; throws <see cref="AvatarException"/> where they are no
        /// clip.</summary>
        public static SequenceAsset Create(byte[] data)
        {
            SequenceAsset asset = CreateInstance<SequenceAsset>();
            asset.data = data;
            asset.Load();
            return asset;
        }

        /// <summary>Return the clip, read once; another one after the asset was imported again. Throws <see
        /// cref="AvatarException"/>.</summary>
        public Sequence Load() => parsed.Of(data);
    }
}
