using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>
    /// What a face does when nothing is asked of it: blinks, small motion of the head, eyes that never rest. Everything
    /// depends on the
    /// seconds alone, so seeking, skipping and other frame rates change nothing; the same seed does the same as in the
    /// web player.
    /// </summary>
    public sealed class Idle
    {
        private const double Degree = Math.PI / 180;
        /// <summary>Seconds that are made from random numbers of their own, so that any moment is found at once.</summary>
        private const int Block = 60;
        /// <summary>Seconds between two blinks at least.</summary>
        private const double Apart = 0.6;
        /// <summary>Logarithms of the times between blinks spread by this much: short ones are common, long ones
        /// happen.</summary>
        private const double Spread = 0.5;
        /// <summary>Seconds in which lids close, stay shut and open again (VanderWerff et al. 2003, J Neurophysiol
        /// 89).</summary>
        private const double Closing = 0.08, Shut = 0.03, Opening = 0.18;
        /// <summary>Seconds that eyes stay at least and at most, and that they take to go on.</summary>
        private const double ShortStay = 0.35, LongStay = 2.2, Jump = 0.045;
        /// <summary>Hertz of the waves that move the head, and degrees of nodding, turning and tilting.</summary>
        private static readonly double[] Waves = { 0.11, 0.23, 0.41, 0.67 };
        private static readonly double[] Sway = { 0.7, 1.1, 0.5 };

        private readonly int seed;
        private readonly double[] phases = new double[3 * 4];
        private readonly Dictionary<int, List<(double at, double depth)>> blinks = new Dictionary<int,
            List<(double, double)>>();
        private readonly Dictionary<int, List<(double at, double yaw, double pitch)>> stays = new Dictionary<int,
            List<(double, double, double)>>();

        public Idle(int seed = 1)
        {
            this.seed = seed;
            var random = new SplitMix(seed, 0);
            for (int i = 0; i < phases.Length; i++) phases[i] = 2 * Math.PI * random.Next();
        }

        /// <summary>Blinks a minute, 0 for none. People at rest: 17 in the median (Bentivoglio et al. 1997, Mov Disord
        /// 12).</summary>
        public double BlinksPerMinute { get; set; } = 17;
        /// <summary>How far the head moves; 1 is about a degree.</summary>
        public double HeadAmount { get; set; } = 1;
        /// <summary>How far the eyes wander; 1 is about two degrees.</summary>
        public double GazeAmount { get; set; } = 1;

        /// <summary>Add what the face does at <paramref name="seconds"/> to a pose.</summary>
        public void Drive(Pose pose, double seconds)
        {
            if (HeadAmount > 0)
            {
                Span<double> turn = stackalloc double[3];
                SwayAt(seconds, turn);
                for (int c = 0; c < 3; c++) turn[c] *= HeadAmount;
                FaceActions.TurnFurther(pose.Head.Joint(JointRole.Neck) < 0 ? pose.Rotation : pose.Neck, turn);
            }
            if (GazeAmount > 0)
            {
                (double yaw, double pitch) = LookingAt(seconds);
                FaceActions.TurnEyes(pose, yaw * GazeAmount, pitch * GazeAmount);
            }
            if (BlinksPerMinute > 0) FaceActions.CloseLids(pose, ClosedAt(seconds));
        }

        /// <summary>Write radians of nodding, turning and tilting.</summary>
        public void SwayAt(double seconds, Span<double> turn)
        {
            for (int axis = 0; axis < 3; axis++)
            {
                double sum = 0;
                for (int k = 0; k < Waves.Length; k++)
                {
                    // Slow waves are larger; no two axes have the same rate.
                    double rate = Waves[k] * (1 + 0.13 * axis);
                    sum += Math.Sin(2 * Math.PI * rate * seconds + phases[3 * k + axis]) / (k + 1);
                }
                turn[axis] = Sway[axis] * Degree * sum;
            }
        }

        /// <summary>How far the lids are closed, 0..1.</summary>
        public double ClosedAt(double seconds)
        {
            double most = 0;
            int block = (int)Math.Floor(seconds / Block);
            for (int b = block - 1; b <= block; b++)
            {
                foreach ((double at, double depth) in Blinks(b))
                {
                    double gone = seconds - at;
                    if (gone <= 0 || gone >= Closing + Shut + Opening) continue;
                    double open = gone < Closing ? 1 - gone / Closing : Math.Max(0, (gone - Closing - Shut) / Opening);
                    most = Math.Max(most, depth * (1 - Smooth(open)));
                }
            }
            return most;
        }

        /// <summary>Where the eyes look: radians to their left, and down.</summary>
        public (double yaw, double pitch) LookingAt(double seconds)
        {
            int block = (int)Math.Floor(seconds / Block);
            List<(double at, double yaw, double pitch)> list = Stays(block);
            int i = list.Count - 1;
            while (i > 0 && list[i].at > seconds) i--;
            (double at, double yaw, double pitch) now = list[i];
            (double at, double yaw, double pitch) before;
            if (i > 0)
            {
                before = list[i - 1];
            }
            else
            {
                List<(double at, double yaw, double pitch)> earlier = Stays(block - 1);
                before = earlier[earlier.Count - 1];
            }
            double f = Smooth(Math.Min(1, (seconds - now.at) / Jump));
            return (before.yaw + (now.yaw - before.yaw) * f, before.pitch + (now.pitch - before.pitch) * f);
        }

        private List<(double at, double depth)> Blinks(int block)
        {
            if (blinks.TryGetValue(block, out List<(double, double)> made)) return made;
            if (blinks.Count > 3) blinks.Clear();
            var random = new SplitMix(seed, 1, block);
            double mean = 60 / BlinksPerMinute;
            // The mean of a log-normal time is its median times exp(spread^2 / 2).
            double median = Math.Max(mean - Apart, 0.1) / Math.Exp(Spread * Spread / 2);
            made = new List<(double, double)>();
            double at = block * (double)Block + mean * random.Next();
            while (at < (block + 1) * (double)Block - Apart)
            {
                made.Add((at, 0.85 + 0.15 * random.Next()));
                at += Apart + median * Math.Exp(Spread * random.NextNormal());
            }
            return blinks[block] = made;
        }

        private List<(double at, double yaw, double pitch)> Stays(int block)
        {
            if (stays.TryGetValue(block, out List<(double, double, double)> made)) return made;
            if (stays.Count > 3) stays.Clear();
            var random = new SplitMix(seed, 2, block);
            made = new List<(double, double, double)>();
            double at = block * (double)Block;
            while (at < (block + 1) * (double)Block)
            {
                // Mostly back at what is looked at, sometimes away from it.
                double far = random.Next() < 0.2 ? 3 : 0.8;
                double yaw = far * Degree * random.NextNormal();
                made.Add((at, yaw, 0.6 * far * Degree * random.NextNormal()));
                at += ShortStay + (LongStay - ShortStay) * random.Next();
            }
            return stays[block] = made;
        }

        private static double Smooth(double t) => t * t * (3 - 2 * t);
    }
}
