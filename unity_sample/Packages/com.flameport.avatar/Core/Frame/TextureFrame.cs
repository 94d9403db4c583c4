using System;

namespace Flameport
{
    /// <summary>A player's frame where there are no compute shaders: the processor fills a texture.</summary>
    public sealed class TextureFrame : PlayerFrame
    {
        private readonly ProcessorFrame frame;
        private readonly object texture;
        private int shown;

        /// <summary>Make it, of at most so many Gaussians.</summary>
        public TextureFrame(Avatar avatar, ICanvas canvas, int most) : base(canvas)
        {
            frame = new ProcessorFrame(avatar, most);
            texture = canvas.CreateTexels(ProcessorFrame.Width, frame.Height);
            Warning = (frame.Dropped == 0 ? "" : $"No compute shaders here: {frame.Dropped} of {frame.Dropped + frame.Count} "
                + "Gaussians are left out. ") + frame.LeftOut + frame.Slow;
        }

        public override bool IsAlive => Canvas.IsAlive(texture);
        public override string Warning { get; }
        public override HeadSphere Sphere => frame.Sphere;
        public override ReadOnlySpan<double> Root => frame.Root;

        public override void Pose(Pose pose) => frame.Apply(pose);

        public override void Prepare(CameraRows camera, ReadOnlySpan<double> place)
        {
            Depth = camera.Look(place, frame.Root, frame.Sphere, false);
            shown = frame.Project(camera);
            Canvas.Upload(texture, frame.Texels);
        }

        public override void Draw(CameraRows camera, Sheet color, float linear)
        {
            if (shown == 0) return;
            Look(camera, linear);
            Canvas.Set(Property.EllipseTexels, texture);
            Canvas.Draw(Program.Fallback, 0, 3 * shown);
        }

        public override void Dispose()
        {
            frame.Dispose();
            Canvas.Destroy(texture);
        }
    }
}
