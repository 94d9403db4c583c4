using System;
using UnityEngine;
using UnityEngine.Rendering;
using Object = UnityEngine.Object;

namespace Flameport
{
    /// <summary>Unity's graphics, as the core asks for them: one for each player, with its asset's shaders.</summary>
    internal sealed class UnityCanvas : ICanvas
    {
        private static readonly int[] Names = Array.ConvertAll(Enum.GetNames(typeof(Property)),
            name => Shader.PropertyToID("_" + name));
        /// <summary>What is filled now, and for which camera's target.</summary>
        internal static CommandBuffer Commands = null!;
        internal static CameraTarget Now;

        private readonly ComputeShader kernels;
        private readonly int[] numbers;
        private readonly Material[] materials;
        private readonly MaterialPropertyBlock properties = new MaterialPropertyBlock();
        private readonly CommandBuffer own = new CommandBuffer { name = "Flameport pose" };

        public UnityCanvas(AvatarAsset asset)
        {
            if (asset.Kernels == null || Array.Exists(asset.Programs, shader => shader == null)) throw new
                AvatarFormatException($"'{asset.name}' lacks shaders of the package. Import it again.");
            kernels = asset.Kernels;
            numbers = HasKernels ? Array.ConvertAll(Enum.GetNames(typeof(Kernel)), kernels.FindKernel) : new int[0];
            materials = Array.ConvertAll(asset.Programs, shader => new Material(shader!) { hideFlags =
                HideFlags.HideAndDontSave });
        }

        /// <summary>Whether this device runs the kernels, and reads their buffers when it draws.</summary>
        public static bool HasKernels => SystemInfo.supportsComputeShaders && SystemInfo.maxComputeBufferInputsCompute >= 8
            && SystemInfo.maxComputeBufferInputsVertex >= 4;

        /// <summary>Pose a frame of this canvas, now.</summary>
        public void Pose(PlayerFrame frame, Pose pose)
        {
            own.Clear();
            Commands = own;
            frame.Pose(pose);
            Graphics.ExecuteCommandBuffer(own);
        }

        public void Dispose()
        {
            own.Release();
            foreach (Material material in materials) Object.DestroyImmediate(material);
        }

        public object CreateBuffer(int count, int stride, uint[]? words)
        {
            var buffer = new GraphicsBuffer(GraphicsBuffer.Target.Structured, count, stride);
            if (words != null && words.Length > 0) buffer.SetData(words);
            return buffer;
        }

        public object CreatePicture(byte[] png)
        {
            // `linear` textures give their numbers as they are.
            var one = new Texture2D(2, 2, TextureFormat.RGBA32, false, true);
            one.LoadImage(png);
            var picture = new Texture2DArray(one.width, one.height, 1, TextureFormat.RGBA32, false, true)
                { hideFlags = HideFlags.HideAndDontSave, wrapMode = TextureWrapMode.Clamp };
            picture.SetPixels32(one.GetPixels32(), 0);
            picture.Apply(false, true);
            Object.DestroyImmediate(one);
            return picture;
        }

        public object CreateTexels(int width, int height) => new Texture2D(width, height, TextureFormat.RGBAFloat, false, true)
            { hideFlags = HideFlags.HideAndDontSave, filterMode = FilterMode.Point };

        public bool IsAlive(object thing) => thing is GraphicsBuffer buffer ? buffer.IsValid() : (Object)thing != null;

        public void Destroy(object thing)
        {
            if (thing is GraphicsBuffer buffer) buffer.Dispose();
            else Object.DestroyImmediate((Object)thing);
        }

        public void Upload(object thing, float[] numbers)
        {
            if (thing is GraphicsBuffer buffer) Commands.SetBufferData(buffer, numbers);
            if (!(thing is Texture2D texture)) return;
            texture.SetPixelData(numbers, 0);
            texture.Apply(false);
        }

        public void Bind(Kernel kernel, Property name, object buffer) =>
            Commands.SetComputeBufferParam(kernels, numbers[(int)kernel], Names[(int)name], (GraphicsBuffer)buffer);

        public void SetConstant(Property name, int value) => Commands.SetComputeIntParam(kernels, Names[(int)name], value);

        public void Dispatch(Kernel kernel, int groups) =>
            Commands.DispatchCompute(kernels, numbers[(int)kernel], groups, 1, 1);

        public void Set(Property name, object thing)
        {
            if (thing is GraphicsBuffer buffer) properties.SetBuffer(Names[(int)name], buffer);
            else properties.SetTexture(Names[(int)name], (Texture)thing);
        }

        public void Set(Property name, int value) => properties.SetInteger(Names[(int)name], value);

        public void Set(Property name, float value) => properties.SetFloat(Names[(int)name], value);

        public void Set(Property name, float x, float y, float z, float w) =>
            properties.SetVector(Names[(int)name], new Vector4(x, y, z, w));

        public void Draw(Program program, int pass, int vertices)
        {
            if (program == Program.Composite) Commands.SetGlobalTexture(Names[(int)Property.AvatarPicture],
                CameraTarget.Picture);
            Commands.DrawProcedural(Matrix4x4.identity, materials[(int)program], pass, MeshTopology.Triangles, vertices, 1,
                properties);
        }

        public void Target(Sheet color, Sheet depth, bool clear)
        {
            Commands.SetRenderTarget(color == Sheet.Picture ? CameraTarget.Picture : Now.Color,
                depth == Sheet.MeshDepth ? CameraTarget.MeshDepth : Now.Depth);
            Commands.SetViewport(new Rect(0, 0, Now.Width, Now.Height));
            if (clear) Commands.ClearRenderTarget(false, true, Color.clear);
        }

        public void ClearDepth() => Commands.ClearRenderTarget(true, false, Color.clear);
    }
}
