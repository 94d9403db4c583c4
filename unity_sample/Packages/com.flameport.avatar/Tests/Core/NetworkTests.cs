using System;
using System.Text;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>Networks on the processor against onnxruntime, on what tests/unity/network_files.py makes: operators one by
    /// one, and avatars that networks move.</summary>
    public class NetworkTests
    {
        [Test]
        public void EveryOperatorGivesWhatTheReferenceGives()
        {
            JsonValue cases = Golden.Json(Golden.Made("networks/operators.json"))["cases"].List("cases");
            Assert.Greater(cases.Count, 70);
            for (int i = 0; i < cases.Count; i++)
            {
                JsonValue one = cases.At(i);
                string name = one["name"].Text("");
                var network = new AvatarNetwork(name, Convert.FromBase64String(one["onnx"].Text("")), Ports(one["inputs"]),
                    Ports(one["outputs"]), false);
                var program = new NetworkProgram(network);
                // Twice: what a run leaves behind must not change the next.
                for (int run = 0; run < 2; run++)
                {
                    for (int k = 0; k < network.Inputs.Length; k++)
                    {
                        double[] values = one["feeds"].At(k).Numbers(name);
                        for (int n = 0; n < values.Length; n++) program.Input(k)[n] = (float)values[n];
                    }
                    program.Run();
                    for (int k = 0; k < network.Outputs.Length; k++)
                    {
                        double[] expected = one["answers"].At(k).Numbers(name);
                        double most = 1;
                        foreach (double value in expected) most = Math.Max(most, Math.Abs(value));
                        Golden.Near(expected, Array.ConvertAll(program.Output(k), x => (double)x), 1e-5 * most, name);
                    }
                }
            }
        }

        private static NetworkPort[] Ports(JsonValue list)
        {
            var ports = new NetworkPort[list.Count];
            for (int i = 0; i < ports.Length; i++)
            {
                double[] shape = list.At(i)["shape"].Numbers("shape");
                ports[i] = new NetworkPort(list.At(i)["name"].Text(""), Array.ConvertAll(shape, x => (int)x));
            }
            return ports;
        }

        [TestCase("world")]
        [TestCase("own-skin")]
        [TestCase("linear-network")]
        [TestCase("means")]
        [TestCase("wide")]
        [TestCase("flash-avatar")]
        [TestCase("mono-gaussian-avatar")]
        public void AvatarsThatNetworksMoveArePosedAsTheReference(string name)
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Made($"networks/{name}.flameavatar")));
            JsonValue frames = Golden.Json(Golden.Made($"networks/{name}.json"))["frames"].List("frames");
            var posed = new PosedAvatar(avatar);
            var pose = new Pose(avatar.Head);
            var fit = new SequenceFit(avatar.Clip!, avatar.Head);
            for (int f = 0; f < frames.Count; f++)
            {
                avatar.Clip!.Sample(frames.At(f)["t"].Number("t"), pose, fit);
                posed.Apply(pose);
                GaussianPoser splats = posed.Gaussians[0];
                Golden.Near(frames.At(f)["means"].Numbers("means"), splats.Means, 1e-6, "means");
                Golden.Near(frames.At(f)["scales"].Numbers("scales"), splats.Scales, 1e-6, "scales");
                Golden.Near(frames.At(f)["opacities"].Numbers("opacities"), splats.Opacities, 1e-5, "opacities");
                Golden.Near(frames.At(f)["rgb"].Numbers("rgb"), splats.Rgb, 1e-5, "rgb");
                double[] quats = frames.At(f)["quats"].Numbers("quats");
                for (int i = 0; i < quats.Length; i += 4)
                {
                    double product = 0;
                    for (int c = 0; c < 4; c++) product += quats[i + c] * splats.Quats[i + c];
                    Assert.AreEqual(1, Math.Abs(product), 1e-6, "rotation " + i / 4);
                }
            }
        }

        /// <summary>What the processor gives for shaders is what `unity_sample/ci/player.py` gives, and test_kernels.py
        /// runs the kernels on that.</summary>
        [TestCase("world")]
        [TestCase("own-skin")]
        [TestCase("means")]
        public void RowsForShadersHoldTheDeltas(string name)
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Made($"networks/{name}.flameavatar")));
            JsonValue said = Golden.Json(Golden.Made($"networks/{name}.json"));
            var tables = new FrameTables(avatar);
            uint[] words = tables.Records.Words;
            double[] expected = said["records"].Numbers("records");
            Assert.AreEqual(expected.Length, words.Length);
            for (int i = 0; i < words.Length; i++) Assert.AreEqual(expected[i], words[i], $"row {i / 4}, {i % 4}");
            var moment = new MomentRows(tables);
            var pose = new Pose(avatar.Head);
            avatar.Clip!.Sample(1.5, pose, new SequenceFit(avatar.Clip, avatar.Head));
            moment.Apply(pose);
            double[] rows = said["moment"].Numbers("moment");
            Assert.AreEqual(rows.Length, moment.Rows.Length);
            // Those of the camera are not the moment's.
            for (int i = 24; i < rows.Length; i++) Assert.AreEqual(rows[i], moment.Rows[i], 2e-6, $"row {i / 4}, {i % 4}");
        }

        [Test]
        public void FewerGaussiansAreMovedByTheirOwnRows()
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Made("networks/own-skin.flameavatar")));
            var layer = (SplatLayer)avatar.Layers[0];
            SplatLayer fewer = FewerSplats.Of(FewerSplats.Of(layer, 15), 10);
            Assert.AreEqual(10, fewer.Count);
            var head = new HeadPoser(avatar.Head);
            var pose = new Pose(avatar.Head);
            avatar.Clip!.Sample(1.5, pose, new SequenceFit(avatar.Clip, avatar.Head));
            head.Apply(pose);
            var all = new SplatPoser(layer, head);
            var some = new SplatPoser(fewer, head);
            all.Apply(pose);
            some.Apply(pose);
            for (int i = 0; i < 10; i++)
            {
                for (int c = 0; c < 3; c++) Assert.AreEqual(all.Means[3 * fewer.NetworkRows![i] + c], some.Means[3 * i + c],
                    1e-12);
            }
            var told = (SplatLayer)Avatar.Read(Golden.Bytes(Golden.Made("networks/means.flameavatar"))).Layers[0];
            Assert.AreSame(told, FewerSplats.Of(told, 10));
        }

        [Test]
        public void RunningAllocatesNothing()
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Made("networks/wide.flameavatar")));
            var poser = new NetworkPoser((SplatLayer)avatar.Layers[0]);
            var pose = new Pose(avatar.Head);
            poser.Drive(pose, null);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 20; i++) poser.Drive(pose, null);
            Assert.Less(GC.GetAllocatedBytesForCurrentThread() - before, 200);
        }

        [Test]
        public void ADriverOfAnotherLengthIsSaid()
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Made("networks/own-skin.flameavatar")));
            var pose = new Pose(avatar.Head);
            pose.Driver("pose6", 5);
            SequenceException error = Assert.Throws<SequenceException>(() => new PosedAvatar(avatar).Apply(pose));
            StringAssert.Contains("reads 6 numbers from pose6; the clip holds 5", error.Message);
            pose.Reset();
            new PosedAvatar(avatar).Apply(pose);
        }

        [Test]
        public void WhatIsNotRunIsRefusedByName()
        {
            JsonValue cases = Golden.Json(Golden.Made("networks/operators.json"))["refused"].List("refused");
            Assert.Greater(cases.Count, 6);
            for (int i = 0; i < cases.Count; i++)
            {
                JsonValue one = cases.At(i);
                AvatarFormatException error = Assert.Throws<AvatarFormatException>(() => new NetworkProgram(new AvatarNetwork("n",
                    Convert.FromBase64String(one["onnx"].Text("")), Ports(one["inputs"]), Ports(one["outputs"]), false)),
                    one["name"].Text(""));
                StringAssert.Contains(one["says"].Text(""), error.Message, one["name"].Text(""));
            }
        }

        /// <summary>Bytes changed, cut and repeated: an error of ours, or a network; and nothing else.</summary>
        [Test]
        public void DamagedGraphsAreReadOrRefused()
        {
            JsonValue cases = Golden.Json(Golden.Made("networks/operators.json"))["cases"].List("cases");
            var random = new Random(5);
            for (int i = 0; i < cases.Count; i++)
            {
                byte[] good = Convert.FromBase64String(cases.At(i)["onnx"].Text(""));
                for (int k = 0; k < 60; k++)
                {
                    var bad = (byte[])good.Clone();
                    if (k % 3 == 0) Array.Resize(ref bad, random.Next(good.Length));
                    for (int n = 0; n < 1 + k % 4 && bad.Length > 0; n++) bad[random.Next(bad.Length)] = (byte)random.Next(256);
                    try
                    {
                        new NetworkProgram(new AvatarNetwork("n", bad, Ports(cases.At(i)["inputs"]),
                            Ports(cases.At(i)["outputs"]),
                            false)).Run();
                    }
                    catch (AvatarException error)
                    {
                        Assert.IsFalse(error.Message.Contains("\n"));
                    }
                }
            }
        }
    }
}
