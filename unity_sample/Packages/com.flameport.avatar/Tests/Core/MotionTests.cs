using System;
using System.Text;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>Clips, ARKit's weights, and idle motion: the same numbers as the web player's.</summary>
    public class MotionTests
    {
        [Test]
        public void ABinaryClipIsTheSameAsItsJson()
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Path("posing/linear-posed.glb")));
            Sequence text = SequenceFile.Read(Golden.Bytes(Golden.Path("posing/linear-posed.clip.json")));
            Sequence bytes = SequenceFile.Read(Golden.Bytes(Golden.Made("linear-posed.fpsq")));
            var first = new Pose(avatar.Head);
            var second = new Pose(avatar.Head);
            for (double t = -0.5; t < 6; t += 0.3)
            {
                text.Sample(t, first, new SequenceFit(text, avatar.Head));
                bytes.Sample(t, second, new SequenceFit(bytes, avatar.Head));
                for (int f = 0; f < 7; f++) Golden.Near(first.Fields[f], second.Fields[f], 1e-7, Pose.FieldNames[f]);
                foreach (string name in first.Drivers.Keys) Golden.Near(first.Drivers[name], second.Drivers[name],
                    1e-7, name);
            }
        }

        [Test]
        public void AClipOfAnotherHeadIsRefused()
        {
            Sequence clip = Clip("{\"format\": \"flameport.sequence/1\", \"basis\": \"flame2020\", \"fps\": 25, "
                + "\"frames\": [{\"expr\": [1]}]}");
            var error = Assert.Throws<SequenceException>(() => new SequenceFit(clip, new Head { Edition = "standin" }));
            StringAssert.Contains("flame2020", error!.Message);
        }

        [TestCase("{\"format\": \"flameport.sequence/2\", \"fps\": 25, \"frames\": [{}]}")]
        [TestCase("{\"format\": \"flameport.sequence/1\", \"fps\": 0, \"frames\": [{}]}")]
        [TestCase("{\"format\": \"flameport.sequence/1\", \"fps\": 25, \"frames\": []}")]
        [TestCase("{\"format\": \"flameport.sequence/1\", \"fps\": 25, \"frames\": [{\"jaw\": [1, 2]}]}")]
        [TestCase("{\"format\": \"flameport.sequence/1\", \"fps\": 25, \"frame_count\": 3, \"frames\": [{}]}")]
        [TestCase("{\"format\": \"flameport.sequence/1\", \"fps\": 25, \"frames\": [{}], \"ranges\": {\"a\": [0, 2]}}")]
        [TestCase("{\"format\": \"flameport.sequence/1\", \"fps\": 25, \"drivers\": {\"a\": 1000000000}, \"frames\": [{}]}")]
        [TestCase("{\"names\": [\"jawOpen\"], \"frames\": [{\"weights\": [1, 2]}]}")]
        [TestCase("{\"frames\": 3}")]
        [TestCase("not JSON")]
        public void ADamagedClipIsRefused(string json)
        {
            Assert.Throws<SequenceException>(() => Clip(json));
        }

        private static Sequence Clip(string json) => SequenceFile.Read(Encoding.UTF8.GetBytes(json));

        [Test]
        public void ArkitWeightsGoThroughTheHeadsMap()
        {
            Assert.AreEqual(52, Arkit.Names.Length);
            for (int i = 1; i < 52; i++) Assert.Less(string.CompareOrdinal(Arkit.Names[i - 1], Arkit.Names[i]), 0);
            var head = new Head { Edition = "standin", Expressions = new[] { new SparseRows(null, new float[3]) },
                ArkitMap = new float[52 * 15] };
            int jaw = Array.IndexOf(Arkit.Names, "jawOpen");
            head.ArkitMap[jaw * 15] = 2;       // the expression
            head.ArkitMap[jaw * 15 + 1] = 0.4f; // the jaw's first number
            head.ArkitMap[jaw * 15 + 14] = 1;  // the right lid
            Sequence clip = Clip("{\"names\": [\"tongueOut\", \"jawOpen\"], \"frames\": [{\"weights\": [1, 0.5]}, [0, 1]]}");
            Sequence fitted = Arkit.Fitted(clip, head);
            Assert.AreEqual("standin", fitted.Basis);
            Golden.Near(new double[] { 1, 2 }, fitted.Fields[0].Values, 1e-7, "expr");
            Golden.Near(new[] { 0.2, 0, 0, 0.4, 0, 0 }, fitted.Fields[(int)PoseField.Jaw].Values, 1e-7, "jaw");
            Golden.Near(new[] { 0, 0.5, 0, 1 }, fitted.Fields[(int)PoseField.Eyelids].Values, 1e-7, "eyelids");
        }

        [Test]
        public void RandomNumbersAreTheWebPlayers()
        {
            var random = new SplitMix(7, 2, -3);
            double[] found = { random.Next(), random.Next(), random.Next(), random.NextNormal() };
            Golden.Near(new[] { 0.20756232202984393, 0.07235477888025343, 0.5973842970561236, -0.02518739501063965 },
                found, 1e-14, "numbers");
        }

        [TestCase(0.25, 0.017702291559625206, 0.00360760561659077, -0.009849086775012323, 0, -0.0011339674433086676, 0.0025619605110648322)]
        [TestCase(61.7, 0.0170212176623077, -0.0047455732479988015, 0.00522665436692202, 0, 0.02135336241440612, -0.011703836343819093)]
        [TestCase(119.9, 0.005025510199952795, 0.014215039267776262, 0.009231790960807828, 0, -0.009361654503540078, 0.02189211328681124)]
        [TestCase(-4.2, -0.003094964132104277, -0.01535908960004069, -0.00041014390318975917, 0, 0.005595543628666216, -0.015035735858900499)]
        public void IdleIsTheWebPlayers(double seconds, double nod, double turn, double tilt, double closed,
            double yaw, double pitch)
        {
            var idle = new Idle(5);
            var sway = new double[3];
            idle.SwayAt(seconds, sway);
            (double left, double down) = idle.LookingAt(seconds);
            Golden.Near(new[] { nod, turn, tilt, closed, yaw, pitch }, new[] { sway[0], sway[1], sway[2],
                idle.ClosedAt(seconds), left, down }, 1e-12, "idle");
        }

        [Test]
        public void BlinksCloseTheLids()
        {
            var idle = new Idle(5);
            Assert.AreEqual(0.9141252130735665, idle.ClosedAt(0.7000000000000001), 1e-12);
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Path("posing/edge-height.glb")));
            var pose = new Pose(avatar.Head);
            idle.Drive(pose, 0.7000000000000001);
            Golden.Near(new[] { 0.9141252130735665, 0.9141252130735665 }, pose.Eyelids, 1e-12, "eyelids");
            Assert.AreNotEqual(0, pose.Neck[1]);
            Assert.AreNotEqual(0, pose.Eyes[4]);
        }
    }
}
