using System;
using UnityEngine;
using UnityEngine.Rendering;

namespace Flameport.Editing
{
    /// <summary>The self-test on this machine's graphics card: its buffers, every kernel, the picture, and the times.</summary>
    internal sealed class SelfTestCard : IDisposable
    {
        private readonly SelfTestFile file;
        private readonly ComputeShader kernels;
        private readonly GraphicsBuffer[] buffers;

        public SelfTestCard(SelfTestFile file, ComputeShader kernels)
        {
            this.file = file;
            this.kernels = kernels;
            buffers = Array.ConvertAll(file.Buffers, Uploaded);
        }

        public void Dispose() => Array.ForEach(buffers, each => each.Dispose());

        /// <summary>Run everything.</summary>
        public void Run(SelfTestReport report, Shader splats)
        {
            Array.ForEach(file.Steps, Dispatch);
            foreach (SelfTestCheck check in file.Checks) report.Add(check.Compare(Read(check.Buffer)));
            report.Add(file.Picture.Compare(Drawn(splats)));
            file.Time(report, Dispatch, buffer => Read(buffer));
        }

        private static GraphicsBuffer Uploaded(SelfTestBuffer said)
        {
            var buffer = new GraphicsBuffer(GraphicsBuffer.Target.Structured, said.Count, said.Stride);
            buffer.SetData(said.Words());
            return buffer;
        }

        private void Dispatch(SelfTestStep step)
        {
            int kernel = kernels.FindKernel(step.Kernel);
            foreach (var pair in step.Buffers) kernels.SetBuffer(kernel, pair.Key, buffers[pair.Value]);
            foreach (var pair in step.Constants) kernels.SetInt(pair.Key, pair.Value);
            kernels.Dispatch(kernel, step.Groups, 1, 1);
        }

        private byte[] Read(int buffer) => Waited(AsyncGPUReadback.Request(buffers[buffer])).GetData<byte>().ToArray();

        private float[] Drawn(Shader splats)
        {
            SelfTestPicture picture = file.Picture;
            var material = new Material(splats);
            material.SetBuffer("_Order", buffers[file.Order]);
            material.SetBuffer("_EllipsesIn", buffers[file.Ellipses]);
            material.SetVector("_Picture", new Vector4(picture.Width, picture.Height, 1, 0));
            material.SetVector("_Depth", new Vector4(0.5f, 0, 0, 0));
            var target = new RenderTexture(picture.Width, picture.Height, 0, RenderTextureFormat.ARGBHalf);
            using var commands = new CommandBuffer();
            commands.SetRenderTarget(target);
            commands.ClearRenderTarget(false, true, Color.clear);
            commands.DrawProcedural(Matrix4x4.identity, material, 0, MeshTopology.Triangles, 3 * file.Total);
            Graphics.ExecuteCommandBuffer(commands);
            float[] rgba = Waited(AsyncGPUReadback.Request(target, 0, TextureFormat.RGBAFloat)).GetData<float>().ToArray();
            UnityEngine.Object.DestroyImmediate(target);
            UnityEngine.Object.DestroyImmediate(material);
            return rgba;
        }

        private static AsyncGPUReadbackRequest Waited(AsyncGPUReadbackRequest request)
        {
            request.WaitForCompletion();
            return request.hasError ? throw new InvalidOperationException("the card gave nothing back") : request;
        }
    }
}
