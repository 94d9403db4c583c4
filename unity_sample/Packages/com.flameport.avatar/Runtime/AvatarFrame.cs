using System;
using UnityEngine;
using UnityEngine.Rendering;
using Object = UnityEngine.Object;

namespace Flameport
{
    /// <summary>What one player has on the graphics card, and how it gets onto a camera's picture.</summary>
    internal abstract class AvatarFrame : IDisposable
    {
        private static readonly int PictureName = Shader.PropertyToID("_Picture"), DepthName = Shader.PropertyToID("_Depth");
        private static readonly int LinearName = Shader.PropertyToID("_Linear");

        private readonly Material composite;
        protected readonly Material splats;
        protected readonly MaterialPropertyBlock properties = new MaterialPropertyBlock();

        protected AvatarFrame(Shader? splats, Shader? composite)
        {
            this.splats = Made(splats);
            this.composite = Made(composite);
        }

        /// <summary>Whether everything is still there: devices can be lost.</summary>
        public abstract bool IsValid { get; }
        /// <summary>What is not shown; empty for nothing.</summary>
        public abstract string Warning { get; }
        public abstract HeadSphere Sphere { get; }
        /// <summary>Row-major 3 x 4 of the root joint.</summary>
        public abstract ReadOnlySpan<double> Root { get; }
        /// <summary>Mesh layers need the exact way.</summary>
        public virtual bool HasMeshes => false;
        /// <summary>Draw the textured head too.</summary>
        public bool ShowHead { get; set; }
        /// <summary>View depth of the head, for the camera that was prepared last.</summary>
        public double Depth { get; protected set; }

        /// <summary>Take a pose.</summary>
        public abstract void Pose(Pose pose);
        /// <summary>Project and order for a camera.</summary>
        public abstract void Prepare(CommandBuffer commands, CameraRows camera, double[] place);
        /// <summary>Draw what was prepared into the colours that are set.</summary>
        public abstract void Draw(CommandBuffer commands, CameraRows camera, in CameraTarget target,
            RenderTargetIdentifier color, float linear);

        public virtual void Dispose()
        {
            Object.DestroyImmediate(splats);
            Object.DestroyImmediate(composite);
        }

        /// <summary>Put the picture that avatars were blended in onto the camera's.</summary>
        public void Composite(CommandBuffer commands, CameraRows camera, float linear)
        {
            Look(camera, linear);
            commands.DrawProcedural(Matrix4x4.identity, composite, 0, MeshTopology.Triangles, 3, 1, properties);
        }

        /// <summary>Say where the camera looks.</summary>
        protected void Look(CameraRows camera, float linear)
        {
            properties.SetVector(PictureName, new Vector4(camera.Width, camera.Height, camera.Flip, 0));
            properties.SetVector(DepthName, new Vector4(camera.DepthScale, camera.DepthOffset, 0, 0));
            properties.SetFloat(LinearName, linear);
        }

        /// <summary>Return a material of a shader that the asset has.</summary>
        protected static Material Made(Shader? shader) => new Material(shader!) { hideFlags = HideFlags.HideAndDontSave };
    }
}
