#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;
using Unity.Collections;
using UnityEngine.Experimental.Rendering;
using UnityEngine.Profiling;

namespace UnityEngine.Rendering
{
    // ScriptReference/Rendering.RenderTargetIdentifier
    public struct RenderTargetIdentifier : IEquatable<RenderTargetIdentifier>
    {
        internal BuiltinRenderTextureType Type;
        internal int Name;
        internal Texture Picture;
        public static readonly int AllDepthSlices = -1;
        public RenderTargetIdentifier(BuiltinRenderTextureType type) { Type = type; Name = 0; Picture = null; }
        public RenderTargetIdentifier(int nameID) { Type = BuiltinRenderTextureType.PropertyName;
            Name = Shader.CheckId(nameID); Picture = null; }
        public RenderTargetIdentifier(string name) : this(Shader.PropertyToID(name)) { }
        public RenderTargetIdentifier(Texture tex) { Type = BuiltinRenderTextureType.BindableTexture; Name = 0; Picture = tex; }
        public static implicit operator RenderTargetIdentifier(BuiltinRenderTextureType type) => new RenderTargetIdentifier(type);
        public static implicit operator RenderTargetIdentifier(string name) => new RenderTargetIdentifier(name);
        public static implicit operator RenderTargetIdentifier(int nameID) => new RenderTargetIdentifier(nameID);
        public static implicit operator RenderTargetIdentifier(Texture tex) => new RenderTargetIdentifier(tex);
        public bool Equals(RenderTargetIdentifier o) => Type == o.Type && Name == o.Name && ReferenceEquals(Picture, o.Picture);
        public override bool Equals(object o) => o is RenderTargetIdentifier r && Equals(r);
        public override int GetHashCode() => (int)Type * 31 + Name;
        public static bool operator ==(RenderTargetIdentifier a, RenderTargetIdentifier b) => a.Equals(b);
        public static bool operator !=(RenderTargetIdentifier a, RenderTargetIdentifier b) => !a.Equals(b);
    }

    internal enum Doing
    {
        Bind, Constant, ComputeTexture, Dispatch, Target, ClearTarget, Viewport, Draw, GlobalBuffer, GlobalTexture,
            GlobalConstant,
        Temporary, ReleaseTemporary, Blit, Upload, Copy, DrawMesh,
    }

    /// <summary>One step of a command buffer; which fields count depends on what it does.</summary>
    internal struct Command
    {
        public Doing Doing;
        public object What, Other;
        public int A, B, C, D, E;
        public ShaderValue Value;
        public RenderTargetIdentifier Target, Depth;
        public RenderTextureDescriptor Said;
        public Rect Area;
        public Color Color;
        public float Number;
        public RenderBufferLoadAction Load;
    }

    // ScriptReference/Rendering.CommandBuffer
    public class CommandBuffer : IDisposable
    {
        internal readonly List<Command> Commands = new List<Command>();
        internal bool Released;
        private int samples;
        public string name { get; set; } = "";
        public int sizeInBytes => 64 * Commands.Count;
        public void Dispose() => Release();
        public void Release() => Released = true;
        public void Clear()
        {
            Commands.Clear();
            samples = 0;
        }
        internal void Add(in Command command)
        {
            if (Released) throw new EngineException($"command buffer '{name}' was released");
            Commands.Add(command);
        }
        internal void CheckWhole()
        {
            if (Released) throw new EngineException($"command buffer '{name}' was released");
            if (samples != 0) throw new EngineException($"command buffer '{name}': BeginSample and EndSample do not match");
        }

