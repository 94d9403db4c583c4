using System;
using System.Collections.Generic;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>What the shaders get, against what unity_sample/ci/player.py makes: tests/unity/frame_files.py.</summary>
    public class FrameTests
    {
        private static JsonValue Said(string name) => Golden.Json(Golden.Made($"frames/{name}.json"));

        private static Avatar Read(string name) => Avatar.Read(Golden.Bytes(Golden.Path($"posing/{name}.glb")));

        private static Pose At(Avatar avatar, string name, double t)
        {
            Sequence clip = SequenceFile.Read(Golden.Bytes(Golden.Path($"posing/{name}.clip.json")));
            var pose = new Pose(avatar.Head);
            clip.Sample(t, pose, new SequenceFit(clip, avatar.Head));
            return pose;
        }

        private static CameraRows Camera(JsonValue said)
        {
            var camera = new CameraRows
            {
                Width = said["width"].Integer("width"), Height = said["height"].Integer("height"), Near =
                    said["near"].Number("near"),
            };
            said["worldToCamera"].Numbers("view").CopyTo(camera.WorldToCamera, 0);
            said["projection"].Numbers("projection").CopyTo(camera.Projection, 0);
            said["deviceProjection"].Numbers("device").CopyTo(camera.DeviceProjection, 0);
            camera.Apply();
            return camera;
        }

        private static double[] Doubles(uint[] words) => Array.ConvertAll(words, w => (double)w);

        private static double[] Doubles(float[] numbers) => Array.ConvertAll(numbers, w => (double)w);

        [TestCase("corner")]
        [TestCase("edge-height")]
        [TestCase("linear-canonical")]
        [TestCase("linear-posed")]
        [TestCase("own-skin")]
        [TestCase("own-skin-turning-posed-lids")]
        [TestCase("plain-face-many-joints")]
        [TestCase("vertex")]
        [TestCase("vertex-index-surface")]
        public void RowsAreThoseOfPython(string name)
        {
            JsonValue said = Said(name);
            Avatar avatar = Read(name);
            var small = new FrameTables(Avatar.Read(Golden.Bytes(Golden.Made($"{name}.flameavatar"))));
            Same(said["half"], said["rings"], small);
            foreach (TexelVariant variant in new[] { TexelVariant.Float, TexelVariant.Half })
            {
                Same(said[variant == TexelVariant.Float ? "float" : "half"], said["rings"], new FrameTables(avatar, false,
                    variant));
            }
        }

        private static void Same(JsonValue expected, JsonValue rings, FrameTables tables)
        {
            // Of the two zeros that floats have, it does not matter which.
            double[] rows = Array.ConvertAll(expected["records"].Numbers("records"), x => x == 2147483648 ? 0 : x);
            Golden.Near(rows, Doubles(tables.Records.Words.AsSpan(0, rows.Length).ToArray()), 0, "records");
            Golden.Near(rings.Numbers("rings"), Doubles(tables.Rings), 0, "rings");
            Assert.AreEqual(expected["posed"].Integer("posed"), tables.Records.PosedRows);
            Assert.AreEqual(expected["total"].Integer("total"), tables.Records.Total);
        }

        [TestCase("corner")]
        [TestCase("fitted")]
        [TestCase("linear-canonical")]
        [TestCase("linear-posed")]
        [TestCase("own-skin-turning-posed-lids")]
        [TestCase("plain-face-many-joints")]
        [TestCase("vertex-index-surface")]
        public void MomentsAndCamerasAreThoseOfPython(string name)
        {
            JsonValue said = Said(name);
            Avatar avatar = Read(name);
            var tables = new FrameTables(avatar);
            var moment = new MomentRows(tables);
            moment.Apply(At(avatar, name, said["moment"].Number("moment")));
            CameraRows camera = Camera(said["camera"]);
            foreach (int bits in new[] { 16, 32 })
            {
                double[] rows = said[$"frame{bits}"].Numbers("frame");
                double depth = camera.Look(said["camera"]["localToWorld"].Numbers("place"), moment, tables.Sphere, bits == 16);
                Close(rows.AsSpan(24).ToArray(), Doubles(moment.Rows).AsSpan(24).ToArray(), 2e-6, "moment");
                Close(rows.AsSpan(0, 22).ToArray(), Doubles(camera.Rows).AsSpan(0, 22).ToArray(), 2e-6, "camera");
                Close(rows.AsSpan(22, 26).ToArray(), Doubles(camera.Rows).AsSpan(22).ToArray(), 1e-5, "keys and root");
                Assert.AreEqual(1.2, depth, 0.2);
            }
            Assert.AreEqual(-1, camera.Flip);
            double near = said["camera"]["near"].Number("near");
            Assert.AreEqual(1, (camera.DepthScale * near + camera.DepthOffset) / near, 1e-5);
            Assert.AreEqual(0, (camera.DepthScale * 30 + camera.DepthOffset) / 30, 1e-5);
            Assert.AreEqual(0, camera.ClipDepth(30), 1e-5);
            Assert.AreEqual(1, camera.ClipDepth(-1), 2e-3);
            Assert.Less(camera.ClipDepth(0), 1);
        }

        /// <summary>Fail unless all are near, the larger ones by their size.</summary>
        private static void Close(double[] expected, double[] actual, double bound, string what)
        {
            Assert.AreEqual(expected.Length, actual.Length, what);
            for (int i = 0; i < expected.Length; i++) Assert.AreEqual(expected[i], actual[i], bound * Math.Max(1,
                Math.Abs(expected[i])), $"{what}, number {i}");
        }

        [TestCase("edge-height")]
        [TestCase("vertex-index-surface")]
        public void APlanIsTheFrameOfTheShadersPage(string name)
        {
            JsonValue said = Said(name);
            var tables = new FrameTables(Read(name));
            foreach (int bits in new[] { 16, 32 })
            {
                var plan = new FramePlan(tables, bits == 16);
                var steps = new List<Dispatch>(plan.Moments);
                steps.AddRange(plan.Cameras);
                JsonValue expected = said[$"plan{bits}"];
                Assert.AreEqual(expected.Count, steps.Count);
                for (int i = 0; i < steps.Count; i++)
                {
                    JsonValue step = expected.At(i);
                    Assert.AreEqual(step.At(0).Text(""), steps[i].Kernel.ToString());
                    Assert.AreEqual(step.At(1).Number(""), steps[i].Record);
                    Assert.AreEqual(step.At(2).Number(""), steps[i].Groups);
                    Assert.AreEqual(step.At(3).Number(""), steps[i].Shift);
                    Assert.LessOrEqual(steps[i].Uses.Length, 8);
                }
                // What a pass writes the next one reads, and the order is where it is said to be.
                Dispatch last = steps[steps.Count - 1];
                Assert.AreEqual(plan.Order, last.Uses[last.Uses.Length - 1].Slot);
            }
            var whole = new FramePlan(tables, false);
            Assert.AreEqual(tables.Data.Words.Length / 4, whole.Count(Slot.Texels));
            Assert.AreEqual(whole.Bytes(true), 4L * (tables.Data.Words.Length + tables.Records.Words.Length)
                + 4L * tables.Rings.Length);
        }

        [TestCase("corner", 1)]
        [TestCase("edge-height", 1)]
        [TestCase("fitted", 1)]
        [TestCase("own-skin", 1)]
        [TestCase("vertex", 1)]
        public void AProcessorSeesTheReferenceEllipses(string name, double scale)
        {
            JsonValue said = Said(name);
            Avatar avatar = Read(name);
            var frame = new ProcessorFrame(avatar, 1 << 20);
            Assert.AreEqual(0, frame.Dropped);
            frame.Apply(At(avatar, name, said["moment"].Number("moment")));
            CameraRows camera = Camera(said["camera"]);
            camera.Look(said["camera"]["localToWorld"].Numbers("place"), frame.Root, frame.Sphere, false);
            JsonValue expected = said["ellipses"];
            int shown = frame.Project(camera);
            Assert.AreEqual(expected.Count, shown);
            for (int i = 0; i < shown; i++)
            {
                double[] e = expected.At(i).Numbers("ellipse");
                float[] t = frame.Texels.AsSpan(12 * i, 12).ToArray();
                double reach = t[2];
                double[] found = { t[0], t[1], t[3], Sum(t, 4, 4, reach), Sum(t, 4, 5, reach), Sum(t, 5, 5, reach), t[8], t[9],
                    t[10], t[11] };
                Close(e, found, 2e-5 * scale, $"ellipse {i}");
            }
        }

        /// <summary>An entry of the covariance, of both axes.</summary>
        private static double Sum(float[] t, int a, int b, double reach) =>
            ((double)t[a] * t[b] + (double)t[a + 2] * t[b + 2]) / (reach * reach);

        [TestCase("edge-height")]
        [TestCase("fitted")]
        [TestCase("linear-posed")]
        [TestCase("own-skin-turning-posed-lids")]
        [TestCase("vertex-index-surface")]
        public void FewerGaussiansArePosedAsAmongAll(string name)
        {
            Avatar avatar = Read(name);
            var layer = (SplatLayer)avatar.Layers[0];
            SplatLayer fewer = FewerSplats.Of(layer, layer.Count / 3);
            Assert.AreEqual(layer.Count / 3, fewer.Count);
            Pose pose = At(avatar, name, 1.5);
            var head = new HeadPoser(avatar.Head);
            head.Apply(pose);
            var all = new SplatPoser(layer, head);
            var some = new SplatPoser(fewer, head);
            all.Apply(pose);
            some.Apply(pose);
            for (int i = 0, k = 0; i < layer.Count && k < fewer.Count; i++)
            {
                if (fewer.Means[3 * k] != layer.Means[3 * i] || fewer.Opacities[k] != layer.Opacities[i]) continue;
                for (int c = 0; c < 3; c++) Assert.AreEqual(all.Means[3 * i + c], some.Means[3 * k + c], 1e-12);
                for (int c = 0; c < 3; c++) Assert.AreEqual(all.Scales[3 * i + c], some.Scales[3 * k + c], 1e-12);
                Assert.AreEqual(all.Rgb[3 * i], some.Rgb[3 * k], 1e-12);
                if (++k == fewer.Count) Assert.Pass();
            }
            Assert.Fail("those that were kept are not the layer's, in its order");
        }

        [Test]
        public void StrandsAreSplats()
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Path("layers/hair.plain.glb")));
            Sequence clip = SequenceFile.Read(Golden.Bytes(Golden.Path("layers/hair.clip.json")));
            var pose = new Pose(avatar.Head);
            clip.Sample(1.25, pose, new SequenceFit(clip, avatar.Head));
            var posed = new PosedAvatar(avatar);
            posed.Apply(pose);
            int compared = 0;
            for (int l = 0; l < avatar.Layers.Length; l++)
            {
                if (!(avatar.Layers[l] is StrandLayer strands)) continue;
                var splats = new SplatPoser(StrandSplats.Of(strands), posed.Head);
                splats.Apply(pose);
                Golden.Near(posed.Gaussians[l].Means, splats.Means, 1e-7, "means");
                Golden.Near(posed.Gaussians[l].Scales, splats.Scales, 1e-7, "scales");
                Golden.Near(posed.Gaussians[l].Rgb, splats.Rgb, 1e-6, "rgb");
                double[] first = new double[9], second = new double[9];
                for (int i = 0; i < splats.Count; i++, compared++)
                {
                    Rotations.QuatToMatrix(posed.Gaussians[l].Quats.AsSpan(4 * i, 4), first);
                    Rotations.QuatToMatrix(splats.Quats.AsSpan(4 * i, 4), second);
                    for (int r = 0; r < 3; r++) Assert.AreEqual(first[3 * r], second[3 * r], 1e-5, "along the segment");
                }
            }
            Assert.Greater(compared, 0);
        }

        [Test]
        public void MeshLayersAndTheHeadAreDrawn()
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Path("layers/together.plain.glb")));
            var tables = new FrameTables(avatar, false);
            Assert.Greater(tables.Meshes.Count, 0);
            int at = 4 * avatar.Head.VertexCount;
            foreach (DrawnMesh mesh in tables.Meshes)
            {
                var layer = (MeshLayer)avatar.Layers[mesh.Record - 1];
                uint[] words = tables.Records.Words;
                int row = 64 * mesh.Record;
                Assert.AreEqual(layer.VertexCount, words[row]);
                Assert.AreEqual(tables.Data.Place($"layer{mesh.Record - 1}.rest"), words[row + 4]);
                Assert.AreEqual(at, words[row + 6]);
                Assert.AreEqual(at + layer.VertexCount, words[row + 4 * 13 + 3]);
                at += 2 * layer.VertexCount;
                Assert.AreEqual(layer.Triangles.Length, mesh.CornerCount);
                Assert.AreEqual(layer.Drawn[layer.Triangles[0]], mesh.Corners[0]);
            }
            Assert.LessOrEqual(at, tables.Records.PosedRows);
            bool pictured = avatar.Head.Albedo != null && avatar.Head.CornerUvs != null;
            Assert.AreEqual(pictured, tables.HeadMesh != null);
            if (pictured) Assert.AreEqual(64 * (tables.Records.HeadMesh + 1), tables.Records.Words.Length);
        }

        [Test]
        public void AFrameOfRowsAllocatesNothing()
        {
            var count = typeof(GC).GetMethod("GetAllocatedBytesForCurrentThread");
            if (count == null) Assert.Ignore("this runtime does not count allocations");
            var counted = (Func<long>)Delegate.CreateDelegate(typeof(Func<long>), count!);
            foreach (string name in new[] { "fitted", "linear-posed", "own-skin-turning-posed-lids" })
            {
                Avatar avatar = Read(name);
                var tables = new FrameTables(avatar);
                var moment = new MomentRows(tables);
                var frame = new ProcessorFrame(avatar, 100);
                var playback = new Playback(avatar.Head) { Clip = avatar.Clip, IsPlaying = true, Idle = new Idle() };
                JsonValue said = Said(name)["camera"];
                CameraRows camera = Camera(said);
                double[] place = said["localToWorld"].Numbers("place");
                long before = 0;
                for (int i = 0; i < 20; i++)
                {
                    if (i == 10) before = counted();
                    playback.Advance(1 / 60.0);
                    Pose pose = playback.Sample();
                    moment.Apply(pose);
                    camera.Look(place, moment, tables.Sphere, true);
                    frame.Apply(pose);
                    camera.Look(place, frame.Root, frame.Sphere, false);
                    frame.Project(camera);
                }
                Assert.AreEqual(0, counted() - before, name);
            }
        }
    }
}
