#nullable disable
using System;

// com.unity.ai.inference 2.x: Unity.InferenceEngine; com.unity.sentis 2.x says Unity.Sentis for the same.
#if STANDIN_SENTIS
namespace Unity.Sentis
#else
namespace Unity.InferenceEngine
#endif
{
    public class ModelAsset : UnityEngine.ScriptableObject { }
    public class Model { }
    public enum BackendType { GPUCompute, CPU, GPUPixel }
    public static class ModelLoader
    {
        public static Model Load(ModelAsset modelAsset) => new Model();
        public static Model Load(string path) => new Model();
        public static Model Load(System.IO.Stream stream) => new Model();
    }
    public struct TensorShape
    {
        public TensorShape(int d0) { length = d0; }
        public TensorShape(int d1, int d0) { length = d1 * d0; }
        public TensorShape(params int[] shape) { length = 1; foreach (int d in shape) length *= d; }
        public int length { get; }
    }
    public abstract class Tensor : IDisposable
    {
        public TensorShape shape { get; protected set; }
        public void Dispose() { }
        public void CompleteAllPendingOperations() { }
    }
    public class Tensor<T> : Tensor where T : unmanaged
    {
        private readonly T[] values;
        public Tensor(TensorShape shape, T[] srcData, int dataStartIndex = 0) { this.shape = shape; values = srcData; }
        public Tensor(TensorShape shape, bool clearOnInit = true) : this(shape, new T[shape.length]) { }
        public T[] DownloadToArray() => values;
        public void Upload(T[] srcData, int tensorCount = -1) => Array.Copy(srcData, values, values.Length);
        public T this[int d0] { get => values[d0]; set => values[d0] = value; }
    }
    public class Worker : IDisposable
    {
        public Worker(Model model, BackendType backendType) { }
        public void SetInput(string name, Tensor tensor) { }
        public void Schedule() { }
        public Tensor PeekOutput(string name) => null;
        public Tensor PeekOutput() => null;
        public void Dispose() { }
    }
}
