using System.Collections;
using NUnit.Framework;
using UnityEngine;
using UnityEngine.TestTools;
#if UNITY_EDITOR
using UnityEditor;
#endif

namespace Flameport.Tests
{
    /// <summary>Players in a running game: clips, weights, several at once, switching on and off.</summary>
    public sealed class PlayerTests
    {
        private static AvatarAsset Asset()
        {
#if UNITY_EDITOR
            const string package = "Packages/com.flameport.avatar/";
            T Loaded<T>(string name) where T : Object => AssetDatabase.LoadAssetAtPath<T>(package + name);
            byte[] data = SelfTestFile.Read(Loaded<TextAsset>("Editor/SelfTest/SelfTest.bytes").bytes).Player.Avatar;
            return AvatarAsset.Create(data, Loaded<ComputeShader>("Shaders/AvatarKernels.compute"),
                Loaded<Shader>("Shaders/Avatar.shader"), Loaded<Shader>("Shaders/AvatarMesh.shader"),
                Loaded<Shader>("Shaders/AvatarComposite.shader"), Loaded<Shader>("Shaders/AvatarFallback.shader"));
#else
            throw new IgnoreException("these tests find their files in an editor");
#endif
        }

        private static SequenceAsset Clip(AvatarAsset asset)
        {
            string name = asset.Load().Head.ExpressionNames[0];
            return SequenceAsset.Create(System.Text.Encoding.UTF8.GetBytes("{\"format\": \"flameport.sequence/1\", "
                + "\"fps\": 25, \"basis\": \"standin\", \"expr_names\": [\"" + name + "\"], \"frames\": [{\"expr\": [0]}, "
                + "{\"expr\": [0.5]}, {\"expr\": [1]}]}"));
        }

        private static AvatarPlayer Player(AvatarAsset asset)
        {
            AvatarPlayer player = new GameObject("player").AddComponent<AvatarPlayer>();
            player.Avatar = asset;
            return player;
        }

        private static Camera Camera(Vector3 at)
        {
            Camera camera = new GameObject("camera").AddComponent<Camera>();
            camera.transform.position = at;
            camera.transform.rotation = Quaternion.Euler(0, 180, 0);
            return camera;
        }

        [UnityTest]
        public IEnumerator AClipMovesTheFace()
        {
            AvatarAsset asset = Asset();
            AvatarPlayer player = Player(asset);
            Camera camera = Camera(new Vector3(0, 0, 1));
            double shown = -1;
            player.Posing += (pose, seconds) => shown = pose.Expr[0];
            player.Clip = Clip(asset);
            player.Pause();
            player.Seek(0.06);
            yield return null;
            Assert.AreEqual(0.75, shown, 1e-6);
            Assert.AreEqual("", player.Error);
            Assert.AreEqual(0.08, player.Duration, 1e-9);
            player.SetExpression(asset.Load().Head.ExpressionNames[0], 0.25);
            yield return null;
            Assert.AreEqual(0.25, shown, 1e-6);
            Assert.IsFalse(player.SetExpression("no such shape", 1));
            player.ClearExpressions();
            player.Loop = false;
            player.Seek(0);
            player.Play();
            for (int i = 0; i < 100 && player.IsPlaying; i++) yield return null;
            Assert.IsTrue(shown > 0.25, "the clip ran");
            Object.Destroy(player.gameObject);
            Object.Destroy(camera.gameObject);
        }

        [UnityTest]
        public IEnumerator SeveralAvatarsShareOneAsset()
        {
            AvatarAsset asset = Asset();
            var players = new[] { Player(asset), Player(asset), Player(asset) };
            Camera camera = Camera(new Vector3(0, 0, 1));
            for (int i = 0; i < players.Length; i++) players[i].transform.position = new Vector3(0.3f * i, 0, 0);
            for (int i = 0; i < 3; i++) yield return null;
            Assert.AreEqual(0.6f, players[2].Bounds.center.x, 0.1f);
            foreach (AvatarPlayer player in players)
            {
                Assert.AreEqual("", player.Error);
                Assert.AreSame(asset.Load(), player.Loaded);
                Object.Destroy(player.gameObject);
            }
            Object.Destroy(camera.gameObject);
        }

        [UnityTest]
        public IEnumerator SwitchingOffAndOnLeavesNothingBehind()
        {
            AvatarPlayer player = Player(Asset());
            Camera camera = Camera(new Vector3(0, 0, 1));
            for (int i = 0; i < 5; i++)
            {
                player.enabled = false;
                yield return null;
                player.enabled = true;
                yield return null;
                Assert.AreEqual("", player.Error);
            }
            // Unity itself reports buffers that nobody released, as errors that fail the test.
            Object.Destroy(player.gameObject);
            Object.Destroy(camera.gameObject);
            yield return null;
            LogAssert.NoUnexpectedReceived();
        }
    }
}
