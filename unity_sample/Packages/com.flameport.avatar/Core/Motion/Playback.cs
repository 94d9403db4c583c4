using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>
    /// A clip that runs, and what a script says over it, as one pose after another; allocates nothing while it runs.
    ///
    /// In this order: the clip, or the neutral face; fields and expressions that were set, in its place; ARKit's weights,
    /// added; idle motion, added.
    /// </summary>
    public sealed class Playback
    {
        private readonly Head head;
        private readonly double[] expressions;
        private readonly double[]?[] fields = new double[]?[Pose.FieldWidths.Length];
        private readonly double[] arkit = new double[Arkit.Names.Length];
        private readonly int[] rows;
        private readonly Dictionary<string, int> columns;
        private Sequence? clip, fitted;
        private SequenceFit? fit;
        private bool changed = true, playing;
        private Idle? kept;
        private int keptSeed;

        public Playback(Head head)
        {
            this.head = head;
            Pose = new Pose(head);
            expressions = new double[head.Expressions.Length];
            columns = head.ExpressionColumns();
            rows = Array.ConvertAll(Arkit.Names, name => Arkit.Row(head, name));
            ClearExpressions();
        }

        /// <summary>What <see cref="Sample"/> made last.</summary>
        public Pose Pose { get; }
        /// <summary>Seconds into the clip.</summary>
        public double Time { get; private set; }
        /// <summary>Seconds that the idle motion has run.</summary>
        public double IdleTime { get; private set; }
        /// <summary>Seconds; 0 without a clip.</summary>
        public double Duration => fitted?.Duration ?? 0;
        /// <summary>Seconds of the clip in a second; backwards when negative.</summary>
        public double Speed { get; set; } = 1;
        public bool Loop { get; set; } = true;
        /// <summary>Whether the clip runs; one that came to its end starts again from the other one.</summary>
        public bool IsPlaying
        {
            get => playing;
            set
            {
                if (value && !playing && !Loop && Speed >= 0 && Time >= Duration) Seek(0);
                if (value && !playing && !Loop && Speed < 0 && Time <= 0) Seek(Duration);
                playing = value;
            }
        }
        /// <summary>Blinks and small motion; null for none.</summary>
        public Idle? Idle { get; set; }

        /// <summary>The clip, of this head or of ARKit's weights. Setting it throws <see cref="SequenceException"/>
        /// where it belongs to another head, and starts from its first frame.</summary>
        public Sequence? Clip
        {
            get => clip;
            set
            {
                Sequence? own = value == null ? null : Arkit.Fitted(value, head);
                fit = own == null ? null : new SequenceFit(own, head);
                clip = value;
                fitted = own;
                Time = 0;
                changed = true;
            }
        }

        /// <summary>Go to a moment of the clip; outside of it, to its nearest end, or round where it loops. A loop lasts one
        /// frame longer, so that the last frame is seen before the first comes again.</summary>
        public void Seek(double seconds)
        {
            double length = Duration, round = fitted == null || !Loop ? 0 : length + 1 / fitted.Fps;
            if (!(seconds >= 0 && seconds <= length) && round > 0) seconds -= Math.Floor(seconds / round) * round;
            Time = double.IsNaN(seconds) ? 0 : Math.Min(Math.Max(seconds, 0), Math.Max(length, round));
            changed = true;
        }

        /// <summary>Let seconds pass.</summary>
        public void Advance(double seconds)
        {
            if (Idle != null) IdleTime += seconds;
            changed |= Idle != null;
            if (!playing || Duration == 0 || Speed == 0) return;
            double next = Time + seconds * Speed;
            Seek(next);
            if (!Loop && (next < 0 || next > Duration)) playing = false;
        }

        /// <summary>Set an expression, in place of what the clip says; false where the head has none of that
        /// name.</summary>
        public bool SetExpression(string name, double value)
        {
            if (!columns.TryGetValue(name, out int column)) return false;
            expressions[column] = value;
            return changed = true;
        }

        /// <summary>Leave all expressions to the clip.</summary>
        public void ClearExpressions()
        {
            for (int i = 0; i < expressions.Length; i++) expressions[i] = double.NaN;
            changed = true;
        }

        /// <summary>Set one of ARKit's weights, 0..1; false where the name is none, or the head does not follow
        /// it.</summary>
        public bool SetArkit(string name, double weight)
        {
            int i = Array.IndexOf(Arkit.Names, name);
            if (i < 0 || rows[i] < 0) return false;
            arkit[i] = weight;
            return changed = true;
        }

        /// <summary>Put all of ARKit's weights to 0.</summary>
        public void ClearArkit()
        {
            Array.Clear(arkit, 0, arkit.Length);
            changed = true;
        }

        /// <summary>Set a field of the pose, in place of what the clip says: radians (axis-angle), metres, or weights.
        /// Throws <see cref="ArgumentException"/> where there are too many numbers or too few.</summary>
        public void SetField(PoseField field, ReadOnlySpan<double> values)
        {
            int width = Pose.Fields[(int)field].Length;
            if (values.Length != width) throw new ArgumentException($"'{Pose.FieldNames[(int)field]}' has {width} "
                + $"numbers; got {values.Length}.");
            values.CopyTo(fields[(int)field] ??= new double[width]);
            changed = true;
        }

        /// <summary>The same, and no numbers leave it to the clip.</summary>
        public void SetOrClearField(PoseField field, double[] values)
        {
            if (values.Length == 0) ClearField(field);
            else SetField(field, values);
        }

        /// <summary>Set how it runs, and the seed of its idle motion, null for none; the same seed goes on where it
        /// was.</summary>
        public void Adjust(double speed, bool loop, int? idleSeed)
        {
            (Speed, Loop) = (speed, loop);
            if (idleSeed != null && (kept == null || keptSeed != idleSeed)) kept = new Idle(keptSeed = idleSeed.Value);
            Idle = idleSeed == null ? null : kept;
        }

        /// <summary>Leave a field to the clip.</summary>
        public void ClearField(PoseField field)
        {
            fields[(int)field] = null;
            changed = true;
        }

        /// <summary>Tell whether the pose is another than at the last call.</summary>
        public bool TakeChange()
        {
            bool was = changed;
            changed = false;
            return was;
        }

        /// <summary>Return the pose of this moment; the same object every time.</summary>
        public Pose Sample()
        {
            if (fitted == null) Pose.Reset();
            else fitted.Sample(Time * fitted.Fps, Pose, fit!);
            for (int f = 0; f < fields.Length; f++) fields[f]?.CopyTo(Pose.Fields[f], 0);
            for (int i = 0; i < expressions.Length; i++)
            {
                if (!double.IsNaN(expressions[i])) Pose.Expr[i] = expressions[i];
            }
            for (int i = 0; i < arkit.Length; i++)
            {
                if (arkit[i] != 0) Arkit.Add(Pose, rows[i], arkit[i]);
            }
            Idle?.Drive(Pose, IdleTime);
            return Pose;
        }
    }
}
