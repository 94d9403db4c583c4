using System;
using System.Collections.Generic;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>What players ask of an engine's graphics: what they make and destroy, and in which order they draw.</summary>
    public class CanvasTests
    {
        /// <summary>An engine that writes down what it is asked.</summary>
        private sealed class Notebook : ICanvas
        {
            public readonly List<string> Log = new List<string>();
            public readonly HashSet<object> Things = new HashSet<object>();
            public readonly string Name;

            public Notebook(string name, Notebook? with = null)
            {
                Name = name;
                if (with == null) return;
                Log = with.Log;
                Things = with.Things;
            }

            private object Made()
            {
                var thing = new object();
                Things.Add(thing);
                return thing;
            }

            private void Alive(object thing) => Assert.IsTrue(Things.Contains(thing), "destroyed, or nobody's");

            public object CreateBuffer(int count, int stride, uint[]? words)
            {
                Assert.Greater(count, 0);
                Assert.AreEqual(0, stride % 4);
                if (words != null) Assert.LessOrEqual(4L * words.Length, (long)count * stride);
                return Made();
            }

            public object CreatePicture(byte[] png) => Made();

            public object CreateTexels(int width, int height) => Made();

            public bool IsAlive(object thing) => Things.Contains(thing);

            public void Destroy(object thing) => Assert.IsTrue(Things.Remove(thing), "destroyed twice");

            public void Upload(object thing, float[] numbers) => Alive(thing);

            public void Bind(Kernel kernel, Property name, object buffer) => Alive(buffer);

            public void SetConstant(Property name, int value) { }

            public void Dispatch(Kernel kernel, int groups) => Log.Add($"{Name} {kernel}");

            public void Set(Property name, object thing) => Alive(thing);

            public void Set(Property name, int value) { }

            public void Set(Property name, float value) { }

            public void Set(Property name, float x, float y, float z, float w) { }

            public void Draw(Program program, int pass, int vertices) => Log.Add($"{Name} {program} {pass}");

            public void Target(Sheet color, Sheet depth, bool clear) => Log.Add($"{color} {depth}{(clear ? " clear" : "")}");

            public void ClearDepth() => Log.Add("clear depth");
        }

        private static Avatar Read(string path) => Avatar.Read(Golden.Bytes(Golden.Path(path)));

        private static CameraFrame Looking()
        {
            var frame = new CameraFrame();
            for (int i = 0; i < 16; i += 5) frame.Camera.WorldToCamera[i] = 1;
            double[] lens = { 4, 0, 0, 0, 0, 4, 0, 0, 0, 0, -1, -0.2, 0, 0, -1, 0 };
            lens.CopyTo(frame.Camera.Projection, 0);
            lens.CopyTo(frame.Camera.DeviceProjection, 0);
            (frame.Camera.Width, frame.Camera.Height, frame.Camera.Near) = (64, 64, 0.1);
            frame.Begin();
            return frame;
        }

        private static double[] At(double z) => new double[] { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, z, 0, 0, 0, 1 };

        private static double[] Beside(double x, double y) => new double[] { 1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, -3, 0, 0, 0, 1 };

        [Test]
        public void PlayersShareTablesAndLeaveNothing()
        {
            Avatar avatar = Read("posing/vertex.glb");
            var first = new Notebook("a");
            var second = new Notebook("b", first);
            var one = new KernelFrame(avatar, first, false);
            int alone = first.Things.Count;
            var two = new KernelFrame(avatar, second, true);
            Assert.AreEqual(3, alone - (first.Things.Count - alone), "three buffers are one for both");
            one.Dispose();
            Assert.IsTrue(two.IsAlive);
            two.Pose(new Pose(avatar.Head));
            two.Dispose();
            Assert.AreEqual(0, first.Things.Count);
            // A device that lost everything: what is made then is new.
            var lost = new KernelFrame(avatar, first, false);
            first.Things.Clear();
            Assert.IsFalse(lost.IsAlive);
            Assert.IsTrue(new KernelFrame(avatar, first, false).IsAlive);
        }

        [Test]
        public void TheDeepestIsDrawnFirstAndExactOnesBeforeOthers()
        {
            Avatar avatar = Read("posing/edge-height.glb");
            var a = new Notebook("a");
            var frames = new Dictionary<string, PlayerFrame>();
            foreach (string name in new[] { "near", "direct", "far", "middle" })
            {
                frames[name] = new KernelFrame(avatar, new Notebook(name, a), false) { Exact = name != "direct" };
                frames[name].Pose(new Pose(avatar.Head));
            }
            CameraFrame camera = Looking();
            a.Log.Clear();
            Assert.IsTrue(camera.IsEmpty);
            camera.Add(frames["near"], At(-1));
            camera.Add(frames["direct"], At(-2));
            camera.Add(frames["far"], At(-4));
            camera.Add(frames["middle"], At(-3));
            Assert.IsTrue(camera.NeedsPicture && !camera.NeedsMeshDepth);
            foreach (double[] outside in new[] { At(2), Beside(2, 0), Beside(-2, 0), Beside(0, 2), Beside(0, -2) })
            {
                camera.Add(frames["near"], outside);
            }
            foreach (double[] partly in new[] { Beside(0.9, 0), Beside(-0.9, 0), Beside(0, 0.9), Beside(0, -0.9), At(0) })
            {
                camera.Camera.Look(partly, frames["near"].Root, frames["near"].Sphere, false);
                Assert.IsTrue(camera.Camera.Sees());
            }
            Assert.AreEqual(4 * (1 + 3 * 4), a.Log.Count, "four sorts of four passes");
            a.Log.Clear();
            camera.Draw(1);
            CollectionAssert.AreEqual(new[] { "Picture Camera clear", "far Splats 0", "middle Splats 0", "near Splats 0",
                "Camera Camera", "far Composite 0", "direct Splats 0" }, a.Log);
            camera.Begin();
            a.Log.Clear();
            camera.Draw(0);
            Assert.AreEqual(0, a.Log.Count);
            foreach (PlayerFrame frame in frames.Values) frame.Dispose();
            Assert.AreEqual(0, a.Things.Count);
        }

        [Test]
        public void MeshesHaveADepthOfTheirOwnAndNeedThePicture()
        {
            Avatar avatar = Read("layers/together.plain.glb");
            var a = new Notebook("a");
            var frame = new KernelFrame(avatar, a, false) { Exact = false };
            frame.Pose(new Pose(avatar.Head));
            CameraFrame camera = Looking();
            camera.Add(frame, At(-1));
            Assert.IsTrue(camera.NeedsPicture && camera.NeedsMeshDepth);
            Assert.AreEqual(frame.Depth - camera.Camera.Radius, frame.Front);
            a.Log.Clear();
            camera.Draw(0);
            CollectionAssert.AreEqual(new[] { "Picture Camera clear", "Picture MeshDepth", "clear depth", "a Mesh 0", "a Mesh 1",
                "Picture Camera", "a Splats 0", "Camera Camera", "a Composite 0" }, a.Log);
            frame.Dispose();
            Assert.AreEqual(0, a.Things.Count);
        }

        [Test]
        public void AProcessorFillsOneTexture()
        {
            Avatar avatar = Read("posing/edge-height.glb");
            var a = new Notebook("a");
            var frame = new TextureFrame(avatar, a, 10);
            StringAssert.Contains("left out", frame.Warning);
            Assert.AreEqual("", new TextureFrame(avatar, a, 1 << 20).Warning);
            frame.Pose(new Pose(avatar.Head));
            CameraFrame camera = Looking();
            camera.Add(frame, At(-1));
            camera.Draw(0);
            CollectionAssert.AreEqual(new[] { "Picture Camera clear", "a Fallback 0", "Camera Camera", "a Composite 0" }, a.Log);
            Assert.AreEqual(2, a.Things.Count);
        }
    }
}
