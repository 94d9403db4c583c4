using System.Collections.Generic;
using UnityEngine;
using UnityEngine.Rendering;

namespace Flameport
{
    /// <summary>Which cameras show avatars, in which order, and when: by itself in the built-in pipeline; the files in URP and
    /// HDRP call <see cref="Record"/>.</summary>
    internal static class CameraHooks
    {
        /// <summary>After what is solid and the sky, before what is transparent.</summary>
        private const CameraEvent When = CameraEvent.BeforeForwardAlpha;
        private static readonly int PictureName = Shader.PropertyToID("_AvatarPicture");

        private static readonly List<AvatarPlayer> Players = new List<AvatarPlayer>(), Shown = new List<AvatarPlayer>();
        private static readonly Dictionary<Camera, CommandBuffer> Commands = new Dictionary<Camera, CommandBuffer>();
        private static readonly List<Camera> Gone = new List<Camera>(), Forced = new List<Camera>();
        private static readonly CameraRows Rows = new CameraRows();
        private static readonly double[] Place = new double[16];

        /// <summary>Show a player from now on.</summary>
        public static void Add(AvatarPlayer player)
        {
            if (Players.Count == 0) Camera.onPreCull += BeforeCulling;
            Players.Add(player);
        }

        /// <summary>Show it no more; with the last one, leave all cameras as they were.</summary>
        public static void Remove(AvatarPlayer player)
        {
            if (!Players.Remove(player) || Players.Count > 0) return;
            Camera.onPreCull -= BeforeCulling;
            Gone.AddRange(Commands.Keys);
            Forget();
            foreach (Camera camera in Forced) if (camera) camera.forceIntoRenderTexture = false;
            Forced.Clear();
        }

        /// <summary>Whether a camera shows avatars: no previews, no reflections, no orthographic ones.</summary>
        public static bool Shows(Camera camera) => Players.Count > 0 && !camera.orthographic
            && (camera.cameraType == CameraType.Game || camera.cameraType == CameraType.SceneView
                || camera.cameraType == CameraType.VR);

        private static void BeforeCulling(Camera camera)
        {
            if (!Shows(camera)) return;
            if (!Commands.TryGetValue(camera, out CommandBuffer commands))
            {
                foreach (Camera known in Commands.Keys) if (!known) Gone.Add(known);
                Forget();
                Commands[camera] = commands = new CommandBuffer { name = "Flameport" };
                camera.AddCommandBuffer(When, commands);
            }
            // Only so can an own target share the camera's depth, and is it known which way up it is.
            if (Application.isPlaying && !camera.targetTexture && !camera.forceIntoRenderTexture)
            {
                camera.forceIntoRenderTexture = true;
                Forced.Add(camera);
            }
            int samples = camera.targetTexture ? camera.targetTexture.antiAliasing : camera.allowMSAA
                && camera.actualRenderingPath == RenderingPath.Forward ? Mathf.Max(1, QualitySettings.antiAliasing) : 1;
            commands.Clear();
            Record(commands, camera, new CameraTarget
            {
                Color = BuiltinRenderTextureType.CameraTarget, Depth = BuiltinRenderTextureType.CameraTarget,
                Width = camera.pixelWidth, Height = camera.pixelHeight, Samples = samples, IntoTexture = true,
            });
        }

        private static void Forget()
        {
            foreach (Camera camera in Gone)
            {
                if (camera) camera.RemoveCommandBuffer(When, Commands[camera]);
                Commands[camera].Release();
                Commands.Remove(camera);
            }
            Gone.Clear();
        }

        /// <summary>Record everything that a camera shows of avatars.</summary>
        public static void Record(CommandBuffer commands, Camera camera, in CameraTarget target)
        {
            Matrix4x4 projection = camera.projectionMatrix;
            Fill(camera.worldToCameraMatrix, Rows.WorldToCamera);
            Fill(projection, Rows.Projection);
            Fill(GL.GetGPUProjectionMatrix(projection, target.IntoTexture), Rows.DeviceProjection);
            (Rows.Width, Rows.Height, Rows.Near) = (target.Width, target.Height, camera.nearClipPlane);
            Rows.Apply();
            Shown.Clear();
            bool exact = false;
            foreach (AvatarPlayer player in Players)
            {
                AvatarFrame? frame = player.Frame;
                if (frame == null || (camera.cullingMask & (1 << player.gameObject.layer)) == 0) continue;
                Fill(player.transform.localToWorldMatrix, Place);
                frame.Prepare(commands, Rows, Place);
                exact |= player.IsExact;
                // From the deepest to the nearest.
                int at = Shown.Count;
                while (at > 0 && Shown[at - 1].Frame!.Depth < frame.Depth) at--;
                Shown.Insert(at, player);
            }
            if (Shown.Count == 0) return;
            float linear = QualitySettings.activeColorSpace == ColorSpace.Linear ? 1 : 0;
            if (exact)
            {
                RenderTargetIdentifier picture = target.BeginPicture(commands);
                Draw(commands, target, picture, true, 0);
                target.Begin(commands, target.Color, target.Depth);
                commands.SetGlobalTexture(PictureName, picture);
                Shown[0].Frame!.Composite(commands, Rows, linear);
                target.EndPicture(commands);
            }
            else
            {
                target.Begin(commands, target.Color, target.Depth);
            }
            Draw(commands, target, target.Color, false, linear);
        }

        private static void Draw(CommandBuffer commands, in CameraTarget target, RenderTargetIdentifier color, bool exact,
            float linear)
        {
            foreach (AvatarPlayer player in Shown)
            {
                if (player.IsExact == exact) player.Frame!.Draw(commands, Rows, target, color, linear);
            }
        }

        private static void Fill(Matrix4x4 m, double[] rows)
        {
            for (int i = 0; i < 16; i++) rows[i] = m[i / 4, i % 4];
        }
    }
}
