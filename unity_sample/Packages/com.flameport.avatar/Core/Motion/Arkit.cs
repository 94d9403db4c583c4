using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>ARKit's face weights on any head.</summary>
    public static class Arkit
    {
        /// <summary>ARKit's names, sorted as `formats.conventions.ARKIT_52`; files order them differently, so map by
        /// name.</summary>
        public static readonly string[] Names = (
            "browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft "
                + "cheekSquintRight "
            + "eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight eyeLookOutLeft "
            + "eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight "
                + "jawForward "
            + "jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight "
                + "mouthFunnel "
            + "mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight "
            + "mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight "
                + "mouthStretchLeft "
            + "mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight tongueOut").Split(' ');

        private static readonly PoseField[] Mapped = { PoseField.Expr, PoseField.Jaw, PoseField.Neck, PoseField.Eyes,
            PoseField.Eyelids };

        /// <summary>Return which of the head's shapes an ARKit name is: an expression of its own, or a row of its map;
        /// -1 for neither.</summary>
        public static int Row(Head head, string name)
        {
            if (head.Edition.StartsWith("arkit", StringComparison.Ordinal)) return Array.IndexOf(head.ExpressionNames, name);
            return head.ArkitMap == null ? -1 : Array.IndexOf(Names, name);
        }

        /// <summary>Add <paramref name="weight"/> of the shape that <see cref="Row"/> named to a pose.</summary>
        public static void Add(Pose pose, int row, double weight)
        {
            if (pose.Head.Edition.StartsWith("arkit", StringComparison.Ordinal))
            {
                pose.Expr[row] += weight;
                return;
            }
            float[] map = pose.Head.ArkitMap!;
            int at = row * (pose.Expr.Length + 14);
            foreach (PoseField field in Mapped)
            {
                double[] values = pose.Fields[(int)field];
                for (int c = 0; c < values.Length; c++) values[c] += weight * map[at + c];
                at += values.Length;
            }
        }

        /// <summary>Return a clip of ARKit's weights in the head's coefficients; any other clip as it is.</summary>
        public static Sequence Fitted(Sequence clip, Head head)
        {
            if (!clip.Basis.StartsWith("arkit", StringComparison.Ordinal) || clip.Basis == head.Edition) return clip;
            bool byName = head.Edition.StartsWith("arkit", StringComparison.Ordinal);
            if (!byName && head.ArkitMap == null) throw new SequenceException("This avatar's head has no map from "
                + "ARKit's weights.");
            if (clip.ExpressionNames.Length == 0 && clip.Expressions > Names.Length)
            {
                throw new SequenceException($"The clip has {clip.Expressions} ARKit weights and no names; ARKit has "
                    + $"{Names.Length}.");
            }
            var rows = new int[clip.Expressions];
            for (int k = 0; k < rows.Length; k++) rows[k] = Row(head, clip.ExpressionNames.Length > 0
                ? clip.ExpressionNames[k] : Names[k]);
            var found = new Sequence(clip.Frames, clip.Fps, head.Expressions.Length) { Basis = head.Edition };
            for (int f = 1; f < 7; f++) clip.Fields[f].Values.CopyTo(found.Fields[f].Values, 0);
            foreach (KeyValuePair<string, SequenceColumn> driver in clip.Drivers) found.Drivers[driver.Key] = driver.Value;
            foreach (KeyValuePair<string, SequenceColumn> joint in clip.Joints)
            {
                if (Array.IndexOf(head.JointNames, joint.Key) >= 0) found.Joints[joint.Key] = joint.Value;
            }
            foreach (KeyValuePair<string, (int, int)> range in clip.Ranges) found.Ranges[range.Key] = range.Value;
            var pose = new Pose(head);
            for (int i = 0; i < clip.Frames; i++)
            {
                pose.Reset();
                for (int k = 0; k < rows.Length; k++)
                {
                    if (rows[k] >= 0) Add(pose, rows[k], clip.Fields[0].Values[i * rows.Length + k]);
                }
                for (int f = 0; f < 7; f++)
                {
                    double[] values = pose.Fields[f];
                    for (int c = 0; c < values.Length; c++) found.Fields[f].Values[i * values.Length + c] += values[c];
                }
            }
            return found;
        }
    }
}
