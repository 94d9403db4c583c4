using System;

namespace Flameport
{
    /// <summary>A picture of the reference on white, and how far others are from it in decibels (PSNR).</summary>
    public sealed class SelfTestPicture
    {
        private readonly byte[] expected;
        private readonly double bound;

        internal SelfTestPicture(JsonValue said, byte[] rgb)
        {
            Width = said["width"].Integer("picture.width", 4096);
            Height = said["height"].Integer("picture.height", 4096);
            bound = said["bound"].Number("picture.bound");
            expected = rgb.Length == 3 * Width * Height ? rgb : throw new AvatarFormatException("The self-test's "
                + "picture has another size than it says. Install the package again.");
        }

        public int Width { get; }
        public int Height { get; }

        /// <summary>Compare premultiplied floats, four a pixel, on nothing; rows may come from the top or the bottom.</summary>
        public SelfTestResult Compare(float[] rgba)
        {
            if (rgba.Length != 4 * Width * Height) return Wrong("drawn picture", "Splats", bound);
            double fromTop = Decibels(i => OnWhite(rgba, i), false), fromBottom = Decibels(i => OnWhite(rgba, i), true);
            double best = Math.Max(fromTop, fromBottom);
            return new SelfTestResult("drawn picture, decibels", "Splats", best, bound, best >= bound,
                fromTop >= fromBottom ? "rows from the top" : "rows from the bottom");
        }

        /// <summary>Compare bytes, three a pixel, the lowest row first, as engines give them; what a player shows.</summary>
        public SelfTestResult CompareShown(byte[] rgb, double shownBound)
        {
            if (rgb.Length != expected.Length) return Wrong("what a player shows", "player", shownBound);
            double found = Decibels(i => rgb[i] / 255.0, true);
            double turned = Decibels(i => rgb[i] / 255.0, false);
            return new SelfTestResult("what a player shows, decibels", "player", found, shownBound, found >= shownBound,
                turned > found + 6 ? "it stands on its head" : "");
        }

        private static SelfTestResult Wrong(string name, string kernel, double bound) =>
            new SelfTestResult(name, kernel, 0, bound, false, "it has another size");

        private static double OnWhite(float[] rgba, int i)
        {
            int pixel = i / 3;
            return Math.Min(Math.Max(rgba[4 * pixel + i % 3] + 1 - rgba[4 * pixel + 3], 0), 1);
        }

        private double Decibels(Func<int, double> value, bool fromBottom)
        {
            double sum = 0;
            for (int i = 0; i < expected.Length; i++)
            {
                int row = i / (3 * Width), source = fromBottom ? (Height - 1 - row) * 3 * Width + i % (3 * Width) : i;
                double difference = value(source) - expected[i] / 255.0;
                sum += difference * difference;
            }
            return double.IsNaN(sum) ? 0 : Math.Min(99, -10 * Math.Log10(Math.Max(sum / expected.Length, 1e-12)));
        }
    }

    /// <summary>An avatar, a moment and a camera, in the engine's axes, for a player that should show <see
    /// cref="SelfTestFile.Picture"/>.</summary>
    public sealed class SelfTestPlayer
    {
        private readonly double[][] fields = new double[7][];

        internal SelfTestPlayer(JsonValue said, int height, byte[] avatar)
        {
            Avatar = avatar;
            Bound = said["bound"].Number("player.bound");
            double[] view = said["worldToCamera"].Numbers("player.worldToCamera", 16);
            for (int f = 0; f < 7; f++) fields[f] = said["pose"][Pose.FieldNames[f]].Numbers(Pose.FieldNames[f]);
            FieldOfView = 2 * Math.Atan(height / (2 * said["focal"].Number("player.focal"))) * 180 / Math.PI;
            Forward = new[] { view[8], view[9], view[10] };
            Up = new[] { -view[4], -view[5], -view[6] };
            Position = new double[3];
            for (int c = 0; c < 3; c++)
            {
                // A rotation's inverse is its transpose.
                for (int r = 0; r < 3; r++) Position[c] -= view[4 * r + c] * view[4 * r + 3];
            }
            Handedness.MirrorPoints(Forward);
            Handedness.MirrorPoints(Up);
            Handedness.MirrorPoints(Position);
        }

        /// <summary>Bytes of a `.flameavatar`.</summary>
        public byte[] Avatar { get; }
        /// <summary>Decibels that are good enough.</summary>
        public double Bound { get; }
        /// <summary>The camera, in the engine's axes; metres.</summary>
        public double[] Position { get; }
        public double[] Forward { get; }
        public double[] Up { get; }
        /// <summary>Vertical, degrees.</summary>
        public double FieldOfView { get; }

        /// <summary>Put the moment's pose into one of the avatar's.</summary>
        public void Drive(Pose pose)
        {
            for (int f = 0; f < 7; f++) fields[f].CopyTo(pose.Fields[f], 0);
        }
    }
}
