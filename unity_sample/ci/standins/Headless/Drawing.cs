#nullable disable
using System.Collections.Generic;
using UnityEngine;
using UnityEngine.Rendering;

namespace Flameport.Headless
{
    /// <summary>How cameras draw: the built-in pipeline's order of events, or what a pipeline's stand-in does.</summary>
    public static class Drawing
    {
        private static readonly List<(RenderParams said, MeshTopology topology, int vertices, int instances)> queued =
            new List<(RenderParams, MeshTopology, int, int)>();

        internal static void Later(in RenderParams said, MeshTopology topology, int vertices, int instances) =>
            queued.Add((said, topology, vertices, instances));

        /// <summary>Choose the pipeline; null is the built-in one.</summary>
        public static void Use(RenderPipelineAsset pipeline)
        {
            GraphicsSettings.Now = pipeline;
            RenderPipelineManager.Changed();
        }

        /// <summary>How many functions listen for cameras, of whichever pipeline.</summary>
        public static int Listeners => RenderPipelineManager.Listeners + Count(Camera.onPreCull) + Count(Camera.onPreRender)
            + Count(Camera.onPostRender);

        private static int Count(System.Delegate many) => many == null ? 0 : many.GetInvocationList().Length;

        /// <summary>Let every active camera draw, by depth; then forget what scripts queued for this frame.</summary>
        public static void Frame()
        {
            var cameras = new List<Camera>(Camera.allCameras);
            cameras.Sort((a, b) => a.depth.CompareTo(b.depth));
            foreach (Camera camera in cameras) Render(camera);
            EndFrame();
        }

        /// <summary>What the end of a frame does to draws that scripts queued.</summary>
        public static void EndFrame() => queued.Clear();

        /// <summary>Draw one camera.</summary>
        public static void Render(Camera camera)
        {
            if (!camera) throw new EngineException("Render: a camera that was destroyed");
            camera.Picture = camera.targetTexture ? camera.targetTexture : Screen(camera);
            Gpu.NowCamera = camera;
            RenderPipelineAsset pipeline = GraphicsSettings.Now;
            if (!Trace.Silent)
            {
                Trace.Write("camera", ("name", camera.Text), ("target", camera.Picture.Id("camera")), ("reversedZ",
                    Engine.ReversedZ), ("pipeline", pipeline ? pipeline.GetType().Name : "built-in"), ("linear", Engine.Linear));
            }
            if (pipeline)
            {
                RenderPipelineManager.Many.Clear();
                RenderPipelineManager.Many.Add(camera);
                RenderPipelineManager.Begin(camera);
                pipeline.Headless(default, camera);
                RenderPipelineManager.End(camera);
            }
            else BuiltIn(camera);
            // Temporary targets live until the end of the camera's drawing; what is not released then is a mistake here.
            Gpu.CheckTemporaries();
            if (!Trace.Silent)
            {
                Trace.Write("present", ("name", camera.Text), ("target", camera.Picture.Id("camera")),
                    ("flipped", camera.IntoTexture && Engine.UvStartsAtTop), ("frame", Time.frameCount));
            }
            Gpu.NowCamera = null;
        }

        private static void BuiltIn(Camera camera)
        {
            Camera.onPreCull?.Invoke(camera);
            Camera.onPreRender?.Invoke(camera);
            Begin(camera);
            Events(camera, CameraEvent.BeforeDepthTexture, CameraEvent.AfterSkybox);
            Events(camera, CameraEvent.BeforeForwardAlpha, CameraEvent.BeforeForwardAlpha);
            Transparent(camera);
            Events(camera, CameraEvent.AfterForwardAlpha, CameraEvent.AfterEverything);
            Camera.onPostRender?.Invoke(camera);
        }

        /// <summary>Set the camera's target and clear it as the camera says.</summary>
        public static void Begin(Camera camera)
        {
            ToTarget();
            bool color = camera.clearFlags != CameraClearFlags.Depth && camera.clearFlags != CameraClearFlags.Nothing;
            Color background = Engine.Linear ? camera.backgroundColor.linear : camera.backgroundColor;
            Gpu.Clear(color, camera.clearFlags != CameraClearFlags.Nothing, background, 1);
        }

        internal static void ToTarget() =>
            Gpu.Target(BuiltinRenderTextureType.CameraTarget, BuiltinRenderTextureType.CameraTarget, RenderBufferLoadAction.Load);

        private static void Events(Camera camera, CameraEvent from, CameraEvent to)
        {
            for (int i = 0; i < camera.Events.Count; i++)
            {
                if (camera.Events[i].at < from || camera.Events[i].at > to) continue;
                ToTarget();
                Gpu.Run(camera.Events[i].buffer);
            }
            ToTarget();
        }

        /// <summary>Draw what scripts queued for this camera, far ones first.</summary>
        public static void Transparent(Camera camera)
        {
            for (int i = 0; i < queued.Count; i++)
            {
                (RenderParams said, MeshTopology topology, int vertices, int instances) = queued[i];
                if (said.camera && said.camera != camera) continue;
                if ((camera.cullingMask & 1 << said.layer) == 0) continue;
                Gpu.Draw(said.material, 0, topology, vertices, instances, said.matProps);
            }
        }

        private static readonly Dictionary<int, RenderTexture> screens = new Dictionary<int, RenderTexture>();

        private static RenderTexture Screen(Camera camera)
        {
            if (!screens.TryGetValue(camera.Identity, out RenderTexture found) || !found || found.width != Engine.ScreenWidth
                || found.height != Engine.ScreenHeight)
            {
                if (found) Engine.Destroy(found);
                RenderTextureFormat format = Engine.Hdr ? RenderTextureFormat.ARGBHalf : RenderTextureFormat.ARGB32;
                found = screens[camera.Identity] = new RenderTexture(Engine.ScreenWidth, Engine.ScreenHeight, 24,
                    format) { name = "screen" };
            }
            return found;
        }

        /// <summary>Free what the engine itself holds on the card.</summary>
        public static void Close()
        {
            foreach (RenderTexture one in screens.Values) Engine.Destroy(one);
            screens.Clear();
            Gpu.EmptyPool();
            Gpu.Globals.Clear();
        }
    }
}
