using System;
using System.Collections.Generic;
using Flameport.Headless;
using UnityEngine;
using UnityEngine.Rendering;
using Object = UnityEngine.Object;

/// <summary>Mistakes that the recorder has to refuse, one after another: it would be no witness otherwise.</summary>
internal static partial class Stage
{
    private static void MakeMistakes()
    {
        foreach ((string name, Action<CommandBuffer> make) in Mistakes())
        {
            var commands = new CommandBuffer();
            string said = "nothing";
            try
            {
                make(commands);
                Graphics.ExecuteCommandBuffer(commands);
            }
            catch (Exception error) when (error is EngineException || error is ArgumentException)
            {
                said = error.Message.Replace("\n", " ");
            }
            Console.WriteLine($"mistake\t{name}\t{said}");
        }
    }

    private static IEnumerable<(string, Action<CommandBuffer>)> Mistakes()
    {
        var words = new GraphicsBuffer(GraphicsBuffer.Target.Structured, 8, 16);
        var gone = new GraphicsBuffer(GraphicsBuffer.Target.Structured, 8, 16);
        gone.Dispose();
        var target = new RenderTexture(8, 8, 0, RenderTextureFormat.ARGBHalf);
        var material = new Material(Shaders.Find("Flameport/Avatar")!);
        yield return ("stride", _ => new GraphicsBuffer(GraphicsBuffer.Target.Structured, 8, 6));
        yield return ("empty buffer", _ => new GraphicsBuffer(GraphicsBuffer.Target.Structured, 0, 16));
        yield return ("kernel", _ => kernels!.FindKernel("PoseVertexes"));
        yield return ("kernel number", c => c.DispatchCompute(kernels!, 99, 1, 1, 1));
        yield return ("no groups", c => c.DispatchCompute(kernels!, 0, 0, 1, 1));
        yield return ("many groups", c => c.DispatchCompute(kernels!, 0, 65536, 1, 1));
        yield return ("upload past the end", _ => words.SetData(new float[33]));
        yield return ("upload of texts", _ => words.SetData(new[] { "a" }));
        yield return ("released buffer", c => c.SetComputeBufferParam(kernels!, 0, "_Texels", gone));
        yield return ("released in a block", _ => new MaterialPropertyBlock().SetBuffer("_Order", gone));
        yield return ("no property", c => c.SetComputeIntParam(kernels!, 0, 1));
        yield return ("pass", c => c.DrawProcedural(Matrix4x4.identity, material, 5, MeshTopology.Triangles, 3));
        yield return ("no camera", c => c.SetRenderTarget(BuiltinRenderTextureType.CameraTarget));
        yield return ("no temporary", c => c.ReleaseTemporaryRT(Shader.PropertyToID("_Nowhere")));
        yield return ("temporary twice", c =>
        {
            c.GetTemporaryRT(Shader.PropertyToID("_Twice"), new RenderTextureDescriptor(8, 8));
            c.GetTemporaryRT(Shader.PropertyToID("_Twice"), new RenderTextureDescriptor(8, 8));
        });
        yield return ("destroyed target", c =>
        {
            c.SetRenderTarget(target);
            Object.DestroyImmediate(target);
        });
        yield return ("released commands", c => c.Release());
        yield return ("null material", c => c.DrawProcedural(Matrix4x4.identity, null!, 0, MeshTopology.Triangles, 3));
        yield return ("destroyed material", c =>
        {
            c.DrawProcedural(Matrix4x4.identity, material, 0, MeshTopology.Triangles, 3);
            Object.DestroyImmediate(material);
        });
        yield return ("leak", _ => Engine.CheckLeaks());
        words.Dispose();
    }
}
