#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;
using Unity.Collections;
using UnityEngine.Rendering;

namespace UnityEngine
{
    [Flags]
    public enum ComputeBufferType
    {
        Default = 0, Raw = 1, Append = 2, Counter = 4, Constant = 8, Structured = 16, IndirectArguments = 256,
    }

    public enum ComputeBufferMode { Immutable, Dynamic, Circular, StreamOut, SubUpdates }

    // ScriptReference/GraphicsBuffer
    public sealed class GraphicsBuffer : IDisposable
    {
        internal readonly GpuBlock Block;

        [Flags]
        public enum Target
        {
            Vertex = 1, Index = 2, CopySource = 4, CopyDestination = 8, Structured = 16, Raw = 32, Append = 64, Counter = 128,
            IndirectArguments = 256, Constant = 512,
        }

        [Flags]
        public enum UsageFlags { None = 0, LockBufferForWrite = 1 }

        public GraphicsBuffer(Target target, int count, int stride) : this(target, UsageFlags.None, count, stride) { }
        public GraphicsBuffer(Target target, UsageFlags usageFlags, int count, int stride)
        {
            Block = GpuMemory.Buffer(count, stride, target.ToString());
            this.target = target;
            this.usageFlags = usageFlags;
        }
        public Target target { get; }
        public UsageFlags usageFlags { get; }
        public int count => Block.Count;
        public int stride => Block.Stride;
        public string name { set => Block.Name = value; }
        public bool IsValid() => Block.Alive;
        public void Dispose() => Release();
        public void Release() => GpuMemory.Free(Block);
        public void SetData(Array data) => GpuMemory.Upload(Block, data, 0, 0, data.Length);
        public void SetData(Array data, int managedBufferStartIndex, int graphicsBufferStartIndex, int count) =>
            GpuMemory.Upload(Block, data, managedBufferStartIndex, graphicsBufferStartIndex, count);
        public void SetData<T>(List<T> data) where T : struct => GpuMemory.Upload(Block, data.ToArray(), 0, 0, data.Count);
        public void SetData<T>(NativeArray<T> data) where T : struct =>
            GpuMemory.Upload(Block, data.Values, data.First, 0, data.Length);
        public void SetData<T>(NativeArray<T> data, int nativeBufferStartIndex, int graphicsBufferStartIndex, int count)
            where T : struct =>
            GpuMemory.Upload(Block, data.Values, data.First + nativeBufferStartIndex, graphicsBufferStartIndex, count);
        public void GetData(Array data) => throw new EngineException("GetData waits for the card; read back asynchronously");
    }

    // ScriptReference/ComputeBuffer
    public sealed class ComputeBuffer : IDisposable
    {
        internal readonly GpuBlock Block;
        public ComputeBuffer(int count, int stride) : this(count, stride, ComputeBufferType.Default) { }
        public ComputeBuffer(int count, int stride, ComputeBufferType type) : this(count, stride, type,
            ComputeBufferMode.Immutable) { }
        public ComputeBuffer(int count, int stride, ComputeBufferType type, ComputeBufferMode usage)
        {
            Block = GpuMemory.Buffer(count, stride, type.ToString());
        }
        public int count => Block.Count;
        public int stride => Block.Stride;
        public string name { set => Block.Name = value; }
        public bool IsValid() => Block.Alive;
        public void Dispose() => Release();
        public void Release() => GpuMemory.Free(Block);
        public void SetData(Array data) => GpuMemory.Upload(Block, data, 0, 0, data.Length);
        public void SetData(Array data, int managedBufferStartIndex, int computeBufferStartIndex, int count) =>
            GpuMemory.Upload(Block, data, managedBufferStartIndex, computeBufferStartIndex, count);
        public void SetData<T>(List<T> data) where T : struct => GpuMemory.Upload(Block, data.ToArray(), 0, 0, data.Count);
        public void SetData<T>(NativeArray<T> data) where T : struct =>
            GpuMemory.Upload(Block, data.Values, data.First, 0, data.Length);
        public void SetData<T>(NativeArray<T> data, int nativeBufferStartIndex, int computeBufferStartIndex, int count)
            where T : struct =>
            GpuMemory.Upload(Block, data.Values, data.First + nativeBufferStartIndex, computeBufferStartIndex, count);
        public void GetData(Array data) => throw new EngineException("GetData waits for the card; read back asynchronously");
    }

    // ScriptReference/ComputeShader
    public sealed class ComputeShader : Object
    {
        internal readonly string[] Kernels;
        internal readonly string File;
        internal readonly Dictionary<(int kernel, int name), object> Bound = new Dictionary<(int, int), object>();
        internal readonly Dictionary<int, ShaderValue> Constants = new Dictionary<int, ShaderValue>();

