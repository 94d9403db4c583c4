#nullable disable
#if UNITY_6000_0_OR_NEWER
using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Flameport.Headless;
using UnityEngine.Experimental.Rendering;

namespace UnityEngine.Rendering.RenderGraphModule
{
    // com.unity.render-pipelines.core 17: render graph. Passes run in the order in which they were added; nothing is culled
    // but what says that it may be and writes nothing.
    [Flags]
    public enum AccessFlags { None = 0, Read = 1, Write = 2, Discard = 4, WriteAll = Write | Discard, AllowGrab = 8,
        GrabRead = Read | AllowGrab, ReadWrite = Read | Write }

    public struct TextureHandle
    {
        internal RTHandle Handle;
        internal RenderTextureDescriptor? Said;
        internal int Number;
        public static TextureHandle nullHandle => default;
        public bool IsValid() => Number > 0;
        public static implicit operator RTHandle(TextureHandle texture) => RenderGraph.Resolve(texture);
        public static implicit operator Texture(TextureHandle texture) => RenderGraph.Resolve(texture);
        public static implicit operator RenderTargetIdentifier(TextureHandle texture) => RenderGraph.Resolve(texture);
        public static implicit operator RenderTexture(TextureHandle texture) => RenderGraph.Resolve(texture);
    }

    public struct TextureDesc
    {
        public int width, height, slices;
        public string name;
        public bool clearBuffer;
        public Color clearColor;
        public GraphicsFormat format;
        public GraphicsFormat colorFormat { get => format; set => format = value; }
        public FilterMode filterMode;
        public TextureWrapMode wrapMode;
        public MSAASamples msaaSamples;
        public bool enableRandomWrite;
        public TextureDesc(int width, int height, bool dynamicResolution = false, bool xrReady = false)
            : this() { this.width = width; this.height = height; }
        public TextureDesc(RenderTextureDescriptor input) : this() { width = input.width; height = input.height;
            format = input.graphicsFormat; }
    }

    public delegate void BaseRenderFunc<PassData, ContextType>(PassData data, ContextType renderGraphContext) where PassData
        : class, new();

    public class UnsafeGraphContext { public UnsafeCommandBuffer cmd; }
    public class RasterGraphContext { public RasterCommandBuffer cmd; }
    public class ComputeGraphContext { public ComputeCommandBuffer cmd; }

    public interface IBaseRenderGraphBuilder : IDisposable
    {
        void UseTexture(in TextureHandle input, AccessFlags flags = AccessFlags.Read);
        TextureHandle CreateTransientTexture(in TextureDesc desc);
        void AllowPassCulling(bool value);
        void AllowGlobalStateModification(bool value);
        void EnableAsyncCompute(bool value);
    }
    public interface IRenderAttachmentRenderGraphBuilder : IBaseRenderGraphBuilder
    {
        void SetRenderAttachment(TextureHandle tex, int index, AccessFlags flags = AccessFlags.Write);
        void SetRenderAttachmentDepth(TextureHandle tex, AccessFlags flags = AccessFlags.Write);
    }
    public interface IUnsafeRenderGraphBuilder : IRenderAttachmentRenderGraphBuilder
    {
        void SetRenderFunc<PassData>(BaseRenderFunc<PassData, UnsafeGraphContext> renderFunc) where PassData : class, new();
    }
    public interface IRasterRenderGraphBuilder : IRenderAttachmentRenderGraphBuilder
    {
        void SetRenderFunc<PassData>(BaseRenderFunc<PassData, RasterGraphContext> renderFunc) where PassData : class, new();
    }
    public interface IComputeRenderGraphBuilder : IBaseRenderGraphBuilder
    {
        void SetRenderFunc<PassData>(BaseRenderFunc<PassData, ComputeGraphContext> renderFunc) where PassData : class, new();
    }

    public class RenderGraph
    {
        private readonly List<Pass> passes = new List<Pass>();
        private static readonly Dictionary<int, RTHandle> made = new Dictionary<int, RTHandle>();
        private static int numbers;
        private static Pass now;
        public string name => "graph";

