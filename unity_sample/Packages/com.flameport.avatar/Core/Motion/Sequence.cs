using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Numbers of every frame, frame after frame.</summary>
    public sealed class SequenceColumn
    {
        public SequenceColumn(int width, double[] values)
        {
            Width = width;
            Values = values;
        }

        public int Width { get; }
        public double[] Values { get; }

        internal bool IsFinite()
        {
            foreach (double value in Values)
            {
                if (double.IsNaN(value) || double.IsInfinity(value)) return false;
            }
            return true;
        }
    }

    /// <summary>What drives a head over time, sampled as `formats.sequence` says. Frames at a steady rate.</summary>
    public sealed class Sequence
    {
        public const int MostFrames = 1 << 21;
        /// <summary>Numbers that a clip may hold; some hours of talking.</summary>
        private const long MostNumbers = 1 << 27;

        public Sequence(int frames, double fps, int expressions)
        {
            if (frames < 1 || frames > MostFrames) throw new SequenceException($"The clip has {frames} frames; "
                + $"expected 1 to {MostFrames}.");
            if (!(fps > 0 && fps <= 1000)) throw new SequenceException($"The clip's fps is {fps}; expected a rate "
                + $"up to 1000.");
            Frames = frames;
            Fps = fps;
            Fields = new SequenceColumn[7];
            for (int f = 0; f < 7; f++) Fields[f] = Column(f == 0 ? expressions : Pose.FieldWidths[f]);
        }

        public string Basis = "";
        public string Edition = "";
        /// <summary>Which expressions the columns are; none: the head's first ones.</summary>
        public string[] ExpressionNames = new string[0];
        public int Frames { get; }
        public double Fps { get; }
        /// <summary>By <see cref="PoseField"/>.</summary>
        public SequenceColumn[] Fields { get; }
        public Dictionary<string, SequenceColumn> Joints { get; } = new Dictionary<string, SequenceColumn>();
        public Dictionary<string, SequenceColumn> Drivers { get; } = new Dictionary<string, SequenceColumn>();
        /// <summary>Named parts: first frame, and one past the last.</summary>
        public Dictionary<string, (int first, int end)> Ranges { get; } = new Dictionary<string, (int first, int end)>();
        public int Expressions => Fields[0].Width;
        /// <summary>Seconds from the first frame to the last.</summary>
        public double Duration => (Frames - 1) / Fps;

        /// <summary>Return a column of zeros; throws where it would be too large.</summary>
        internal SequenceColumn Column(int width)
        {
            if (width < 0 || (long)width * Frames > MostNumbers) throw new SequenceException("The clip is too "
                + "large for this player.");
            return new SequenceColumn(width, new double[width * Frames]);
        }

        internal void ReadRanges(JsonValue ranges)
        {
            foreach (var entry in ranges.Members)
            {
                double[] span = entry.Value.Numbers($"range '{entry.Key}'", 2);
                if (!(span[0] >= 0 && span[0] < span[1] && span[1] <= Frames && span[0] == Math.Floor(span[0])
                    && span[1] == Math.Floor(span[1])))
                {
                    throw new SequenceException($"The clip's range '{entry.Key}', {span[0]} to {span[1]}, is not "
                        + $"inside its {Frames} frames.");
                }
                Ranges[entry.Key] = ((int)span[0], (int)span[1]);
            }
        }

        /// <summary>
        /// Put the fractional frame <paramref name="t"/>, held at both ends, into the pose; the fit is this clip's for
        /// the pose's head. Coefficients
        /// and translation are mixed linearly, rotations along the shorter arc.
        /// </summary>
        public void Sample(double t, Pose pose, SequenceFit fit)
        {
            double at = Math.Min(Math.Max(t, 0), Frames - 1);
            int first = (int)Math.Floor(at), second = Math.Min(first + 1, Frames - 1);
            double f = at - first;
            pose.Reset();
            for (int field = 1; field < 7; field++)
            {
                bool turns = field <= (int)PoseField.Eyes;
                if (turns) Turn(Fields[field], first, second, f, pose.Fields[field]);
                else Mix(Fields[field], first, second, f, pose.Fields[field]);
            }
            double[] expr = Fields[0].Values;
            for (int i = 0; i < fit.Columns.Length; i++)
            {
                pose.Expr[fit.Columns[i]] = expr[first * Expressions + i] * (1 - f) + expr[second * Expressions + i] * f;
            }
            for (int i = 0; i < fit.Joints.Length; i++)
            {
                Turn(fit.JointColumns[i], first, second, f, pose.JointTurns.AsSpan(3 * fit.Joints[i], 3));
                pose.JointIsTurned[fit.Joints[i]] = true;
            }
            foreach (KeyValuePair<string, SequenceColumn> driver in Drivers)
            {
                Mix(driver.Value, first, second, f, pose.Driver(driver.Key, driver.Value.Width));
            }
        }

        private static void Mix(SequenceColumn column, int first, int second, double f, Span<double> mixed)
        {
            double[] v = column.Values;
            int width = column.Width;
            for (int c = 0; c < width; c++) mixed[c] = v[first * width + c] * (1 - f) + v[second * width + c] * f;
        }

        private static void Turn(SequenceColumn column, int first, int second, double f, Span<double> turned)
        {
            int width = column.Width;
            Span<double> a = column.Values.AsSpan(first * width, width), b = column.Values.AsSpan(second * width, width);
            if (f == 0)
            {
                a.CopyTo(turned);
                return;
            }
            for (int c = 0; c < width; c += 3) Rotations.SlerpAxisAngle(a.Slice(c, 3), b.Slice(c, 3), f, turned.Slice(c, 3));
        }
    }

    /// <summary>Where a clip's columns are in a head, found once.</summary>
    public sealed class SequenceFit
    {
        /// <summary>Find them; throws <see cref="SequenceException"/> where clip and head do not belong together.</summary>
        public SequenceFit(Sequence clip, Head head)
        {
            if (clip.Basis.Length > 0 && head.Edition.Length > 0 && clip.Basis != head.Edition)
            {
                throw new SequenceException($"The clip is in '{clip.Basis}' coefficients, the avatar's head is "
                    + $"'{head.Edition}'. Convert it with "
                    + "'flameport sequence SRC --for AVATAR'.");
            }
            if (clip.Edition.Length > 0 && head.ContentHash.Length > 0 && clip.Edition != head.ContentHash)
            {
                throw new SequenceException("The clip was made with another head than the avatar's: same edition, "
                    + "different tables.");
            }
            Joints = new int[clip.Joints.Count];
            JointColumns = new SequenceColumn[Joints.Length];
            int k = 0;
            foreach (KeyValuePair<string, SequenceColumn> joint in clip.Joints)
            {
                Joints[k] = Array.IndexOf(head.JointNames, joint.Key);
                JointColumns[k] = joint.Value;
                if (Joints[k++] < 0) throw new SequenceException($"The clip turns joint '{joint.Key}', which the "
                    + $"avatar lacks.");
            }
            Columns = new int[clip.Expressions];
            bool named = clip.ExpressionNames.Length > 0;
            if (named && clip.ExpressionNames.Length != Columns.Length)
            {
                throw new SequenceException($"The clip names {clip.ExpressionNames.Length} expressions and has "
                    + $"{Columns.Length}.");
            }
            Dictionary<string, int> columns = head.ExpressionColumns();
            for (int i = 0; i < Columns.Length; i++)
            {
                Columns[i] = i;
                if (named && !columns.TryGetValue(clip.ExpressionNames[i], out Columns[i]))
                {
                    throw new SequenceException($"The clip drives '{clip.ExpressionNames[i]}', which the avatar's "
                        + $"head does not have.");
                }
            }
            if (!named && Columns.Length > head.Expressions.Length)
            {
                throw new SequenceException($"The clip has {Columns.Length} expressions, the head "
                    + $"{head.Expressions.Length}.");
            }
        }

        /// <summary>Which of the head's expressions each of the clip's is.</summary>
        public int[] Columns { get; }
        /// <summary>Joints that the clip turns by name, and by how much.</summary>
        public int[] Joints { get; }
        public SequenceColumn[] JointColumns { get; }
    }
}
