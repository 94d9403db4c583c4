using UnityEngine;
using UnityEngine.Rendering;
using UnityEngine.Rendering.HighDefinition;

namespace Flameport
{
    /// <summary>Avatars in the High Definition Render Pipeline, experimental. In Unity 6 it comes by itself; in 2022.3 add it to
    /// a Custom Pass Volume, at "After Post Process", so that exposure and tone mapping leave trained colours alone.</summary>
    public sealed class AvatarCustomPass : CustomPass
    {
#if UNITY_6000_0_OR_NEWER
        private static AvatarCustomPass? everywhere;

#if UNITY_EDITOR
        [UnityEditor.InitializeOnLoadMethod]
#endif
        [RuntimeInitializeOnLoadMethod]
        private static void Begin()
        {
            if (everywhere != null) return;
            CustomPassVolume.RegisterGlobalCustomPass(CustomPassInjectionPoint.AfterPostProcess, everywhere =
                new AvatarCustomPass());
        }
#endif

        /// <inheritdoc/>
        protected override void Execute(CustomPassContext ctx)
        {
            if (!CameraHooks.Shows(ctx.hdCamera.camera)) return;
            // Buffers may be larger than what is drawn of them.
            RenderTexture? whole = ctx.cameraDepthBuffer.rt;
            CameraHooks.Record(ctx.cmd, ctx.hdCamera.camera, new CameraTarget
            {
                Color = ctx.cameraColorBuffer, Depth = ctx.cameraDepthBuffer, Samples = 1, IntoTexture = true,
                Width = ctx.hdCamera.actualWidth, Height = ctx.hdCamera.actualHeight,
                FullWidth = whole != null ? whole.width : 0, FullHeight = whole != null ? whole.height : 0,
            });
        }
    }
}
