using System;

namespace Flameport
{
    /// <summary>Where an avatar comes from, and its terms. For people.</summary>
    public sealed class AvatarMeta
    {
        public string Name = "avatar";
        public string System = "";
        public string Source = "";
        public string Paper = "";
        public string Tool = "";
        public string[] LicenseNotices = new string[0];
    }

    /// <summary>A head and what rides it, in flameport's axes: right-handed, +Y up, face towards +Z. See <see
    /// cref="Handedness"/>.</summary>
    public sealed class Avatar
    {
        public string Grade = "";
        public AvatarMeta Meta = new AvatarMeta();
        public Head Head = new Head();
        /// <summary>In drawing order.</summary>
        public Layer[] Layers = new Layer[0];
        /// <summary>The clip that came with it; null without.</summary>
        public Sequence? Clip;
        /// <summary>The tables as the file has them, ready for the graphics card; null of grades that are GLBs.</summary>
        public TexelTables? Texels;

        /// <summary>Return the avatar in the bytes of a `.flameavatar`; throws <see
        /// cref="AvatarFormatException"/>.</summary>
        public static Avatar Read(byte[] data)
        {
            try
            {
                if (Glb.IsGlb(data)) return GlbAvatar.Read(data);
                if (SmallFile.IsSmall(data)) return SmallAvatar.Read(data);
            }
            catch (Exception error) when (error is OverflowException || error is IndexOutOfRangeException
                || error is ArgumentException)
            {
                // Lengths that fit their own table, and not another's.
                throw new AvatarFormatException("The avatar's tables do not fit each other. Export it again. ("
                    + error.Message + ")");
            }
            throw new AvatarFormatException("This is no avatar for Unity. Make one with 'flameport export X.avatar unity'.");
        }
    }
}