        public void SetComputeBufferParam(ComputeShader computeShader, int kernelIndex, int nameID,
            ComputeBuffer buffer) => BindTo(computeShader, kernelIndex, nameID, buffer.Block);
        public void SetComputeBufferParam(ComputeShader computeShader, int kernelIndex, string name,
            ComputeBuffer buffer) => BindTo(computeShader, kernelIndex, Shader.PropertyToID(name), buffer.Block);
        public void SetComputeBufferParam(ComputeShader computeShader, int kernelIndex, int nameID,
            GraphicsBuffer buffer) => BindTo(computeShader, kernelIndex, nameID, buffer.Block);
        public void SetComputeBufferParam(ComputeShader computeShader, int kernelIndex, string name,
            GraphicsBuffer buffer) => BindTo(computeShader, kernelIndex, Shader.PropertyToID(name), buffer.Block);
        private void BindTo(ComputeShader shader, int kernel, int name, GpuBlock block)
        {
            if (!shader) throw new ArgumentNullException("computeShader");
            shader.CheckKernel(kernel, "SetComputeBufferParam");
            Shader.CheckId(name);
            GpuMemory.Check(block, "SetComputeBufferParam");
            Add(new Command { Doing = Doing.Bind, What = shader, A = kernel, B = name, Other = block });
        }
        public void SetComputeTextureParam(ComputeShader computeShader, int kernelIndex, int nameID, RenderTargetIdentifier rt)
        {
            computeShader.CheckKernel(kernelIndex, "SetComputeTextureParam");
            Add(new Command { Doing = Doing.ComputeTexture, What = computeShader, A = kernelIndex,
                B = Shader.CheckId(nameID), Target = rt });
        }
        public void SetComputeIntParam(ComputeShader computeShader, int nameID, int val) =>
            Constant(computeShader, nameID, new ShaderValue(val));
        public void SetComputeIntParam(ComputeShader computeShader, string name, int val) =>
            Constant(computeShader, Shader.PropertyToID(name), new ShaderValue(val));
        public void SetComputeFloatParam(ComputeShader computeShader, int nameID, float val) =>
            Constant(computeShader, nameID, new ShaderValue(val));
        public void SetComputeFloatParam(ComputeShader computeShader, string name, float val) =>
            Constant(computeShader, Shader.PropertyToID(name), new ShaderValue(val));
        public void SetComputeVectorParam(ComputeShader computeShader, int nameID, Vector4 val) =>
            Constant(computeShader, nameID, new ShaderValue(val));
        public void SetComputeVectorParam(ComputeShader computeShader, string name, Vector4 val) =>
            Constant(computeShader, Shader.PropertyToID(name), new ShaderValue(val));
        private void Constant(ComputeShader shader, int name, ShaderValue value)
        {
            if (!shader) throw new ArgumentNullException("computeShader");
            Add(new Command { Doing = Doing.Constant, What = shader, B = Shader.CheckId(name), Value = value });
        }
        public void DispatchCompute(ComputeShader computeShader, int kernelIndex, int threadGroupsX, int threadGroupsY,
            int threadGroupsZ)
        {
            computeShader.CheckKernel(kernelIndex, "DispatchCompute");
            Gpu.CheckGroups(threadGroupsX, threadGroupsY, threadGroupsZ);
            Add(new Command { Doing = Doing.Dispatch, What = computeShader, A = kernelIndex, C = threadGroupsX,
                D = threadGroupsY, E = threadGroupsZ });
        }

