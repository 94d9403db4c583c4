using UnityEngine;
using UnityEngine.Rendering;

namespace Flameport
{
    /// <summary>What a camera of a render pipeline draws into.</summary>
    internal struct CameraTarget
    {
        private static readonly int Temporary = Shader.PropertyToID("_FlameportPicture");
        private static readonly int TemporaryDepth = Shader.PropertyToID("_FlameportDepth");

        /// <summary>The picture, and the depth of what is solid in the scene.</summary>
        public RenderTargetIdentifier Color, Depth;
        /// <summary>A half-float target as large as those two; null: one is made.</summary>
        public RenderTargetIdentifier? Picture;
        /// <summary>Pixels that are drawn, and samples in each.</summary>
        public int Width, Height, Samples;
        /// <summary>For `GL.GetGPUProjectionMatrix`: the camera does not draw straight onto the window.</summary>
        public bool IntoTexture;

        /// <summary>Make the picture that avatars are blended in, empty, and draw into it.</summary>
        public RenderTargetIdentifier BeginPicture(CommandBuffer commands)
        {
            if (Picture == null) commands.GetTemporaryRT(Temporary, Described(RenderTextureFormat.ARGBHalf, 0), FilterMode.Point);
            RenderTargetIdentifier picture = Picture ?? Temporary;
            Begin(commands, picture, Depth);
            commands.ClearRenderTarget(false, true, UnityEngine.Color.clear);
            return picture;
        }

        /// <summary>Let it go.</summary>
        public void EndPicture(CommandBuffer commands)
        {
            if (Picture == null) commands.ReleaseTemporaryRT(Temporary);
        }

        /// <summary>Draw into the same colours with a depth of a mesh's own.</summary>
        public void BeginMeshes(CommandBuffer commands, RenderTargetIdentifier color)
        {
            commands.GetTemporaryRT(TemporaryDepth, Described(RenderTextureFormat.Depth, 32), FilterMode.Point);
            Begin(commands, color, TemporaryDepth);
        }

        /// <summary>Draw with the scene's depth again.</summary>
        public void EndMeshes(CommandBuffer commands, RenderTargetIdentifier color)
        {
            Begin(commands, color, Depth);
            commands.ReleaseTemporaryRT(TemporaryDepth);
        }

        /// <summary>Draw into a target.</summary>
        public void Begin(CommandBuffer commands, RenderTargetIdentifier color, RenderTargetIdentifier depth)
        {
            commands.SetRenderTarget(color, depth);
            commands.SetViewport(new Rect(0, 0, Width, Height));
        }

        private RenderTextureDescriptor Described(RenderTextureFormat format, int depth) =>
            new RenderTextureDescriptor(Width, Height, format, depth) { msaaSamples = Samples };
    }
}
