using System;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>Posing against `formats.deform`, on the files that scripts/make_golden.py writes; and small assets of
    /// the same.</summary>
    public class PosingTests
    {
        /// <summary>Metres. The bound is 1e-5; float32 tables and seven stored digits leave less than a tenth of
        /// it.</summary>
        private const double Metres = 1e-6;
        private const double SmallMetres = 5e-5;

        [TestCase("corner")]
        [TestCase("edge-height")]
        [TestCase("fitted")]
        [TestCase("linear-canonical")]
        [TestCase("linear-posed")]
        [TestCase("normal")]
        [TestCase("own-skin")]
        [TestCase("own-skin-turning-posed-lids")]
        [TestCase("plain-face-many-joints")]
        [TestCase("root")]
        [TestCase("vertex")]
        [TestCase("vertex-coarse")]
        [TestCase("vertex-index-still")]
        [TestCase("vertex-index-surface")]
        [TestCase("world")]
        public void EveryBindingIsPosedAsTheReference(string name)
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Path($"posing/{name}.glb")));
            Sequence json = SequenceFile.Read(Golden.Bytes(Golden.Path($"posing/{name}.clip.json")));
            Compare(avatar, json, name, Metres, true);
            Compare(avatar, avatar.Clip!, name, Metres, true);
        }

        [TestCase("corner")]
        [TestCase("edge-height")]
        [TestCase("fitted")]
        [TestCase("linear-canonical")]
        [TestCase("linear-posed")]
        [TestCase("own-skin")]
        [TestCase("own-skin-turning-posed-lids")]
        [TestCase("plain-face-many-joints")]
        [TestCase("vertex")]
        [TestCase("vertex-index-surface")]
        public void SmallAssetsAreWithinTheirBound(string name)
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Made($"{name}.flameavatar")));
            Assert.AreEqual("small", avatar.Grade);
            Compare(avatar, avatar.Clip!, name, SmallMetres, false);
        }

        private static void Compare(Avatar avatar, Sequence clip, string name, double metres, bool exact)
        {
            JsonValue golden = Golden.Json(Golden.Path($"posing/{name}.json"));
            var posed = new PosedAvatar(avatar);
            var pose = new Pose(avatar.Head);
            var fit = new SequenceFit(clip, avatar.Head);
            JsonValue frames = golden["frames"];
            for (int f = 0; f < frames.Count; f++)
            {
                JsonValue frame = frames.At(f);
                clip.Sample(frame["t"].Number("t"), pose, fit);
                posed.Apply(pose);
                GaussianPoser splats = posed.Gaussians[0];
                Golden.Near(frame["vertices"].Numbers("vertices"), posed.Head.Vertices, metres, "vertices");
                Golden.Near(frame["means"].Numbers("means"), splats.Means, metres, "means");
                if (!exact) continue;
                Golden.Near(frame["opacities"].Numbers("opacities"), splats.Opacities, 1e-5, "opacities");
                double[] covariances = Covariances(splats), expected = frame["covariances"].Numbers("covariances");
                double largest = 0;
                foreach (double value in expected) largest = Math.Max(largest, Math.Abs(value));
                Golden.Near(expected, covariances, 2e-5 * largest, "covariances");
                Golden.Near(frame["rgb"].Numbers("rgb"), Seen((SplatLayer)avatar.Layers[0], splats, posed.Head,
                    golden["camera"]), 2e-5, "rgb");
            }
        }

        private static double[] Covariances(GaussianPoser splats)
        {
            var found = new double[6 * splats.Count];
            var m = new double[9];
            for (int i = 0; i < splats.Count; i++)
            {
                Rotations.QuatToMatrix(splats.Quats.AsSpan(4 * i, 4), m);
                for (int r = 0, at = 6 * i; r < 3; r++)
                {
                    for (int c = r; c < 3; c++, at++)
                    {
                        for (int k = 0; k < 3; k++) found[at] += m[3 * r + k] * m[3 * c + k] * splats.Scales[3 * i + k]
                            * splats.Scales[3 * i + k];
                    }
                }
            }
            return found;
        }

        /// <summary>Colours as the camera of a golden file sees them.</summary>
        private static double[] Seen(SplatLayer layer, GaussianPoser splats, HeadPoser head, JsonValue camera)
        {
            var found = (double[])splats.Rgb.Clone();
            var eye = new double[3];
            for (int r = 0; r < 3; r++)
            {
                double[] row = camera["world_to_camera"].At(r).Numbers("camera");
                for (int c = 0; c < 3; c++) eye[c] -= row[c] * row[3];
            }
            var d = new double[3];
            for (int i = 0; i < splats.Count; i++)
            {
                for (int c = 0; c < 3; c++) d[c] = splats.Means[3 * i + c] - eye[c];
                Rotations.Normalize(d);
                double[] m = head.RootRotation;
                double x = d[0], y = d[1], z = d[2];
                for (int c = 0; layer.ShInHeadFrame && c < 3; c++) d[c] = m[c] * x + m[3 + c] * y + m[6 + c] * z;
                SphericalHarmonics.Add(layer.Sh.AsSpan(i * layer.ShNumbers, layer.ShNumbers), layer.Degree, d[0], d[1],
                    d[2], found.AsSpan(3 * i, 3));
            }
            for (int i = 0; i < found.Length; i++) found[i] = Math.Max(found[i], 0);
            return found;
        }

        [TestCase("hair")]
        [TestCase("together")]
        public void StrandsAndTexturedMeshesArePosedAsTheReference(string name)
        {
            Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Path($"layers/{name}.plain.glb")));
            JsonValue frames = Golden.Json(Golden.Path($"layers/{name}.plain.json"))["frames"];
            Sequence clip = SequenceFile.Read(Golden.Bytes(Golden.Path($"layers/{name}.clip.json")));
            var posed = new PosedAvatar(avatar);
            var pose = new Pose(avatar.Head);
            for (int f = 0; f < frames.Count; f++)
            {
                clip.Sample(frames.At(f)["t"].Number("t"), pose, new SequenceFit(clip, avatar.Head));
                posed.Apply(pose);
                Golden.Near(frames.At(f)["vertices"].Numbers("vertices"), posed.Head.Vertices, Metres, "vertices");
                int gaussians = 0, meshes = 0;
                for (int l = 0; l < avatar.Layers.Length; l++)
                {
                    JsonValue layer = frames.At(f)["layers"].At(l);
                    if (avatar.Layers[l] is MeshLayer)
                    {
                        Golden.Near(layer["vertices"].Numbers("vertices"), posed.Meshes[meshes].Vertices, Metres, "mesh");
                        Golden.Near(layer["normals"].Numbers("normals"), posed.Meshes[meshes++].Normals, 1e-5, "normals");
                    }
                    else
                    {
                        Golden.Near(layer["means"].Numbers("means"), posed.Gaussians[gaussians++].Means, Metres, "means");
                    }
                }
            }
        }

        [Test]
        public void AFrameAllocatesNothing()
        {
            var count = typeof(GC).GetMethod("GetAllocatedBytesForCurrentThread");
            if (count == null) Assert.Ignore("this runtime does not count allocations");
            var counted = (Func<long>)Delegate.CreateDelegate(typeof(Func<long>), count!);
            foreach (string name in new[] { "linear-posed", "vertex-index-surface", "own-skin-turning-posed-lids" })
            {
                Avatar avatar = Avatar.Read(Golden.Bytes(Golden.Path($"posing/{name}.glb")));
                var posed = new PosedAvatar(avatar);
                var pose = new Pose(avatar.Head);
                var fit = new SequenceFit(avatar.Clip!, avatar.Head);
                var order = new DepthOrder();
                var places = new int[posed.Gaussians[0].Count];
                double[] view = { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 5 };
                long before = 0;
                for (int i = 0; i < 20; i++)
                {
                    if (i == 10) before = counted();
                    avatar.Clip!.Sample(0.37 * i, pose, fit);
                    posed.Apply(pose);
                    order.Sort(posed.Gaussians[0].Means, view, 0.2, places);
                }
                Assert.AreEqual(0, counted() - before, name);
            }
        }
    }
}
