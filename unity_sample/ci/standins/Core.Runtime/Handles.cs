#nullable disable
using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Flameport.Headless;
using UnityEngine.Experimental.Rendering;

[assembly: InternalsVisibleTo("Unity.RenderPipelines.Universal.Runtime")]
[assembly: InternalsVisibleTo("Unity.RenderPipelines.HighDefinition.Runtime")]

namespace UnityEngine.Rendering
{
    // com.unity.render-pipelines.core: RTHandle, RTHandles
    public class RTHandle
    {
        internal RenderTargetIdentifier Identity;
        private readonly System.Func<RenderTextureDescriptor> wanted;
        internal RTHandle(RenderTargetIdentifier identity) { Identity = identity; }
        /// <summary>One that is as large as the camera that draws; the real ones are as large as the largest camera.</summary>
        internal RTHandle(System.Func<RenderTextureDescriptor> wanted) { this.wanted = wanted; }
        public RenderTexture rt => Identity.Picture as RenderTexture;
        public RenderTargetIdentifier nameID
        {
            get
            {
                if (wanted == null) return Identity;
                RenderTextureDescriptor said = wanted();
                if (rt && rt.width == said.width && rt.height == said.height) return Identity;
                Release();
                return Identity = new RenderTexture(said) { name = "handle" };
            }
        }
        public string name => "handle";
        public bool useScaling => false;
        public Vector4 rtHandleProperties => new Vector4(1, 1, 1, 1);
        public void Release()
        {
            if (rt) Engine.Destroy(rt);
        }
        public static implicit operator RenderTargetIdentifier(RTHandle handle) => handle == null ? default : handle.nameID;
        public static implicit operator RenderTexture(RTHandle handle) => handle?.rt;
        public static implicit operator Texture(RTHandle handle) => handle?.rt;
    }

    public static class RTHandles
    {
        public static RTHandle Alloc(in RenderTextureDescriptor descriptor, FilterMode filterMode = FilterMode.Point,
            TextureWrapMode wrapMode = TextureWrapMode.Repeat, bool isShadowMap = false, int anisoLevel = 1,
                float mipMapBias = 0, string name = "") =>
            new RTHandle(new RenderTexture(descriptor) { name = name });
        /// <summary>A target of the current camera's size times the factor.</summary>
        public static RTHandle Alloc(Vector2 scaleFactor, int slices = 1, DepthBits depthBufferBits = DepthBits.None,
            GraphicsFormat colorFormat = GraphicsFormat.R8G8B8A8_SRGB, FilterMode filterMode = FilterMode.Point,
            TextureWrapMode wrapMode = TextureWrapMode.Repeat, TextureDimension dimension = TextureDimension.Tex2D,
            bool enableRandomWrite = false, bool useMipMap = false, bool autoGenerateMips = true, bool isShadowMap = false,
                int anisoLevel = 1,
            float mipMapBias = 0, MSAASamples msaaSamples = MSAASamples.None, bool bindTextureMS = false,
                bool useDynamicScale = false,
            RenderTextureMemoryless memoryless = RenderTextureMemoryless.None, string name = "")
        {
            return new RTHandle(() => new RenderTextureDescriptor((int)(Gpu.NowCamera.pixelWidth * scaleFactor.x),
                (int)(Gpu.NowCamera.pixelHeight * scaleFactor.y)) { graphicsFormat = colorFormat });
        }
        public static RTHandle Alloc(RenderTargetIdentifier texture) => new RTHandle(texture);
        public static RTHandle Alloc(RenderTexture texture) => new RTHandle(texture);
        public static void Release(RTHandle rth) => rth.Release();
    }

    // com.unity.render-pipelines.core: ProfilingSampler, CoreUtils, CommandBufferPool
    public class ProfilingSampler { public ProfilingSampler(string name) { this.name = name; } public string name { get; } }
    public struct ProfilingScope : IDisposable
    {
        public ProfilingScope(CommandBuffer cmd, ProfilingSampler sampler) { }
        public void Dispose() { }
    }
    public static class CommandBufferPool
    {
        private static readonly Stack<CommandBuffer> free = new Stack<CommandBuffer>();
        public static CommandBuffer Get() => Get("");
        public static CommandBuffer Get(string name)
        {
            CommandBuffer found = free.Count > 0 ? free.Pop() : new CommandBuffer();
            found.Clear();
            found.name = name;
            return found;
        }
        public static void Release(CommandBuffer buffer) => free.Push(buffer);
    }
    public static class CoreUtils
    {
        public static void Destroy(Object obj)
        {
            if (obj) Engine.Destroy(obj);
        }
        public static Material CreateEngineMaterial(Shader shader) => new Material(shader);
        public static void SetRenderTarget(CommandBuffer cmd, RTHandle buffer, ClearFlag clearFlag = ClearFlag.None) =>
            cmd.SetRenderTarget(buffer);
        public static void SetRenderTarget(CommandBuffer cmd, RTHandle colorBuffer, RTHandle depthBuffer,
            ClearFlag clearFlag = ClearFlag.None) =>
            cmd.SetRenderTarget(colorBuffer, depthBuffer);
    }
    public enum MSAASamples { None = 1, MSAA2x = 2, MSAA4x = 4, MSAA8x = 8 }
    public enum DepthBits { None = 0, Depth8 = 8, Depth16 = 16, Depth24 = 24, Depth32 = 32 }
    [Flags]
    public enum ClearFlag { None = 0, Color = 1, Depth = 2, Stencil = 4, All = 7 }

