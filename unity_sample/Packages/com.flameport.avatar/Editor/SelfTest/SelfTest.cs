using System;
using UnityEngine;
using UnityEngine.Rendering;
using Object = UnityEngine.Object;

namespace Flameport.Editing
{
    /// <summary>Compares what this machine's card and this project's pipeline make with flameport's reference.</summary>
    public static class SelfTest
    {
        /// <summary>Run every kernel and a player, and return what came of it.</summary>
        public static SelfTestReport Run()
        {
            var report = new SelfTestReport();
            RenderPipelineAsset? pipeline = GraphicsSettings.currentRenderPipeline;
            report.Facts("unity", Application.unityVersion, "system", SystemInfo.operatingSystem,
                "card", $"{SystemInfo.graphicsDeviceName}, {SystemInfo.graphicsDeviceVersion}",
                "pipeline", pipeline == null ? "built-in" : pipeline.GetType().Name,
                "colours", QualitySettings.activeColorSpace.ToString());
            SelfTestFile file = SelfTestFile.Read(AvatarImporter.Loaded<TextAsset>("Editor/SelfTest/SelfTest.bytes").bytes);
            report.Attempt("kernels", () => Kernels(report, file));
            report.Attempt("player", () => Player(report, file));
            return report;
        }

        private static void Kernels(SelfTestReport report, SelfTestFile file)
        {
            bool able = SystemInfo.supportsComputeShaders && SystemInfo.supportsAsyncGPUReadback;
            if (!able) throw new InvalidOperationException("no compute shaders here; avatars play on the processor");
            using var card = new SelfTestCard(file, AvatarImporter.Loaded<ComputeShader>("Shaders/AvatarKernels.compute"));
            card.Run(report, AvatarImporter.Loaded<Shader>("Shaders/Avatar.shader"));
        }

        private static void Player(SelfTestReport report, SelfTestFile file)
        {
            if (Application.isPlaying) throw new InvalidOperationException("the game runs; stop it first");
            var stage = new GameObject("Self-test") { hideFlags = HideFlags.HideAndDontSave };
            var target = new RenderTexture(file.Picture.Width, file.Picture.Height, 24, RenderTextureFormat.ARGB32);
            var shown = new Texture2D(target.width, target.height, TextureFormat.RGB24, false);
            AvatarAsset asset = AvatarImporter.Asset(file.Player.Avatar, path => { });
            try
            {
                var player = stage.AddComponent<AvatarPlayer>();
                player.Posing += (pose, seconds) => file.Player.Drive(pose);
                player.Avatar = asset;
                player.Seek(0);
                Watch(stage, file.Player, target).Render();
                RenderTexture.active = target;
                shown.ReadPixels(new Rect(0, 0, target.width, target.height), 0, 0);
                RenderTexture.active = null;
                report.Add(file.Picture.CompareShown(shown.GetRawTextureData(), file.Player.Bound));
                if (player.Error.Length > 0) report.Fail("player", player.Error);
            }
            finally
            {
                foreach (Object made in new Object[] { stage, target, shown, asset }) Object.DestroyImmediate(made);
            }
        }

        private static Camera Watch(GameObject stage, SelfTestPlayer said, RenderTexture target)
        {
            var camera = new GameObject("Camera") { hideFlags = HideFlags.HideAndDontSave }.AddComponent<Camera>();
            camera.transform.SetParent(stage.transform, false);
            camera.transform.position = Vector(said.Position);
            camera.transform.rotation = Quaternion.LookRotation(Vector(said.Forward), Vector(said.Up));
            camera.enabled = camera.allowHDR = camera.allowMSAA = false;
            (camera.fieldOfView, camera.nearClipPlane) = ((float)said.FieldOfView, 0.1f);
            (camera.clearFlags, camera.backgroundColor) = (CameraClearFlags.SolidColor, Color.white);
            camera.targetTexture = target;
            return camera;
        }

        private static Vector3 Vector(double[] v) => new Vector3((float)v[0], (float)v[1], (float)v[2]);
    }
}
