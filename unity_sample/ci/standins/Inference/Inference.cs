#nullable disable
using System;

// com.unity.ai.inference 2.x: Unity.InferenceEngine; com.unity.sentis 2.x says Unity.Sentis for the same. Pages:
// docs.unity3d.com/Packages/com.unity.ai.inference@2.2/api/Unity.InferenceEngine.
// {Worker,Tensor-1,TensorShape,FunctionalGraph}.html
#if STANDIN_SENTIS
namespace Unity.Sentis
#else
namespace Unity.InferenceEngine
#endif
{
    public enum BackendType { GPUCompute, CPU, GPUPixel }

    public struct TensorShape
    {
        internal readonly int[] Sizes;
        public TensorShape(ReadOnlySpan<int> shape) { Sizes = shape.ToArray(); }
        public int length
        {
            get
            {
                int count = 1;
                foreach (int size in Sizes) count *= size;
                return count;
            }
        }
    }

    public abstract class Tensor : IDisposable
    {
        public TensorShape shape { get; protected set; }
        public void Dispose() { }
    }

    public class Tensor<T> : Tensor where T : unmanaged
    {
        private readonly T[] values;
        public Tensor(TensorShape shape, bool clearOnInit = true)
        {
            this.shape = shape;
            values = new T[shape.length];
        }
        public void Upload(T[] srcData) => srcData.CopyTo(values, 0);
        public T[] DownloadToArray() => (T[])values.Clone();
    }

    /// <summary>Here, what a graph was compiled of; the engine's is opaque too.</summary>
    public class Model
    {
        internal FunctionalTensor[] Inputs, Outputs;
    }

    public class Worker : IDisposable
    {
        private readonly Model model;
        private Tensor<float>[] outputs;

        public Worker(Model model, BackendType backendType) { this.model = model; }

        public void Schedule(params Tensor[] inputs)
        {
            if (inputs.Length != model.Inputs.Length) throw new ArgumentException("as many tensors as inputs");
            for (int i = 0; i < inputs.Length; i++) model.Inputs[i].Feed(((Tensor<float>)inputs[i]).DownloadToArray());
            FunctionalTensor.Runs++;
            outputs = Array.ConvertAll(model.Outputs, output =>
            {
                var tensor = new Tensor<float>(new TensorShape(output.Sizes));
                tensor.Upload(output.Numbers());
                return tensor;
            });
        }

        public Tensor PeekOutput(int index) => outputs[index];
        public void Dispose() { }
    }

    public class FunctionalGraph
    {
        private readonly System.Collections.Generic.List<FunctionalTensor> inputs =
            new System.Collections.Generic.List<FunctionalTensor>();

        public FunctionalTensor AddInput<T>(TensorShape shape) where T : unmanaged
        {
            var input = new FunctionalTensor(shape.Sizes, false, null);
            inputs.Add(input);
            return input;
        }

        public Model Compile(params FunctionalTensor[] outputs) => new Model { Inputs = inputs.ToArray(), Outputs = outputs };
    }
}