    public abstract class VolumeComponent : ScriptableObject { }

#if UNITY_6000_0_OR_NEWER
    // com.unity.render-pipelines.core 17: ContextContainer
    public abstract class ContextItem { public abstract void Reset(); }
    public class ContextContainer
    {
        private readonly Dictionary<Type, ContextItem> items = new Dictionary<Type, ContextItem>();
        public T Get<T>() where T : ContextItem, new() => items.TryGetValue(typeof(T), out ContextItem found) ? (T)found
            : throw new InvalidOperationException($"Type {typeof(T).FullName} has not been created yet.");
        public T Create<T>() where T : ContextItem, new() => (T)(items[typeof(T)] = new T());
        public bool Contains<T>() where T : ContextItem, new() => items.ContainsKey(typeof(T));
    }

    // Command buffers that render graph passes get; each wraps the engine's.
    public class BaseCommandBuffer
    {
        internal readonly CommandBuffer Wrapped;
        internal BaseCommandBuffer(CommandBuffer wrapped) { Wrapped = wrapped; }
        public string name => Wrapped.name;
        public void SetGlobalVector(int nameID, Vector4 value) => Wrapped.SetGlobalVector(nameID, value);
        public void SetGlobalFloat(int nameID, float value) => Wrapped.SetGlobalFloat(nameID, value);
    }
    public class RasterCommandBuffer : BaseCommandBuffer
    {
        internal RasterCommandBuffer(CommandBuffer wrapped) : base(wrapped) { }
        public void ClearRenderTarget(bool clearDepth, bool clearColor, Color backgroundColor) =>
            Wrapped.ClearRenderTarget(clearDepth, clearColor, backgroundColor);
        public void DrawProcedural(Matrix4x4 matrix, Material material, int shaderPass, MeshTopology topology,
            int vertexCount, int instanceCount, MaterialPropertyBlock properties) =>
            Wrapped.DrawProcedural(matrix, material, shaderPass, topology, vertexCount, instanceCount, properties);
        public void DrawProcedural(Matrix4x4 matrix, Material material, int shaderPass, MeshTopology topology, int vertexCount) =>
            Wrapped.DrawProcedural(matrix, material, shaderPass, topology, vertexCount);
    }
    public class ComputeCommandBuffer : BaseCommandBuffer
    {
        internal ComputeCommandBuffer(CommandBuffer wrapped) : base(wrapped) { }
        public void DispatchCompute(ComputeShader computeShader, int kernelIndex, int threadGroupsX, int threadGroupsY,
            int threadGroupsZ) =>
            Wrapped.DispatchCompute(computeShader, kernelIndex, threadGroupsX, threadGroupsY, threadGroupsZ);
        public void SetComputeIntParam(ComputeShader computeShader, int nameID, int val) =>
            Wrapped.SetComputeIntParam(computeShader, nameID, val);
        public void SetComputeBufferParam(ComputeShader computeShader, int kernelIndex, int nameID, GraphicsBuffer buffer) =>
            Wrapped.SetComputeBufferParam(computeShader, kernelIndex, nameID, buffer);
    }
    public class UnsafeCommandBuffer : BaseCommandBuffer
    {
        internal UnsafeCommandBuffer(CommandBuffer wrapped) : base(wrapped) { }
        public void SetRenderTarget(RenderTargetIdentifier color, RenderTargetIdentifier depth) =>
            Wrapped.SetRenderTarget(color, depth);
        public void SetRenderTarget(RenderTargetIdentifier rt) => Wrapped.SetRenderTarget(rt);
        public void ClearRenderTarget(bool clearDepth, bool clearColor, Color backgroundColor) =>
            Wrapped.ClearRenderTarget(clearDepth, clearColor, backgroundColor);
    }
    public struct CommandBufferHelpers
    {
        public static CommandBuffer GetNativeCommandBuffer(UnsafeCommandBuffer baseBuffer) => baseBuffer.Wrapped;
    }
#endif
}