        public IUnsafeRenderGraphBuilder AddUnsafePass<PassData>(string passName, out PassData passData,
            [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) where PassData : class, new() =>
            Add(passName, out passData);
        public IUnsafeRenderGraphBuilder AddUnsafePass<PassData>(string passName, out PassData passData,
            ProfilingSampler sampler, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) where PassData
                : class, new() =>
            Add(passName, out passData);
        public IRasterRenderGraphBuilder AddRasterRenderPass<PassData>(string passName, out PassData passData,
            [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) where PassData : class, new() =>
            Add(passName, out passData);
        public IComputeRenderGraphBuilder AddComputePass<PassData>(string passName, out PassData passData,
            [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) where PassData : class, new() =>
            Add(passName, out passData);

        private Pass Add<PassData>(string passName, out PassData data) where PassData : class, new()
        {
            var pass = new Pass(passName, data = new PassData());
            passes.Add(pass);
            return pass;
        }
        public TextureHandle CreateTexture(in TextureDesc desc) =>
            Handle(new RenderTextureDescriptor(desc.width, desc.height) { graphicsFormat = desc.format });
        public TextureHandle ImportTexture(RTHandle rt) => new TextureHandle { Number = ++numbers, Handle = rt };
        public TextureDesc GetTextureDesc(in TextureHandle texture) => texture.Said.HasValue ? new TextureDesc(texture.Said.Value)
            : new TextureDesc(Gpu.NowCamera.pixelWidth, Gpu.NowCamera.pixelHeight);
        internal static TextureHandle Handle(RenderTextureDescriptor said) =>
            new TextureHandle { Number = ++numbers, Said = said };

        /// <summary>Give a handle its texture: only while a pass runs that said it uses it.</summary>
        internal static RTHandle Resolve(TextureHandle handle)
        {
            if (!handle.IsValid()) return null;
            if (now == null) throw new EngineException("a texture handle has a texture only while its pass runs");
            if (!now.Uses.Contains(handle.Number))
            {
                throw new EngineException($"pass '{now.Name}' did not say that it uses a texture that it uses");
            }
            if (handle.Handle != null) return handle.Handle;
            if (!made.TryGetValue(handle.Number,
                out RTHandle found)) found = made[handle.Number] = RTHandles.Alloc(handle.Said.Value);
            return found;
        }

        internal void Run()
        {
            foreach (Pass pass in passes)
            {
                if (!pass.Closed) throw new EngineException($"pass '{pass.Name}': its builder was not disposed");
                if (pass.Culled) continue;
                now = pass;
                var commands = new CommandBuffer();
                pass.Run(commands);
                Gpu.Run(commands);
                commands.Release();
                now = null;
            }
            passes.Clear();
            foreach (RTHandle one in made.Values) one.Release();
            made.Clear();
        }

        private sealed class Pass : IUnsafeRenderGraphBuilder, IRasterRenderGraphBuilder, IComputeRenderGraphBuilder
        {
            public readonly string Name;
            public readonly HashSet<int> Uses = new HashSet<int>();
            public bool Closed;
            private readonly object data;
            private Action<CommandBuffer> run;
            private bool cullable = true, writes;
            private TextureHandle color, depth;
            public Pass(string name, object data) { Name = name; this.data = data; }
            public bool Culled => cullable && !writes;
            public void Run(CommandBuffer commands)
            {
                if (run == null) throw new EngineException($"pass '{Name}' has no function");
                if (color.IsValid())
                {
                    RTHandle picture = color, heights = depth;
                    if (heights == null) commands.SetRenderTarget(picture);
                    else commands.SetRenderTarget(picture, heights);
                }
                run(commands);
            }
            public void UseTexture(in TextureHandle input, AccessFlags flags)
            {
                if (!input.IsValid()) throw new ArgumentException("invalid texture handle");
                Uses.Add(input.Number);
                writes |= (flags & AccessFlags.Write) != 0;
            }
            public TextureHandle CreateTransientTexture(in TextureDesc desc)
            {
                TextureHandle handle = RenderGraph.Handle(new RenderTextureDescriptor(desc.width,
                    desc.height) { graphicsFormat = desc.format });
                Uses.Add(handle.Number);
                return handle;
            }
            public void AllowPassCulling(bool value) => cullable = value;
            public void AllowGlobalStateModification(bool value) => cullable &= !value;
            public void EnableAsyncCompute(bool value) { }
            public void SetRenderAttachment(TextureHandle tex, int index, AccessFlags flags)
            {
                UseTexture(tex, flags);
                color = tex;
            }
            public void SetRenderAttachmentDepth(TextureHandle tex, AccessFlags flags)
            {
                UseTexture(tex, flags);
                depth = tex;
            }
            public void SetRenderFunc<PassData>(BaseRenderFunc<PassData, UnsafeGraphContext> f) where PassData : class, new() =>
                run = commands => f((PassData)data, new UnsafeGraphContext { cmd = new UnsafeCommandBuffer(commands) });
            public void SetRenderFunc<PassData>(BaseRenderFunc<PassData, RasterGraphContext> f) where PassData : class, new() =>
                run = commands => f((PassData)data, new RasterGraphContext { cmd = new RasterCommandBuffer(commands) });
            public void SetRenderFunc<PassData>(BaseRenderFunc<PassData, ComputeGraphContext> f) where PassData : class, new() =>
                run = commands => f((PassData)data, new ComputeGraphContext { cmd = new ComputeCommandBuffer(commands) });
            public void Dispose() => Closed = true;
        }
    }
}
#endif
