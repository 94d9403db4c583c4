using System;

namespace Flameport
{
    /// <summary>Lids and eyes of any head: through its joints and lids where it has them, else through ARKit's
    /// shapes.</summary>
    public static class FaceActions
    {
        private static readonly string[] Sides = { "Left", "Right" };
        private static readonly string[] Ways = { "Out", "In", "Down", "Up" };
        /// <summary>Radians that ARKit's eyeLook shapes stand for at weight 1, as on the stand-in head: sideways, up
        /// and down.</summary>
        private const double LookSide = 0.5, LookUpDown = 0.38;

        private static readonly string[] Blinks = { "eyeBlinkLeft", "eyeBlinkRight" };
        private static readonly string[] Looks = Array.ConvertAll(new int[8], _ => "");

        static FaceActions()
        {
            for (int s = 0; s < 2; s++)
            {
                for (int w = 0; w < 4; w++) Looks[4 * s + w] = "eyeLook" + Ways[w] + Sides[s];
            }
        }

        /// <summary>Close the lids further: 0 leaves them as they are, 1 shuts them.</summary>
        public static void CloseLids(Pose pose, double amount)
        {
            if (amount <= 0) return;
            for (int s = 0; s < 2; s++)
            {
                if (pose.Head.Eyelids.Length > 0)
                {
                    pose.Eyelids[s] += (1 - pose.Eyelids[s]) * amount;
                    continue;
                }
                int shape = Array.IndexOf(pose.Head.ExpressionNames, Blinks[s]);
                int row = shape >= 0 ? -1 : Arkit.Row(pose.Head, Blinks[s]);
                if (shape >= 0) pose.Expr[shape] += (1 - Math.Min(pose.Expr[shape], 1)) * amount;
                else if (row >= 0) Arkit.Add(pose, row, amount);
            }
        }

        /// <summary>Turn both eyes further, by radians to their left and down, about an axis square to straight ahead
        /// (Listing's law).</summary>
        public static void TurnEyes(Pose pose, double yaw, double pitch)
        {
            Head head = pose.Head;
            if (head.Joint(JointRole.LeftEye) >= 0 && head.Joint(JointRole.RightEye) >= 0)
            {
                for (int at = 0; at < 6; at += 3)
                {
                    pose.Eyes[at] += pitch;
                    pose.Eyes[at + 1] += yaw;
                }
                return;
            }
            for (int s = 0; s < 2; s++)
            {
                // To the left is outwards for the left eye.
                double away = (s == 0 ? yaw : -yaw) / LookSide, down = pitch / LookUpDown;
                Look(pose, Looks[4 * s], away);
                Look(pose, Looks[4 * s + 1], -away);
                Look(pose, Looks[4 * s + 2], down);
                Look(pose, Looks[4 * s + 3], -down);
            }
        }

        private static void Look(Pose pose, string name, double weight)
        {
            int at = Array.IndexOf(pose.Head.ExpressionNames, name);
            if (at >= 0)
            {
                pose.Expr[at] = Math.Max(0, Math.Min(1, pose.Expr[at] + weight));
                return;
            }
            int row = weight > 0 ? Arkit.Row(pose.Head, name) : -1;
            if (row >= 0) Arkit.Add(pose, row, Math.Min(weight, 1));
        }

        /// <summary>Turn an axis-angle vector further by another one, in the parent's axes.</summary>
        public static void TurnFurther(Span<double> r, ReadOnlySpan<double> by)
        {
            Span<double> first = stackalloc double[4];
            Span<double> then = stackalloc double[4];
            Rotations.AxisAngleToQuat(r[0], r[1], r[2], first);
            Rotations.AxisAngleToQuat(by[0], by[1], by[2], then);
            Rotations.Multiply(then, first, first);
            Rotations.QuatToAxisAngle(first, r);
        }
    }
}
