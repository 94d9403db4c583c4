using System.IO;
using Flameport.Editing;
using NUnit.Framework;
using UnityEditor;
using UnityEngine;

namespace Flameport.Tests
{
    /// <summary>What the importers make of files, in an editor.</summary>
    public sealed class ImportTests
    {
        private const string Folder = "Assets/FlameportTests";

        [SetUp]
        public void MakeFolder()
        {
            if (!AssetDatabase.IsValidFolder(Folder)) AssetDatabase.CreateFolder("Assets", "FlameportTests");
        }

        [TearDown]
        public void RemoveFolder() => AssetDatabase.DeleteAsset(Folder);

        private static string Imported(string name, byte[] data)
        {
            string path = Folder + "/" + name;
            File.WriteAllBytes(path, data);
            AssetDatabase.ImportAsset(path);
            return path;
        }

        private static byte[] Avatar() =>
            SelfTestFile.Read(AssetDatabase.LoadAssetAtPath<TextAsset>(
                "Packages/com.flameport.avatar/Editor/SelfTest/SelfTest.bytes").bytes).Player.Avatar;

        [Test]
        public void AnAvatarBecomesAnObjectThatPlaysIt()
        {
            string path = Imported("a.flameavatar", Avatar());
            GameObject thing = AssetDatabase.LoadAssetAtPath<GameObject>(path);
            Assert.IsTrue(thing != null, "the main object is an object for scenes");
            AvatarAsset? asset = thing!.GetComponent<AvatarPlayer>().Avatar;
            Assert.IsTrue(asset != null && asset.Load().Layers.Length == 1);
            Assert.IsTrue(asset!.Kernels != null && asset.Splats != null && asset.Mesh != null && asset.Composite != null
                && asset.Fallback != null, "shaders are found");
            Assert.IsTrue(AssetDatabase.LoadAssetAtPath<Texture2D>(path) != null, "there is a picture");
        }

        [Test]
        public void ScenesNameWhatIsImportedByTheNumbersThatTheSampleUses()
        {
            string path = Imported("b.flameavatar", Avatar());
            AvatarAsset asset = AssetDatabase.LoadAssetAtPath<AvatarAsset>(path);
            Assert.IsTrue(AssetDatabase.TryGetGUIDAndLocalFileIdentifier(asset, out string _, out long number));
            // unity_sample/ci/unity_ids.py in flameport's repository: of "Type:MonoBehaviour->avatar0".
            Assert.AreEqual(5168796278639424420L, number);
        }

        [Test]
        public void AClipBecomesAnAsset()
        {
            byte[] json = System.Text.Encoding.UTF8.GetBytes("{\"format\": \"flameport.sequence/1\", \"fps\": 25, "
                + "\"basis\": \"standin\", \"frames\": [{\"expr\": [0]}, {\"expr\": [1]}]}");
            SequenceAsset clip = AssetDatabase.LoadAssetAtPath<SequenceAsset>(Imported("c.flameseq", json));
            Assert.IsTrue(clip != null && clip.Load().Frames == 2);
        }

        [Test]
        public void ADamagedFileIsOneLineInTheConsole()
        {
            UnityEngine.TestTools.LogAssert.Expect(LogType.Error,
                new System.Text.RegularExpressions.Regex("d\\.flameavatar: .*flameport export"));
            Imported("d.flameavatar", new byte[] { 1, 2, 3, 4 });
        }

        [Test]
        public void TheCardAndThePlayerHoldTheSelfTest()
        {
            SelfTestReport report = SelfTest.Run();
            Assert.IsTrue(report.Passed, report.ToJson());
        }
    }
}