        public void SetRenderTarget(RenderTargetIdentifier rt) => SetRenderTarget(rt, rt);
        public void SetRenderTarget(RenderTargetIdentifier rt, RenderBufferLoadAction loadAction,
            RenderBufferStoreAction storeAction) =>
            Add(new Command { Doing = Doing.Target, Target = rt, Depth = rt, Load = loadAction });
        public void SetRenderTarget(RenderTargetIdentifier color, RenderTargetIdentifier depth) =>
            Add(new Command { Doing = Doing.Target, Target = color, Depth = depth, Load = RenderBufferLoadAction.Load });
        public void SetRenderTarget(RenderTargetIdentifier color, RenderBufferLoadAction colorLoadAction,
            RenderBufferStoreAction colorStoreAction,
            RenderTargetIdentifier depth, RenderBufferLoadAction depthLoadAction, RenderBufferStoreAction depthStoreAction) =>
            Add(new Command { Doing = Doing.Target, Target = color, Depth = depth, Load = colorLoadAction });
        public void ClearRenderTarget(bool clearDepth, bool clearColor, Color backgroundColor) =>
            ClearRenderTarget(clearDepth, clearColor, backgroundColor, 1);
        public void ClearRenderTarget(bool clearDepth, bool clearColor, Color backgroundColor, float depth) =>
            Add(new Command { Doing = Doing.ClearTarget, A = (clearColor ? 1 : 0) | (clearDepth ? 2 : 0),
                Color = backgroundColor, Number = depth });
#if UNITY_6000_0_OR_NEWER
        public void ClearRenderTarget(RTClearFlags clearFlags, Color backgroundColor, float depth = 1.0f, uint stencil = 0) =>
#else
        public void ClearRenderTarget(RTClearFlags clearFlags, Color backgroundColor, float depth, uint stencil) =>
#endif
            Add(new Command { Doing = Doing.ClearTarget, A = (int)clearFlags & 3, Color = backgroundColor, Number = depth });
        public void SetViewport(Rect pixelRect) => Add(new Command { Doing = Doing.Viewport, Area = pixelRect });
        public void GetTemporaryRT(int nameID, RenderTextureDescriptor desc) => GetTemporaryRT(nameID, desc, FilterMode.Point);
        public void GetTemporaryRT(int nameID, RenderTextureDescriptor desc, FilterMode filter)
        {
            if (desc.width == 0 || desc.height == 0)
            {
                throw new EngineException($"GetTemporaryRT: {desc.width} x {desc.height} pixels");
            }
            Add(new Command { Doing = Doing.Temporary, A = Shader.CheckId(nameID), Said = desc });
        }
        public void GetTemporaryRT(int nameID, int width, int height, int depthBuffer, FilterMode filter,
            RenderTextureFormat format) =>
            GetTemporaryRT(nameID, new RenderTextureDescriptor(width, height, format, depthBuffer), filter);
        public void GetTemporaryRT(int nameID, int width, int height, int depthBuffer, FilterMode filter,
            RenderTextureFormat format, RenderTextureReadWrite readWrite) =>
            GetTemporaryRT(nameID, width, height, depthBuffer, filter, format);
        public void GetTemporaryRT(int nameID, int width, int height, int depthBuffer, FilterMode filter,
            GraphicsFormat format) =>
            GetTemporaryRT(nameID, new RenderTextureDescriptor(width, height) { graphicsFormat = format,
                depthBufferBits = depthBuffer }, filter);
        public void ReleaseTemporaryRT(int nameID) =>
            Add(new Command { Doing = Doing.ReleaseTemporary, A = Shader.CheckId(nameID) });

        public void DrawProcedural(Matrix4x4 matrix, Material material, int shaderPass, MeshTopology topology, int vertexCount) =>
            DrawProcedural(matrix, material, shaderPass, topology, vertexCount, 1);
        public void DrawProcedural(Matrix4x4 matrix, Material material, int shaderPass, MeshTopology topology,
            int vertexCount, int instanceCount) =>
            DrawProcedural(matrix, material, shaderPass, topology, vertexCount, instanceCount, null);
        public void DrawProcedural(Matrix4x4 matrix, Material material, int shaderPass, MeshTopology topology,
            int vertexCount, int instanceCount, MaterialPropertyBlock properties)
        {
            if (!material) throw new ArgumentNullException(nameof(material));
            if (shaderPass < -1 || shaderPass >= material.passCount)
            {
                throw new EngineException($"DrawProcedural: pass {shaderPass} of {material.passCount} in {material.shader.Text}");
            }
            if (vertexCount < 0 || instanceCount < 0)
            {
                throw new EngineException($"DrawProcedural: {vertexCount} vertices, {instanceCount} instances");
            }
            Add(new Command
            {
                Doing = Doing.Draw, What = material, Other = Gpu.Kept(properties), A = shaderPass, B = (int)topology,
                    C = vertexCount, D = instanceCount,
            });
        }
        public void DrawMesh(Mesh mesh, Matrix4x4 matrix, Material material, int submeshIndex, int shaderPass) =>
            DrawMesh(mesh, matrix, material, submeshIndex, shaderPass, null);
        public void DrawMesh(Mesh mesh, Matrix4x4 matrix, Material material, int submeshIndex, int shaderPass,
            MaterialPropertyBlock properties) =>
            Add(new Command { Doing = Doing.DrawMesh, What = material, Other = Gpu.Kept(properties), A = shaderPass });

