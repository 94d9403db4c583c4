using System;
using System.Text;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>Damaged files: one clear error, or an avatar; nothing else, and nothing large allocated first.</summary>
    public class HostileTests
    {
        private static string[] Files() => new[]
        {
            Golden.Path("posing/linear-posed.glb"), Golden.Path("posing/own-skin.glb"),
                Golden.Path("layers/together.plain.glb"),
            Golden.Made("edge-height.flameavatar"), Golden.Made("own-skin.flameavatar"), Golden.Made("float.flameavatar"),
            Golden.Made("networks/own-skin.flameavatar"), Golden.Made("networks/linear-network.flameavatar"),
        };

        private static void Try(byte[] data, string what)
        {
            try
            {
                Avatar avatar = Avatar.Read(data);
                new PosedAvatar(avatar).Apply(new Pose(avatar.Head));
            }
            catch (AvatarException error)
            {
                Assert.IsFalse(error.Message.Contains("\n"), what);
                Assert.Greater(error.Message.Length, 20, what);
            }
        }

        [Test]
        public void FilesThatWereCutOffAreRefused()
        {
            foreach (string path in Files())
            {
                byte[] good = Golden.Bytes(path);
                Assert.DoesNotThrow(() => Avatar.Read(good));
                for (int i = 0; i < 24; i++)
                {
                    byte[] cut = good.AsSpan(0, (int)(good.Length * (long)i / 24)).ToArray();
                    Assert.Throws<AvatarFormatException>(() => Avatar.Read(cut), $"{path} cut to {cut.Length}");
                }
            }
        }

        [Test]
        public void FilesWithAnotherByteAreReadOrRefused()
        {
            var random = new Random(4);
            foreach (string path in Files())
            {
                byte[] good = Golden.Bytes(path);
                for (int i = 0; i < 120; i++)
                {
                    byte[] bad = (byte[])good.Clone();
                    // The beginning says how long everything is, so it is broken more often.
                    int at = i % 2 == 0 ? random.Next(Math.Min(4096, bad.Length)) : random.Next(bad.Length);
                    bad[at] = (byte)random.Next(256);
                    Try(bad, $"{path} with byte {at} changed");
                }
            }
        }

        [Test]
        public void JsonWithOtherNumbersIsReadOrRefused()
        {
            var random = new Random(5);
            string[] odd = { "-1", "0", "1e99", "4294967296", "2147483647", "0.5", "null", "\"x\"", "[]", "{}", "true",
                "99999" };
            foreach (string path in Files())
            {
                byte[] good = Golden.Bytes(path);
                bool glb = Glb.IsGlb(good);
                int sizeAt = glb ? 12 : 8, start = glb ? 20 : 16, length = BitConverter.ToInt32(good, sizeAt);
                string json = Encoding.UTF8.GetString(good, start, length);
                for (int i = 0; i < 120; i++)
                {
                    int from = random.Next(json.Length);
                    while (from < json.Length && !char.IsDigit(json[from])) from++;
                    int to = from;
                    while (to < json.Length && char.IsDigit(json[to])) to++;
                    if (from == to || char.IsLetter(json[from - 1]) || json[from - 1] == '_') continue;
                    string value = odd[random.Next(odd.Length)];
                    string changed = json.Substring(0, from) + value + json.Substring(to);
                    changed += new string(' ', (16 - (start + Encoding.UTF8.GetByteCount(changed)) % 16) % 16);
                    byte[] text = Encoding.UTF8.GetBytes(changed);
                    var bad = new byte[good.Length - length + text.Length];
                    Array.Copy(good, bad, start);
                    text.CopyTo(bad, start);
                    Array.Copy(good, start + length, bad, start + text.Length, good.Length - start - length);
                    BitConverter.GetBytes(text.Length).CopyTo(bad, sizeAt);
                    if (glb) BitConverter.GetBytes(bad.Length).CopyTo(bad, 8);
                    Try(bad, $"{path} with {value} at {from}");
                }
            }
        }

        [TestCase("{\"a\": 1, \"a\": 2}")]
        [TestCase("[1, 2")]
        [TestCase("[1] 2")]
        [TestCase("NaN")]
        [TestCase("1e999")]
        [TestCase("+1")]
        [TestCase("\"\\x\"")]
        [TestCase("\"open")]
        [TestCase("")]
        [TestCase("nul")]
        public void JsonIsReadStrictly(string text)
        {
            byte[] data = Encoding.UTF8.GetBytes(text);
            Assert.Throws<AvatarFormatException>(() => JsonReader.Parse(data, 0, data.Length, "a test"));
        }

        [Test]
        public void DeepJsonDoesNotOverflowTheStack()
        {
            byte[] data = Encoding.UTF8.GetBytes(new string('[', 1 << 20));
            Assert.Throws<AvatarFormatException>(() => JsonReader.Parse(data, 0, data.Length, "a test"));
        }

        [Test]
        public void JsonKeepsTextAndNumbers()
        {
            byte[] data = Encoding.UTF8.GetBytes("{\"\\u00e9\\n\": [1, -2.5e-3, 7], \"b\": [1, \"x\", null], \"c\": "
                + "[], \"d\": \"\u00fc\"}");
            JsonValue json = JsonReader.Parse(data, 0, data.Length, "a test");
            CollectionAssert.AreEqual(new[] { 1, -0.0025, 7 }, json["\u00e9\n"].Numbers("a", 3));
            Assert.AreEqual("x", json["b"].At(1).Text(""));
            Assert.AreEqual(1, json["b"].At(0).Integer("b"));
            Assert.AreEqual(0, json["c"].Numbers("c").Length);
            Assert.AreEqual("\u00fc", json["d"].Text(""));
            Assert.IsFalse(json["e"]["f"].Exists);
        }

        [Test]
        public void AChunkThatClaimsAGigabyteIsNotAllocated()
        {
            byte[] json = Encoding.UTF8.GetBytes(
                "{\"format\":\"flameport.unity/1\",\"chunks\":[{\"name\":\"a\",\"codec\":\"deflate\",\"bytes\":2,"
                + "\"size\":1000000000}]}");
            var data = new byte[16 + json.Length + 2];
            Encoding.ASCII.GetBytes("FLAV").CopyTo(data, 0);
            data[4] = 1;
            BitConverter.GetBytes(json.Length).CopyTo(data, 8);
            json.CopyTo(data, 16);
            data[data.Length - 2] = 3; // an empty deflate stream
            long before = GC.GetTotalMemory(false);
            Assert.Throws<AvatarFormatException>(() => Avatar.Read(data));
            Assert.Less(GC.GetTotalMemory(false) - before, 1 << 26);
        }
    }
}
