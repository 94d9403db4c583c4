using UnityEngine.Experimental.Rendering;
using UnityEngine.Rendering;
using UnityEngine.Rendering.HighDefinition;

namespace Flameport
{
    /// <summary>Avatars in the High Definition Render Pipeline, experimental: add it to a Custom Pass Volume, at "After Post
    /// Process", so that exposure and tone mapping leave trained colours alone.</summary>
    public sealed class AvatarCustomPass : CustomPass
    {
        private RTHandle? picture;

        /// <inheritdoc/>
        protected override void Setup(ScriptableRenderContext renderContext, CommandBuffer cmd) =>
            picture = RTHandles.Alloc(UnityEngine.Vector2.one, colorFormat: GraphicsFormat.R16G16B16A16_SFloat,
                useDynamicScale: true, name: "Flameport");

        /// <inheritdoc/>
        protected override void Execute(CustomPassContext ctx)
        {
            if (!CameraHooks.Shows(ctx.hdCamera.camera)) return;
            CameraHooks.Record(ctx.cmd, ctx.hdCamera.camera, new CameraTarget
            {
                Color = ctx.cameraColorBuffer, Depth = ctx.cameraDepthBuffer, Picture = picture!.nameID, HasPicture = true,
                Samples = 1,
                Width = ctx.hdCamera.actualWidth, Height = ctx.hdCamera.actualHeight, IntoTexture = true,
            });
        }

        /// <inheritdoc/>
        protected override void Cleanup()
        {
            picture?.Release();
            picture = null;
        }
    }
}
