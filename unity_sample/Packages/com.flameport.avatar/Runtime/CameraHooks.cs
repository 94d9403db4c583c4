using System.Collections.Generic;
using UnityEngine;
using UnityEngine.Rendering;

namespace Flameport
{
    /// <summary>What a camera of a render pipeline draws into.</summary>
    internal struct CameraTarget
    {
        /// <summary>A depth that meshes have for themselves.</summary>
        public static readonly int MeshDepth = Shader.PropertyToID("_FlameportDepth");

        /// <summary>A half-float picture that avatars are blended in.</summary>
        public static readonly int Picture = Shader.PropertyToID("_FlameportPicture");

        /// <summary>The camera's colours and the depth of what is solid.</summary>
        public RenderTargetIdentifier Color, Depth;
        /// <summary>Pixels that are drawn, and samples in each.</summary>
        public int Width, Height, Samples;
        /// <summary>Pixels that the targets have, where that is more.</summary>
        public int FullWidth, FullHeight;
        /// <summary>For `GL.GetGPUProjectionMatrix`: the camera does not draw straight onto the window.</summary>
        public bool IntoTexture;
    }

    /// <summary>Which cameras show avatars, and when: by itself in the built-in pipeline; the files in URP and HDRP call <see
    /// cref="Record"/>.</summary>
    internal static class CameraHooks
    {
        /// <summary>After what is solid and the sky, before what is transparent.</summary>
        private const CameraEvent When = CameraEvent.BeforeForwardAlpha;
        private static readonly List<AvatarPlayer> Players = new List<AvatarPlayer>();
        /// <summary>Cameras before the buffer of one is filled for another: a render thread may still be reading it.</summary>
        private const int Rest = 4;
        private static readonly Queue<CommandBuffer> Spare = new Queue<CommandBuffer>();
        private static readonly Stack<(Camera to, CommandBuffer commands)> Given = new Stack<(Camera, CommandBuffer)>();
        private static readonly CameraFrame Frame = new CameraFrame();
        private static readonly double[] Place = new double[16];

        /// <summary>Show a player from now on.</summary>
        public static void Add(AvatarPlayer player)
        {
            if (Players.Count == 0)
            {
                Camera.onPreCull += BeforeCulling;
                Camera.onPostRender += AfterRendering;
            }
            Players.Add(player);
        }

        /// <summary>Show it no more.</summary>
        public static void Remove(AvatarPlayer player)
        {
            if (!Players.Remove(player) || Players.Count > 0) return;
            Camera.onPreCull -= BeforeCulling;
            Camera.onPostRender -= AfterRendering;
            while (Given.Count > 0) TakeBack();
            while (Spare.Count > 0) Spare.Dequeue().Release();
        }

        /// <summary>Whether a camera shows avatars: no previews, no reflections, no orthographic ones.</summary>
        public static bool Shows(Camera camera) => Players.Count > 0 && !camera.orthographic
            && (camera.cameraType & (CameraType.Game | CameraType.SceneView | CameraType.VR)) != 0;

        private static void BeforeCulling(Camera camera)
        {
            if (!Shows(camera)) return;
            // Only so can an own target share the camera's depth, and is it known which way up it is.
            if (Application.isPlaying && !camera.targetTexture) camera.forceIntoRenderTexture = true;
            int samples = camera.targetTexture ? camera.targetTexture.antiAliasing : camera.allowMSAA
                && camera.actualRenderingPath == RenderingPath.Forward ? Mathf.Max(1, QualitySettings.antiAliasing) : 1;
            // A camera may draw while another one does.
            CommandBuffer commands = Spare.Count >= Rest ? Spare.Dequeue() : new CommandBuffer { name = "Flameport" };
            commands.Clear();
            Record(commands, camera, new CameraTarget
            {
                Color = BuiltinRenderTextureType.CameraTarget, Depth = BuiltinRenderTextureType.CameraTarget,
                Width = camera.pixelWidth, Height = camera.pixelHeight, Samples = samples, IntoTexture = true,
            });
            camera.AddCommandBuffer(When, commands);
            Given.Push((camera, commands));
        }

        private static void AfterRendering(Camera camera)
        {
            while (Given.Count > 0 && Given.Peek().to == camera) TakeBack();
        }

        private static void TakeBack()
        {
            (Camera to, CommandBuffer commands) = Given.Pop();
            if (to) to.RemoveCommandBuffer(When, commands);
            Spare.Enqueue(commands);
        }

        /// <summary>Record everything that a camera shows of avatars.</summary>
        public static void Record(CommandBuffer commands, Camera camera, in CameraTarget target)
        {
            CameraRows rows = Frame.Camera;
            Fill(camera.worldToCameraMatrix, rows.WorldToCamera);
            Fill(camera.projectionMatrix, rows.Projection);
            Fill(GL.GetGPUProjectionMatrix(camera.projectionMatrix, target.IntoTexture), rows.DeviceProjection);
            (rows.Width, rows.Height, rows.Near) = (target.Width, target.Height, camera.nearClipPlane);
            (UnityCanvas.Commands, UnityCanvas.Now) = (commands, target);
            Frame.Begin();
            foreach (AvatarPlayer player in Players)
            {
                if (player.Frame == null || (camera.cullingMask & (1 << player.gameObject.layer)) == 0) continue;
                Fill(player.transform.localToWorldMatrix, Place);
                Frame.Add(player.Frame, Place);
            }
            if (Frame.NeedsPicture) Get(commands, CameraTarget.Picture, target, RenderTextureFormat.ARGBHalf, 0);
            if (Frame.NeedsMeshDepth) Get(commands, CameraTarget.MeshDepth, target, RenderTextureFormat.Depth, 32);
            Frame.Draw(QualitySettings.activeColorSpace == ColorSpace.Linear ? 1 : 0);
            if (Frame.NeedsPicture) commands.ReleaseTemporaryRT(CameraTarget.Picture);
            if (Frame.NeedsMeshDepth) commands.ReleaseTemporaryRT(CameraTarget.MeshDepth);
        }

        private static void Get(CommandBuffer commands, int name, in CameraTarget like, RenderTextureFormat format, int depth) =>
            commands.GetTemporaryRT(name, new RenderTextureDescriptor(Mathf.Max(like.Width, like.FullWidth),
                Mathf.Max(like.Height, like.FullHeight), format, depth) { msaaSamples = like.Samples }, FilterMode.Point);

        private static void Fill(Matrix4x4 m, double[] rows)
        {
            for (int i = 0; i < 16; i++) rows[i] = m[i / 4, i % 4];
        }
    }
}