        public void SetGlobalBuffer(int nameID, GraphicsBuffer value) =>
            Add(new Command { Doing = Doing.GlobalBuffer, A = Shader.CheckId(nameID), What = value.Block });
        public void SetGlobalBuffer(int nameID, ComputeBuffer value) =>
            Add(new Command { Doing = Doing.GlobalBuffer, A = Shader.CheckId(nameID), What = value.Block });
        public void SetGlobalTexture(int nameID, RenderTargetIdentifier value) =>
            Add(new Command { Doing = Doing.GlobalTexture, A = Shader.CheckId(nameID), Target = value });
        public void SetGlobalTexture(string name, RenderTargetIdentifier value) =>
            SetGlobalTexture(Shader.PropertyToID(name), value);
        public void SetGlobalVector(int nameID, Vector4 value) =>
            Add(new Command { Doing = Doing.GlobalConstant, A = Shader.CheckId(nameID), Value = new ShaderValue(value) });
        public void SetGlobalFloat(int nameID, float value) =>
            Add(new Command { Doing = Doing.GlobalConstant, A = Shader.CheckId(nameID), Value = new ShaderValue(value) });
        public void SetGlobalInteger(int nameID, int value) =>
            Add(new Command { Doing = Doing.GlobalConstant, A = Shader.CheckId(nameID), Value = new ShaderValue(value) });
        public void SetGlobalInt(int nameID, int value) => SetGlobalFloat(nameID, value);

        public void Blit(RenderTargetIdentifier source, RenderTargetIdentifier dest) =>
            Add(new Command { Doing = Doing.Blit, Target = source, Depth = dest });
        public void Blit(RenderTargetIdentifier source, RenderTargetIdentifier dest, Material mat, int pass) =>
            Add(new Command { Doing = Doing.Blit, Target = source, Depth = dest, What = mat, A = pass });
        public void CopyTexture(RenderTargetIdentifier src, RenderTargetIdentifier dst) =>
            Add(new Command { Doing = Doing.Copy, Target = src, Depth = dst });

        public void SetBufferData(GraphicsBuffer buffer, Array data) => SetBufferData(buffer, data, 0, 0, data.Length);
        public void SetBufferData(ComputeBuffer buffer, Array data) => UploadTo(buffer.Block, data, 0, 0, data.Length);
        public void SetBufferData<T>(GraphicsBuffer buffer, NativeArray<T> data) where T : struct =>
            UploadTo(buffer.Block, data.Values, data.First, 0, data.Length);
        public void SetBufferData(GraphicsBuffer buffer, Array data, int managedBufferStartIndex,
            int graphicsBufferStartIndex, int count) =>
            UploadTo(buffer.Block, data, managedBufferStartIndex, graphicsBufferStartIndex, count);
        public void SetBufferData(ComputeBuffer buffer, Array data, int managedBufferStartIndex,
            int graphicsBufferStartIndex, int count) =>
            UploadTo(buffer.Block, data, managedBufferStartIndex, graphicsBufferStartIndex, count);
        private void UploadTo(GpuBlock block, Array data, int from, int to, int count)
        {
            GpuMemory.Check(block, "SetBufferData");
            // The engine copies now and writes when the buffer runs.
            Array kept = data;
            if (!Trace.Silent)
            {
                kept = Array.CreateInstance(data.GetType().GetElementType(), count);
                Array.Copy(data, from, kept, 0, count);
                from = 0;
            }
            Add(new Command { Doing = Doing.Upload, What = block, Other = kept, A = from, B = to, C = count });
        }