        internal ComputeShader(string file, string[] kernels)
        {
            File = file;
            Kernels = kernels;
            Engine.Register(this);
        }
        internal void CheckKernel(int kernelIndex, string where)
        {
            if (kernelIndex < 0 || kernelIndex >= Kernels.Length)
            {
                throw new EngineException($"{where}: kernel index {kernelIndex} of {Kernels.Length}");
            }
        }
        public int FindKernel(string name)
        {
            int at = Array.IndexOf(Kernels, name);
            if (at < 0) throw new ArgumentException($"Kernel '{name}' not found. {Text} has {string.Join(", ", Kernels)}.");
            return at;
        }
        public bool HasKernel(string name) => Array.IndexOf(Kernels, name) >= 0;
        public bool IsSupported(int kernelIndex)
        {
            CheckKernel(kernelIndex, "IsSupported");
            return Engine.Compute;
        }
        public void GetKernelThreadGroupSizes(int kernelIndex, out uint x, out uint y, out uint z)
        {
            CheckKernel(kernelIndex, "GetKernelThreadGroupSizes");
            (x, y, z) = Shaders.GroupSize(File, Kernels[kernelIndex]);
        }
        public void SetBuffer(int kernelIndex, int nameID, ComputeBuffer buffer) =>
            Bind(kernelIndex, nameID, buffer.Block, "SetBuffer");
        public void SetBuffer(int kernelIndex, string name, ComputeBuffer buffer) =>
            SetBuffer(kernelIndex, Shader.PropertyToID(name), buffer);
        public void SetBuffer(int kernelIndex, int nameID, GraphicsBuffer buffer) =>
            Bind(kernelIndex, nameID, buffer.Block, "SetBuffer");
        public void SetBuffer(int kernelIndex, string name, GraphicsBuffer buffer) =>
            SetBuffer(kernelIndex, Shader.PropertyToID(name), buffer);
        internal void Bind(int kernel, int name, object what, string where)
        {
            CheckKernel(kernel, where);
            Shader.CheckId(name);
            if (what is GpuBlock block) GpuMemory.Check(block, where);
            Bound[(kernel, name)] = what;
        }
        public void SetTexture(int kernelIndex, int nameID, Texture texture) => Bind(kernelIndex, nameID, texture, "SetTexture");
        public void SetTexture(int kernelIndex, string name, Texture texture) =>
            SetTexture(kernelIndex, Shader.PropertyToID(name), texture);
        public void SetInt(int nameID, int val) => Constants[Shader.CheckId(nameID)] = new ShaderValue(val);
        public void SetInt(string name, int val) => SetInt(Shader.PropertyToID(name), val);
        public void SetFloat(int nameID, float val) => Constants[Shader.CheckId(nameID)] = new ShaderValue(val);
        public void SetFloat(string name, float val) => SetFloat(Shader.PropertyToID(name), val);
        public void SetVector(int nameID, Vector4 val) => Constants[Shader.CheckId(nameID)] = new ShaderValue(val);
        public void SetVector(string name, Vector4 val) => SetVector(Shader.PropertyToID(name), val);
        public void Dispatch(int kernelIndex, int threadGroupsX, int threadGroupsY, int threadGroupsZ) =>
            Gpu.Dispatch(this, kernelIndex, threadGroupsX, threadGroupsY, threadGroupsZ);
    }

    /// <summary>A constant: one whole number, or up to four fractions.</summary>
    internal readonly struct ShaderValue
    {
        public readonly Vector4 Numbers;
        public readonly int Whole, Width;
        public ShaderValue(int whole) { Whole = whole; Width = 0; Numbers = default; }
        public ShaderValue(float number) { Whole = 0; Width = 1; Numbers = new Vector4(number, 0, 0, 0); }
        public ShaderValue(Vector4 numbers) { Whole = 0; Width = 4; Numbers = numbers; }
        public object Said => Width == 0 ? (object)Whole : Width == 1 ? (object)(double)Numbers.x
            : new double[] { Numbers.x, Numbers.y, Numbers.z, Numbers.w };
    }
}

namespace Unity.Collections
{
    public enum Allocator { Invalid, None, Temp, TempJob, Persistent }
    public enum NativeArrayOptions { UninitializedMemory, ClearMemory }

    // ScriptReference/Unity.Collections.NativeArray_1
    public struct NativeArray<T> : IDisposable, IEnumerable<T>, IEquatable<NativeArray<T>> where T : struct
    {
        internal T[] Values;
        internal int First;
        public NativeArray(int length, Allocator allocator, NativeArrayOptions options = NativeArrayOptions.ClearMemory)
        {
            Values = new T[length];
            First = 0;
            Length = length;
        }
        public NativeArray(T[] array, Allocator allocator)
        {
            Values = (T[])array.Clone();
            First = 0;
            Length = array.Length;
        }
        public int Length { get; private set; }
        public bool IsCreated => Values != null;
        public T this[int index] { get => Values[First + index]; set => Values[First + index] = value; }
        public void Dispose()
        {
            if (Values == null) throw new ObjectDisposedException("The NativeArray has already been disposed.");
            Values = null;
        }
        public NativeArray<T> GetSubArray(int start, int length) =>
            new NativeArray<T> { Values = Values, First = First + start, Length = length };
        public void CopyFrom(T[] array)
        {
            if (array.Length != Length) throw new ArgumentException("source and destination length must be the same");
            Array.Copy(array, 0, Values, First, Length);
        }
        public void CopyTo(T[] array)
        {
            if (array.Length != Length) throw new ArgumentException("source and destination length must be the same");
            Array.Copy(Values, First, array, 0, Length);
        }
        public T[] ToArray() => AsSpan().ToArray();
        public Span<T> AsSpan() => Values.AsSpan(First, Length);
        public ReadOnlySpan<T> AsReadOnlySpan() => AsSpan();
        public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)ToArray()).GetEnumerator();
        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
        public bool Equals(NativeArray<T> other) =>
            ReferenceEquals(Values, other.Values) && First == other.First && Length == other.Length;
        public override bool Equals(object obj) => obj is NativeArray<T> other && Equals(other);
        public override int GetHashCode() => Values == null ? 0 : Values.GetHashCode();
    }
}
