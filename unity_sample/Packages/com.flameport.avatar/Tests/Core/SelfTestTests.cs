using System;
using System.Text;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>The self-test's file, its comparing and its report; the card's part is in the editor.</summary>
    public sealed class SelfTestTests
    {
        private static SelfTestFile File() => SelfTestFile.Read(Golden.Bytes(Golden.SelfTest()));

        private static byte[] Good(SelfTestFile file, SelfTestCheck check)
        {
            SelfTestBuffer buffer = file.Buffers[check.Buffer];
            var bytes = new byte[buffer.Stride * buffer.Count];
            check.Fill(bytes);
            return bytes;
        }

        [Test]
        public void WhatIsExpectedHolds()
        {
            SelfTestFile file = File();
            Assert.Greater(file.Checks.Length, 30);
            foreach (SelfTestCheck check in file.Checks)
            {
                SelfTestResult result = check.Compare(Good(file, check));
                if (result.Kernel.EndsWith("Scatter")) continue;
                Assert.IsTrue(result.Passed && result.Error == 0, result.Name);
            }
        }

        [Test]
        public void EveryCheckCanFail()
        {
            SelfTestFile file = File();
            foreach (SelfTestCheck check in file.Checks)
            {
                byte[] bytes = Good(file, check);
                for (int i = 0; i < bytes.Length; i += 4)
                {
                    BitConverter.GetBytes(BitConverter.ToSingle(bytes, i) + 0.01f).CopyTo(bytes, i);
                }
                SelfTestResult result = check.Compare(bytes);
                Assert.IsTrue(!result.Passed && result.Error > result.Bound, result.Name);
                for (int i = 0; i < bytes.Length; i += 4) BitConverter.GetBytes(float.NaN).CopyTo(bytes, i);
                Assert.IsFalse(check.Compare(bytes).Passed, result.Name + " takes what is no number");
                Assert.IsFalse(check.Compare(new byte[4]).Passed, result.Name + " takes a buffer that is cut off");
            }
        }

        [Test]
        public void AQuaternionAndItsNegativeAreOneRotation()
        {
            SelfTestFile file = File();
            foreach (SelfTestCheck check in file.Checks)
            {
                byte[] bytes = Good(file, check);
                for (int i = 3; i < bytes.Length; i += 4) bytes[i] ^= 0x80;
                SelfTestResult result = check.Compare(bytes);
                if (result.Name.Contains("quaternions")) Assert.IsTrue(result.Passed, result.Name);
                if (result.Name.Contains("metres")) Assert.IsFalse(result.Passed, result.Name);
            }
        }

        [Test]
        public void SortedNumbersAreToldFromOthers()
        {
            SelfTestFile file = File();
            SelfTestCheck check = file.Checks[file.Checks.Length - 1];
            SelfTestBuffer keys = Array.Find(file.Buffers, each => each.Name == "large.keys");
            var order = new int[keys.Count];
            for (int i = 0; i < order.Length; i++) order[i] = i;
            // Array.Sort is not stable: the slot decides among equal keys.
            Array.Sort(order, (a, b) =>
            {
                int one = BitConverter.ToUInt32(keys.Data, 4 * a).CompareTo(BitConverter.ToUInt32(keys.Data, 4 * b));
                return one != 0 ? one : a.CompareTo(b);
            });
            var bytes = new byte[4 * order.Length];
            for (int i = 0; i < order.Length; i++) BitConverter.GetBytes(order.Length - 1 - order[i]).CopyTo(bytes, 4 * i);
            Assert.AreEqual(0, check.Compare(bytes).Error);
            byte kept = bytes[0];
            bytes[0] ^= 1;
            Assert.AreEqual(1, check.Compare(bytes).Error);
            bytes[0] = kept;
        }

        [Test]
        public void PicturesAreComparedEitherWayUp()
        {
            SelfTestFile file = File();
            SelfTestPicture picture = file.Picture;
            byte[] said = SmallFile.Parse(Golden.Bytes(Golden.SelfTest())).Chunk("picture")!;
            var drawn = new float[4 * picture.Width * picture.Height];
            var flipped = new byte[said.Length];
            int row = 3 * picture.Width;
            for (int i = 0; i < said.Length; i++)
            {
                // Half covered: colour and cover make the picture on white.
                drawn[4 * (i / 3) + i % 3] = said[i] / 255f - 0.5f;
                drawn[4 * (i / 3) + 3] = 0.5f;
                flipped[(picture.Height - 1 - i / row) * row + i % row] = said[i];
            }
            Assert.IsTrue(picture.Compare(drawn).Passed);
            Assert.AreEqual("rows from the top", picture.Compare(drawn).Note);
            Assert.IsTrue(picture.CompareShown(flipped, 42).Passed);
            SelfTestResult wrong = picture.CompareShown(said, 42);
            Assert.IsFalse(wrong.Passed);
            Assert.AreEqual("it stands on its head", wrong.Note);
            Assert.IsFalse(picture.Compare(new float[4]).Passed);
        }

        [Test]
        public void ThePlayersMomentFitsItsAvatar()
        {
            SelfTestFile file = File();
            Avatar avatar = Avatar.Read(file.Player.Avatar);
            var pose = new Pose(avatar.Head);
            file.Player.Drive(pose);
            Assert.AreEqual(file.Total, ((SplatLayer)avatar.Layers[0]).Count);
            double moved = 0;
            foreach (double value in pose.Expr) moved += Math.Abs(value);
            Assert.Greater(moved, 0);
            // The camera looks at the face, which looks at +Z, also after mirroring.
            Assert.Less(file.Player.Forward[2], -0.9);
            Assert.Greater(file.Player.Up[1], 0.9);
            Assert.Greater(file.Player.Position[2], 0.3);
            Assert.Greater(file.Player.FieldOfView, 5);
        }

        [Test]
        public void ThePlayersCameraIsTheReferencesInTheEnginesAxes()
        {
            SelfTestPlayer player = File().Player;
            double[] f = player.Forward, u = player.Up;
            // Unity's right is up x forward; its camera looks along -z.
            double[] right = { u[1] * f[2] - u[2] * f[1], u[2] * f[0] - u[0] * f[2], u[0] * f[1] - u[1] * f[0] };
            var matrix = new double[16];
            for (int r = 0; r < 3; r++)
            {
                double[] axis = r == 0 ? right : u;
                for (int c = 0; c < 3; c++)
                {
                    matrix[4 * r + c] = r == 2 ? -f[c] : axis[c];
                    matrix[4 * r + 3] -= matrix[4 * r + c] * player.Position[c];
                }
            }
            var view = new double[12];
            var still = new double[] { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1 };
            Handedness.ViewFromAvatar(matrix, still, view);
            double[] said = SmallFile.Parse(Golden.Bytes(Golden.SelfTest())).Json["player"]["worldToCamera"].Numbers("", 16);
            Array.Resize(ref said, 12);
            Golden.Near(said, view, 1e-6, "worldToCamera");
        }

        [Test]
        public void EveryKernelIsTimed()
        {
            SelfTestFile file = File();
            var report = new SelfTestReport();
            var seen = new System.Collections.Generic.Dictionary<string, int>();
            int waits = 0;
            file.Time(report, step =>
            {
                seen.TryGetValue(step.Kernel, out int times);
                seen[step.Kernel] = times + 1;
            }, buffer => waits++);
            Assert.AreEqual(7, seen.Count);
            Assert.AreEqual(14, waits);
            foreach (var kernel in seen)
            {
                Assert.AreEqual(22, kernel.Value);
                StringAssert.Contains("\"" + kernel.Key + ", ", report.ToJson());
            }
        }

        [Test]
        public void BuffersAreUploadedAsWords()
        {
            foreach (SelfTestBuffer buffer in File().Buffers)
            {
                uint[] words = buffer.Words();
                Assert.AreEqual(buffer.Count * buffer.Stride, 4 * words.Length);
                if (buffer.Data != null) Assert.AreEqual(BitConverter.ToUInt32(buffer.Data, 0), words[0]);
            }
        }

        [Test]
        public void ReportsAreJson()
        {
            var report = new SelfTestReport();
            report.Facts("card", "a \"card\"\n\\", "system", "none");
            report.Time("PoseSplats", 0.125);
            report.Add(new SelfTestResult("a", "PoseSplats", 1e-7, 1e-5, true));
            Assert.IsTrue(report.Passed);
            report.Add(new SelfTestResult("b", "", double.PositiveInfinity, 1, false));
            report.Attempt("c", () => throw new InvalidOperationException("no compute shaders"));
            report.Attempt("d", () => { });
            Assert.IsFalse(report.Passed);
            Assert.AreEqual("2 of 3 checks failed. Please send the report.", report.Summary());
            byte[] data = Encoding.UTF8.GetBytes(report.ToJson());
            JsonValue json = JsonReader.Parse(data, 0, data.Length, "report");
            Assert.AreEqual("a \"card\"\n\\", json["card"].Text(""));
            Assert.AreEqual("none", json["system"].Text(""));
            Assert.AreEqual("no compute shaders", json["checks"].At(2)["note"].Text(""));
            Assert.AreEqual(0.125, json["milliseconds"]["PoseSplats"].Number("time"));
            Assert.AreEqual(1e-7, json["checks"].At(0)["error"].Number("error"));
            Assert.IsFalse(json["checks"].At(1)["error"].Exists);
            Assert.IsFalse(new SelfTestReport().Passed);
        }

        [Test]
        public void DamagedFilesAreOneLine()
        {
            byte[] data = Golden.Bytes(Golden.SelfTest());
            Array.Resize(ref data, data.Length - 10);
            Assert.Throws<AvatarFormatException>(() => SelfTestFile.Read(data));
        }
    }
}
