using System;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>A clip that runs, and what scripts say over it.</summary>
    public class PlaybackTests
    {
        private static Avatar Read() => Avatar.Read(Golden.Bytes(Golden.Path("posing/edge-height.glb")));

        [Test]
        public void AClipRunsLoopsAndEnds()
        {
            Avatar avatar = Read();
            var playback = new Playback(avatar.Head) { Clip = avatar.Clip };
            double length = playback.Duration, frame = 1 / avatar.Clip!.Fps;
            Assert.Greater(length, 0);
            playback.Advance(0.1);
            Assert.AreEqual(0, playback.Time);
            playback.IsPlaying = true;
            playback.Advance(0.25 * length);
            Assert.AreEqual(0.25 * length, playback.Time, 1e-9);
            // A loop lasts a frame longer, in which the last one stays.
            playback.Advance(0.75 * length + frame / 2);
            Assert.AreEqual(length + frame / 2, playback.Time, 1e-9);
            playback.Advance(0.25 * length + frame / 2);
            Assert.AreEqual(0.25 * length, playback.Time, 1e-9);
            playback.Speed = -2;
            playback.Advance(0.25 * length);
            Assert.AreEqual(0.75 * length + frame, playback.Time, 1e-9);
            playback.Speed = 1;
            playback.Loop = false;
            playback.Advance(2 * length);
            Assert.AreEqual(length, playback.Time);
            Assert.IsFalse(playback.IsPlaying);
            playback.IsPlaying = true;
            Assert.AreEqual(0, playback.Time, "begins again");
            playback.Speed = -1;
            playback.IsPlaying = false;
            playback.IsPlaying = true;
            Assert.AreEqual(length, playback.Time, "backwards, from the end");
            playback.Seek(double.NaN);
            Assert.AreEqual(0, playback.Time);
            Sequence clip = avatar.Clip!;
            playback.Seek(0.3 * length);
            var expected = new Pose(avatar.Head);
            clip.Sample(0.3 * length * clip.Fps, expected, new SequenceFit(clip, avatar.Head));
            Golden.Near(expected.Expr, playback.Sample().Expr, 1e-12, "expr");
        }

        [Test]
        public void WhatIsSetStandsInPlaceOfTheClips()
        {
            Avatar avatar = Read();
            var playback = new Playback(avatar.Head) { Clip = avatar.Clip };
            string name = avatar.Head.ExpressionNames[1];
            double before = playback.Sample().Expr[1];
            Assert.IsTrue(playback.TakeChange());
            Assert.IsFalse(playback.TakeChange());
            Assert.IsTrue(playback.SetExpression(name, before + 1));
            Assert.IsFalse(playback.SetExpression("no such thing", 1));
            playback.SetField(PoseField.Jaw, new[] { 0.1, 0.2, 0.3 });
            Assert.Throws<ArgumentException>(() => playback.SetField(PoseField.Jaw, new double[2]));
            Assert.IsTrue(playback.TakeChange());
            Assert.AreEqual(before + 1, playback.Sample().Expr[1]);
            Golden.Near(new[] { 0.1, 0.2, 0.3 }, playback.Sample().Jaw, 0, "jaw");
            playback.ClearExpressions();
            playback.ClearField(PoseField.Jaw);
            Assert.AreEqual(before, playback.Sample().Expr[1]);
            Assert.AreNotEqual(0.3, playback.Sample().Jaw[2]);
            playback.Clip = null;
            Assert.AreEqual(0, playback.Duration);
            Assert.AreEqual(0, playback.Sample().Expr[1]);
        }

        [Test]
        public void ArkitWeightsAreAddedAndIdleMotionRunsByItself()
        {
            var head = new Head { Edition = "standin", Expressions = new[] { new SparseRows(null, new float[3]) },
                ExpressionNames = new[] { "a" }, ArkitMap = new float[52 * 15] };
            head.ArkitMap[15 * Array.IndexOf(Arkit.Names, "jawOpen")] = 0.5f;
            var playback = new Playback(head);
            Assert.IsTrue(playback.SetExpression("a", 0.25));
            Assert.IsTrue(playback.SetArkit("jawOpen", 1));
            Assert.IsFalse(playback.SetArkit("jawopen", 1));
            Assert.AreEqual(0.75, playback.Sample().Expr[0], 1e-12);
            playback.ClearArkit();
            Assert.AreEqual(0.25, playback.Sample().Expr[0], 1e-12);
            Assert.AreEqual(0, playback.Sample().Rotation[1]);
            playback.TakeChange();
            playback.Advance(1);
            Assert.IsFalse(playback.TakeChange());
            playback.Idle = new Idle(3);
            playback.Advance(1);
            Assert.IsTrue(playback.TakeChange());
            Assert.AreEqual(1, playback.IdleTime);
            Assert.AreNotEqual(0, playback.Sample().Rotation[1]);
        }

        [Test]
        public void IdleMotionGoesOnWhereItWas()
        {
            var playback = new Playback(Read().Head);
            playback.Adjust(2, false, 3);
            Idle? first = playback.Idle;
            Assert.IsNotNull(first);
            Assert.AreEqual((2.0, false), (playback.Speed, playback.Loop));
            playback.Adjust(1, true, null);
            Assert.IsNull(playback.Idle);
            playback.Adjust(1, true, 3);
            Assert.AreSame(first, playback.Idle);
            playback.Adjust(1, true, 4);
            Assert.AreNotSame(first, playback.Idle);
            double[] angles = { 0.1, 0.2, 0.3 };
            playback.SetOrClearField(PoseField.Rotation, angles);
            Assert.AreEqual(0.2, playback.Sample().Rotation[1], 0.1);
            playback.Adjust(1, true, null);
            playback.SetOrClearField(PoseField.Rotation, new double[0]);
            Assert.AreEqual(0, playback.Sample().Rotation[1]);
        }

        [Test]
        public void AClipOfAnotherHeadIsRefusedAndTheOldOneStays()
        {
            Avatar avatar = Read();
            var playback = new Playback(avatar.Head) { Clip = avatar.Clip };
            var other = new Sequence(2, 25, 1) { Basis = "no-such-basis" };
            avatar.Head.Edition = "standin";
            Assert.Throws<SequenceException>(() => playback.Clip = other);
            Assert.AreSame(avatar.Clip, playback.Clip);
        }
    }
}