        public void BeginSample(string name) => samples++;
        public void EndSample(string name) => samples--;
        public void BeginSample(Unity.Profiling.ProfilerMarker marker) => samples++;
        public void EndSample(Unity.Profiling.ProfilerMarker marker) => samples--;
        public void BeginSample(CustomSampler sampler) => samples++;
        public void EndSample(CustomSampler sampler) => samples--;
        public void SetExecutionFlags(CommandBufferExecutionFlags flags) { }
        public void RequestAsyncReadback(GraphicsBuffer src, Action<AsyncGPUReadbackRequest> callback) =>
            AsyncGPUReadback.Request(src, callback);
        public void RequestAsyncReadback(ComputeBuffer src, Action<AsyncGPUReadbackRequest> callback) =>
            AsyncGPUReadback.Request(src, callback);
    }

    // ScriptReference/Rendering.AsyncGPUReadback: answers are noughts until a replay gave some (Headless/Readbacks.cs).
    public static class AsyncGPUReadback
    {
        public static AsyncGPUReadbackRequest Request(GraphicsBuffer src,
            Action<AsyncGPUReadbackRequest> callback = null) => Ask(src.Block, 0, src.count * src.stride, callback);
        public static AsyncGPUReadbackRequest Request(ComputeBuffer src,
            Action<AsyncGPUReadbackRequest> callback = null) => Ask(src.Block, 0, src.count * src.stride, callback);
        public static AsyncGPUReadbackRequest Request(GraphicsBuffer src, int size, int offset,
            Action<AsyncGPUReadbackRequest> callback = null) => Ask(src.Block, offset, size, callback);
        public static AsyncGPUReadbackRequest Request(Texture src, int mipIndex = 0,
            Action<AsyncGPUReadbackRequest> callback = null) => Request(src, mipIndex, TextureFormat.RGBA32, callback);
        public static AsyncGPUReadbackRequest Request(Texture src, int mipIndex, TextureFormat dstFormat,
            Action<AsyncGPUReadbackRequest> callback = null) =>
            Said(Readbacks.Picture(src.Id("AsyncGPUReadback"), dstFormat.ToString(),
                src.width * src.height * Texture.PixelBytes(dstFormat)), callback);
        private static AsyncGPUReadbackRequest Ask(GpuBlock block, int offset, int size, Action<AsyncGPUReadbackRequest> callback)
        {
            GpuMemory.Check(block, "AsyncGPUReadback");
            return Said(Readbacks.Buffer(block.Id, offset, size), callback);
        }
        private static AsyncGPUReadbackRequest Said(byte[] answer, Action<AsyncGPUReadbackRequest> callback)
        {
            var request = new AsyncGPUReadbackRequest { Answer = answer };
            if (callback != null) AsyncWork.Later(() => callback(request));
            return request;
        }
        public static void WaitAllRequests() => AsyncWork.Finish();
    }

    public struct AsyncGPUReadbackRequest
    {
        internal byte[] Answer;
        public bool done => true;
        public bool hasError => Answer == null;
        public int layerCount => 1;
        public void WaitForCompletion() { }
        public void Update() { }
        public NativeArray<T> GetData<T>(int layer = 0) where T : struct => Answer == null
            ? throw new InvalidOperationException("Cannot access the data as it is not available")
            : new NativeArray<T>(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, T>(Answer).ToArray(), Allocator.None);
    }
}
