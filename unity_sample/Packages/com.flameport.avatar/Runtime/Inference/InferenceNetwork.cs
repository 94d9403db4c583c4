using System;
using UnityEngine;
#if FLAMEPORT_INFERENCE
using Unity.InferenceEngine;
using static Unity.InferenceEngine.Functional;
#else
using Unity.Sentis;
using static Unity.Sentis.Functional;
#endif

namespace Flameport
{
    /// <summary>A network on the graphics card, through Unity's Inference Engine (or Sentis 2, its name before); it is waited
    /// for. What each word asks for is said at <see cref="EngineWords{T}"/>.</summary>
    internal sealed class InferenceNetwork : EngineNetwork
    {
        private static readonly EngineWords<FunctionalTensor> Words = new EngineWords<FunctionalTensor>
        {
            One = { ["Abs"] = Abs, ["Acos"] = Acos, ["Asin"] = Asin, ["Atan"] = Atan, ["Ceil"] = Ceil, ["Cos"] = Cos,
                ["Erf"] = Erf, ["Exp"] = Exp, ["Floor"] = Floor, ["Log"] = Log, ["Relu"] = Relu, ["Round"] = Round,
                ["Sigmoid"] = Sigmoid, ["Sign"] = Sign, ["Sin"] = Sin, ["Sqrt"] = Sqrt, ["Tan"] = Tan, ["Tanh"] = Tanh,
                ["Trunc"] = Trunc, ["Float"] = x => x.Float() },
            Two = { ["Add"] = Add, ["Sub"] = Sub, ["Mul"] = Mul, ["Div"] = Div, ["Pow"] = Pow, ["Max"] = Max, ["Min"] = Min,
                ["MatMul"] = MatMul, ["Less"] = Less, ["LessEqual"] = LessEqual, ["Equals"] = Functional.Equals },
            Others = { ["Reshape"] = (x, n) => x[0].Reshape(n), ["BroadcastTo"] = (x, n) => x[0].BroadcastTo(n),
                ["Permute"] = (x, n) => x[0].Permute(n), ["Narrow"] = (x, n) => x[0].Narrow(n[0], n[1], n[2]),
                ["IndexSelect"] = (x, n) => x[0].IndexSelect(n[0], Constant(n.AsSpan(1).ToArray())),
                ["Concat"] = (x, n) => Concat(x, n[0]), ["Where"] = (x, n) => Where(x[0], x[1], x[2]),
                ["ReduceSum"] = (x, n) => ReduceSum(x[0], n, true), ["ReduceMax"] = (x, n) => ReduceMax(x[0], n, true) },
            Constant = (shape, numbers) => Constant(new TensorShape(shape), numbers),
        };

        private readonly Tensor<float>[] tensors;
        private readonly Worker worker;

        private InferenceNetwork(AvatarNetwork network) : base(network)
        {
            var graph = new FunctionalGraph();
            FunctionalTensor[] made = Words.Build(network, shape => graph.AddInput<float>(new TensorShape(shape)));
            worker = new Worker(graph.Compile(made), BackendType.GPUCompute);
            tensors = Array.ConvertAll(network.Inputs, port => new Tensor<float>(new TensorShape(port.Shape)));
        }

        protected override void Give(int input, float[] numbers) => tensors[input].Upload(numbers);

        protected override void Start() => worker.Schedule(tensors);

        protected override float[] Take(int output) => ((Tensor<float>)worker.PeekOutput(output)).DownloadToArray();

        public override void Dispose()
        {
            worker.Dispose();
            Array.ForEach(tensors, each => each.Dispose());
        }

#if UNITY_EDITOR
        [UnityEditor.InitializeOnLoadMethod]
#endif
        [RuntimeInitializeOnLoadMethod(RuntimeInitializeLoadType.SubsystemRegistration)]
        private static void Begin() => NetworkRunners.Engine =
            network => SystemInfo.supportsComputeShaders ? new InferenceNetwork(network) : null;
    }
}
