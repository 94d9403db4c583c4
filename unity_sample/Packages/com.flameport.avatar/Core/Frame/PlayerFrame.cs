using System;

namespace Flameport
{
    /// <summary>What one player has on the graphics card, and how it gets onto a camera's picture.</summary>
    public abstract class PlayerFrame : IDisposable
    {
        protected PlayerFrame(ICanvas canvas) { Canvas = canvas; }

        public ICanvas Canvas { get; }
        /// <summary>Whether everything is still there: devices can be lost.</summary>
        public abstract bool IsAlive { get; }
        /// <summary>What is not shown; empty for nothing.</summary>
        public abstract string Warning { get; }
        /// <summary>Around the head at rest; <see cref="Root"/> moves it.</summary>
        public abstract HeadSphere Sphere { get; }
        /// <summary>Row-major 3 x 4 of the root joint.</summary>
        public abstract ReadOnlySpan<double> Root { get; }
        /// <summary>Whether meshes are drawn too, for which only the exact way is.</summary>
        public virtual bool HasMeshes => false;
        /// <summary>Draw the textured head too, under the Gaussians, where the file has a picture of it.</summary>
        public bool ShowHead { get; set; }
        /// <summary>Blend apart from the camera's picture, in the colours of training, and put the result onto it.</summary>
        public bool Exact { get; set; } = true;
        /// <summary>View depth of the head, for the camera that was prepared last.</summary>
        public double Depth { get; protected set; }
        /// <summary>View depth before which nothing of its meshes is; 0 without meshes, whose Gaussians are tested one by
        /// one.</summary>
        public double Front { get; protected set; }

        /// <summary>Take a pose; throws <see cref="SequenceException"/> where it lacks what dynamics read.</summary>
        public abstract void Pose(Pose pose);

        /// <summary>Project and order for a camera; <paramref name="place"/> is the object's row-major 4 x 4.</summary>
        public abstract void Prepare(CameraRows camera, ReadOnlySpan<double> place);

        /// <summary>Draw what was prepared into a target that is set, in linear colours where <paramref name="linear"/> is
        /// 1.</summary>
        public abstract void Draw(CameraRows camera, Sheet color, float linear);

        public abstract void Dispose();

        /// <summary>Return a frame of an avatar, on kernels or else on the processor with so many Gaussians at most.</summary>
        public static PlayerFrame Of(Avatar avatar, ICanvas canvas, bool hasKernels, bool shortKeys, int most) => hasKernels
            ? (PlayerFrame)new KernelFrame(avatar, canvas, shortKeys) : new TextureFrame(avatar, canvas, most);

        /// <summary>Where the middle of the sphere is now, in the object's left-handed axes.</summary>
        public (float x, float y, float z) Middle()
        {
            Span<double> moved = stackalloc double[3];
            Sphere.Move(Root, moved);
            Handedness.MirrorPoints(moved);
            return ((float)moved[0], (float)moved[1], (float)moved[2]);
        }

        /// <summary>Put the picture that avatars were blended in onto the camera's, at a view depth.</summary>
        public void Composite(CameraRows camera, float linear, double front)
        {
            Look(camera, linear);
            Canvas.Set(Property.Front, camera.ClipDepth(front));
            Canvas.Draw(Program.Composite, 0, 3);
        }

        /// <summary>Say where the camera looks.</summary>
        protected void Look(CameraRows camera, float linear)
        {
            Canvas.Set(Property.Picture, camera.Width, camera.Height, camera.Flip, 0);
            Canvas.Set(Property.Depth, camera.DepthScale, camera.DepthOffset, 0, 0);
            Canvas.Set(Property.Linear, linear);
        }
    }
}
