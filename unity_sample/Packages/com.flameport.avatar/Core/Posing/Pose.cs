using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Fields of a pose, in the order in which files name them.</summary>
    public enum PoseField { Expr, Rotation, Neck, Jaw, Eyes, Eyelids, Translation }

    /// <summary>What drives a head at one moment, in the head's own order. Rotations are axis-angle radians;
    /// metres.</summary>
    public sealed class Pose
    {
        public static readonly string[] FieldNames = { "expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation" };
        /// <summary>Numbers of each field; those of the expressions depend on the head.</summary>
        public static readonly int[] FieldWidths = { 0, 3, 3, 3, 6, 2, 3 };

        private readonly double[] sixD = new double[12];
        private readonly Dictionary<string, double[]> kept = new Dictionary<string, double[]>();

        public Pose(Head head)
        {
            Head = head;
            Fields = new double[7][];
            for (int f = 0; f < 7; f++) Fields[f] = new double[f == 0 ? head.Expressions.Length : FieldWidths[f]];
            JointTurns = new double[3 * head.JointCount];
            JointIsTurned = new bool[head.JointCount];
        }

        public Head Head { get; }
        public double[][] Fields { get; }
        public double[] Expr => Fields[0];
        public double[] Rotation => Fields[1];
        public double[] Neck => Fields[2];
        public double[] Jaw => Fields[3];
        /// <summary>Left, then right.</summary>
        public double[] Eyes => Fields[4];
        /// <summary>Left, right; 0 open, 1 closed.</summary>
        public double[] Eyelids => Fields[5];
        public double[] Translation => Fields[6];
        /// <summary>J * 3: rotations of joints, over what a role says, where <see cref="JointIsTurned"/>.</summary>
        public double[] JointTurns { get; }
        public bool[] JointIsTurned { get; }
        /// <summary>Further numbers that dynamics read, by name.</summary>
        public Dictionary<string, double[]> Drivers { get; } = new Dictionary<string, double[]>();

        /// <summary>Make it neutral. Drivers keep their arrays, and are absent until they are given again.</summary>
        public void Reset()
        {
            foreach (double[] field in Fields) Array.Clear(field, 0, field.Length);
            Array.Clear(JointTurns, 0, JointTurns.Length);
            Array.Clear(JointIsTurned, 0, JointIsTurned.Length);
            Drivers.Clear();
        }

        /// <summary>Return the array of a driver of this name, to be filled; the same one every time.</summary>
        public double[] Driver(string name, int width)
        {
            if (!kept.TryGetValue(name, out double[] values) || values.Length != width) kept[name] = values =
                new double[width];
            Drivers[name] = values;
            return values;
        }

        /// <summary>Return a driver's numbers by name; they are there until the next call. False where the pose has
        /// none.</summary>
        public bool TryDriver(string name, out ReadOnlySpan<double> values)
        {
            values = default;
            if (Drivers.TryGetValue(name, out double[] given))
            {
                values = given;
                return true;
            }
            int field = Array.IndexOf(FieldNames, name);
            if (field >= 0)
            {
                values = Fields[field];
                return true;
            }
            if (name == "jaw_6d") return FirstRows(Own("jaw", Jaw), out values);
            if (name == "eyes_6d") return FirstRows(Own("eyes", Eyes), out values);
            if (name != "absolute_pose") return false;
            Own("rotation", Rotation).CopyTo(sixD, 0);
            Own("translation", Translation).CopyTo(sixD, 3);
            values = sixD.AsSpan(0, 6);
            return true;
        }

        private double[] Own(string name, double[] field) =>
            Drivers.TryGetValue(name, out double[] given) && given.Length == field.Length ? given : field;

        /// <summary>The first two rows of the rotation matrix of each vector (`formats.avatar.DERIVED_DRIVERS`).</summary>
        private bool FirstRows(double[] turns, out ReadOnlySpan<double> values)
        {
            Span<double> matrix = stackalloc double[9];
            for (int i = 0; i < turns.Length; i += 3)
            {
                Rotations.AxisAngleToMatrix(turns.AsSpan(i, 3), matrix);
                matrix.Slice(0, 6).CopyTo(sixD.AsSpan(2 * i, 6));
            }
            values = sixD.AsSpan(0, 2 * turns.Length);
            return true;
        }
    }
}
