using System;
using UnityEngine;
using UnityEngine.Rendering;
using Object = UnityEngine.Object;

namespace Flameport
{
    /// <summary>One player's frame where there are no compute shaders: the processor fills a texture.</summary>
    internal sealed class CpuFrame : AvatarFrame
    {
        private static readonly int TexelsName = Shader.PropertyToID("_EllipseTexels");

        private readonly ProcessorFrame frame;
        private readonly Texture2D texture;
        private int shown;

        /// <summary>Make it, of at most so many Gaussians.</summary>
        public CpuFrame(AvatarAsset asset, int most) : base(asset.Fallback, asset.Composite)
        {
            frame = new ProcessorFrame(asset.Load(), most);
            texture = new Texture2D(ProcessorFrame.Width, frame.Height, TextureFormat.RGBAFloat, false, true)
                { hideFlags = HideFlags.HideAndDontSave, filterMode = FilterMode.Point };
            Warning = (frame.Dropped == 0 ? "" : $"No compute shaders here: {frame.Dropped} of {frame.Dropped + frame.Count} "
                + "Gaussians are left out. ") + frame.LeftOut;
        }

        public override bool IsValid => texture != null;
        public override string Warning { get; }
        public override HeadSphere Sphere => frame.Sphere;
        public override ReadOnlySpan<double> Root => frame.Root;

        public override void Pose(Pose pose) => frame.Apply(pose);

        public override void Prepare(CommandBuffer commands, CameraRows camera, double[] place)
        {
            Depth = camera.Look(place, frame.Root, frame.Sphere, false);
            shown = frame.Project(camera);
            texture.SetPixelData(frame.Texels, 0);
            texture.Apply(false);
        }

        public override void Draw(CommandBuffer commands, CameraRows camera, in CameraTarget target,
            RenderTargetIdentifier color, float linear)
        {
            Look(camera, linear);
            properties.SetTexture(TexelsName, texture);
            if (shown > 0) commands.DrawProcedural(Matrix4x4.identity, splats, 0, MeshTopology.Triangles, 3 * shown, 1,
                properties);
        }

        public override void Dispose()
        {
            base.Dispose();
            Object.DestroyImmediate(texture);
        }
    }
}
