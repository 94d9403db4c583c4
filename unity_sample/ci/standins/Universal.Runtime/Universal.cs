#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;
using UnityEngine.Experimental.Rendering;
#if UNITY_6000_0_OR_NEWER
using UnityEngine.Rendering.RenderGraphModule;
#endif

namespace UnityEngine.Rendering.Universal
{
    // com.unity.render-pipelines.universal 14 (2022.3) and 17 (6000.0)
    public enum RenderPassEvent
    {
        BeforeRendering = 0, BeforeRenderingShadows = 50, AfterRenderingShadows = 100, BeforeRenderingPrePasses = 150,
        AfterRenderingPrePasses = 200, BeforeRenderingGbuffer = 210, AfterRenderingGbuffer = 220,
            BeforeRenderingDeferredLights = 230,
        AfterRenderingDeferredLights = 240, BeforeRenderingOpaques = 250, AfterRenderingOpaques = 300,
            BeforeRenderingSkybox = 350,
        AfterRenderingSkybox = 400, BeforeRenderingTransparents = 450, AfterRenderingTransparents = 500,
        BeforeRenderingPostProcessing = 550, AfterRenderingPostProcessing = 600, AfterRendering = 1000,
    }
    [Flags]
    public enum ScriptableRenderPassInput { None = 0, Depth = 1, Normal = 2, Color = 4, Motion = 8 }
    public enum CameraRenderType { Base, Overlay }

    public struct CameraData
    {
        public Camera camera;
        public CameraRenderType renderType;
        public RenderTexture targetTexture;
        public RenderTextureDescriptor cameraTargetDescriptor;
        public CameraType cameraType;
        public bool isSceneViewCamera => cameraType == CameraType.SceneView;
        public bool isPreviewCamera => cameraType == CameraType.Preview;
        public ScriptableRenderer renderer;
        public bool isHdrEnabled;
        public Matrix4x4 GetViewMatrix(int viewIndex = 0) => camera.worldToCameraMatrix;
        public Matrix4x4 GetProjectionMatrix(int viewIndex = 0) => camera.projectionMatrix;
        public Matrix4x4 GetGPUProjectionMatrix(int viewIndex = 0) =>
            GL.GetGPUProjectionMatrix(camera.projectionMatrix, IsCameraProjectionMatrixFlipped());
        public bool IsCameraProjectionMatrixFlipped() => Engine.UvStartsAtTop && camera.IntoTexture;
    }

    public struct RenderingData
    {
        public CameraData cameraData;
        public bool supportsDynamicBatching;
    }

    public abstract class ScriptableRenderer
    {
        internal readonly List<ScriptableRenderPass> Queue = new List<ScriptableRenderPass>();
        private static readonly RTHandle camera =
            RTHandles.Alloc(new RenderTargetIdentifier(BuiltinRenderTextureType.CameraTarget));
        internal bool MayAsk;
        internal static RTHandle Target => camera;
#if UNITY_6000_0_OR_NEWER
        [Obsolete("Use RenderGraph's resource data instead of cameraColorTargetHandle.", false)]
#endif
        public RTHandle cameraColorTargetHandle => MayAsk ? camera
            : throw new EngineException("You can only call cameraColorTargetHandle inside the scope of a ScriptableRenderPass.");
#if UNITY_6000_0_OR_NEWER
        [Obsolete("Use RenderGraph's resource data instead of cameraDepthTargetHandle.", false)]
#endif
        public RTHandle cameraDepthTargetHandle => MayAsk ? camera
            : throw new EngineException("You can only call cameraDepthTargetHandle inside the scope of a ScriptableRenderPass.");
        public void EnqueuePass(ScriptableRenderPass pass) => Queue.Add(pass);
    }
    public sealed class UniversalRenderer : ScriptableRenderer
    {
#if UNITY_6000_0_OR_NEWER
        public static TextureHandle CreateRenderGraphTexture(RenderGraph renderGraph, RenderTextureDescriptor desc,
            string name, bool clear,
            FilterMode filterMode = FilterMode.Point,
                TextureWrapMode wrapMode = TextureWrapMode.Clamp) => RenderGraph.Handle(desc);
#endif
    }

    public abstract partial class ScriptableRenderPass
    {
        public RenderPassEvent renderPassEvent { get; set; } = RenderPassEvent.AfterRenderingOpaques;
        protected internal ProfilingSampler profilingSampler { get; set; }
        public void ConfigureInput(ScriptableRenderPassInput passInput) { }
#if UNITY_6000_0_OR_NEWER
        private const string Old =
            "This rendering path is for compatibility mode only (when Render Graph is disabled). Use Render Graph API instead.";
        public bool requiresIntermediateTexture { get; set; }
        public virtual void RecordRenderGraph(RenderGraph renderGraph, ContextContainer frameData) { }
        [Obsolete(Old, false)]
        public void ConfigureTarget(RTHandle colorAttachment) { }
        [Obsolete(Old, false)]
        public virtual void OnCameraSetup(CommandBuffer cmd, ref RenderingData renderingData) { }
        [Obsolete(Old, false)]
        public virtual void Configure(CommandBuffer cmd, RenderTextureDescriptor cameraTextureDescriptor) { }
        [Obsolete(Old, false)]
        public virtual void Execute(ScriptableRenderContext context, ref RenderingData renderingData) { }
        public virtual void OnCameraCleanup(CommandBuffer cmd) { }
#else
        public void ConfigureTarget(RTHandle colorAttachment) { }
        public void ConfigureTarget(RTHandle colorAttachment, RTHandle depthAttachment) { }
        public virtual void OnCameraSetup(CommandBuffer cmd, ref RenderingData renderingData) { }
        public virtual void Configure(CommandBuffer cmd, RenderTextureDescriptor cameraTextureDescriptor) { }
        public abstract void Execute(ScriptableRenderContext context, ref RenderingData renderingData);
        public virtual void OnCameraCleanup(CommandBuffer cmd) { }
#endif
    }

    public abstract class ScriptableRendererFeature : ScriptableObject, IDisposable
    {
        private bool active = true;
        public bool isActive => active;
        public void SetActive(bool active) => this.active = active;
        public abstract void Create();
        public abstract void AddRenderPasses(ScriptableRenderer renderer, ref RenderingData renderingData);
        public virtual void OnCameraPreCull(ScriptableRenderer renderer, in CameraData cameraData) { }
#if UNITY_6000_0_OR_NEWER
        [Obsolete("This rendering path is for compatibility mode only. Use Render Graph API instead.", false)]
#endif
        public virtual void SetupRenderPasses(ScriptableRenderer renderer, in RenderingData renderingData) { }
        public void Dispose() => Dispose(true);
        protected virtual void Dispose(bool disposing) { }
        // OnEnable and OnValidate of the real one call Create.
        private void OnEnable() => Create();
    }

    [AttributeUsage(AttributeTargets.Class)]
    public class DisallowMultipleRendererFeature
        : Attribute { public DisallowMultipleRendererFeature(string customTitle = null) { } }

    public abstract class ScriptableRendererData : ScriptableObject
    {
        public List<ScriptableRendererFeature> rendererFeatures { get; } = new List<ScriptableRendererFeature>();
        public void SetDirty() { }
        public bool TryGetRendererFeature<T>(out T rendererFeature) where T : ScriptableRendererFeature
        {
            foreach (ScriptableRendererFeature one in rendererFeatures)
            {
                rendererFeature = one as T;
                if (rendererFeature) return true;
            }
            rendererFeature = null;
            return false;
        }
    }
    public class UniversalRendererData : ScriptableRendererData { }

    public class UniversalAdditionalCameraData : MonoBehaviour
    {
        public bool renderPostProcessing { get; set; }
        public ScriptableRenderer scriptableRenderer =>
            (GraphicsSettings.currentRenderPipeline as UniversalRenderPipelineAsset)?.scriptableRenderer;
    }
    public static class CameraExtensions
    {
        public static UniversalAdditionalCameraData GetUniversalAdditionalCameraData(this Camera camera) =>
            camera.gameObject.TryGetComponent(out UniversalAdditionalCameraData found) ? found
                : camera.gameObject.AddComponent<UniversalAdditionalCameraData>();
    }

    public class UniversalRenderPipelineAsset : RenderPipelineAsset
    {
        internal readonly UniversalRendererData Data = CreateInstance<UniversalRendererData>();
        private readonly UniversalRenderer renderer = new UniversalRenderer();
        public ScriptableRenderer scriptableRenderer => renderer;
        public ReadOnlySpan<ScriptableRendererData> rendererDataList => new ScriptableRendererData[] { Data };
        public bool supportsHDR { get; set; } = true;
        public int msaaSampleCount { get; set; } = 1;

        protected internal override void Headless(ScriptableRenderContext context, Camera camera)
        {
            var said = new RenderingData
            {
                cameraData = new CameraData
                {
                    camera = camera, cameraType = camera.cameraType, targetTexture = camera.targetTexture, renderer = renderer,
                    cameraTargetDescriptor = camera.Picture.descriptor, isHdrEnabled = Engine.Hdr,
                },
            };
            foreach (ScriptableRendererFeature one in Data.rendererFeatures) if (one.isActive) one.OnCameraPreCull(renderer,
                in said.cameraData);
            foreach (ScriptableRendererFeature one in Data.rendererFeatures) if (one.isActive) one.AddRenderPasses(renderer,
                ref said);
            renderer.MayAsk = true;
            Drawing.Begin(camera);
            // The order of equal events is the order of their features.
            var passes = new List<ScriptableRenderPass>(renderer.Queue);
            renderer.Queue.Clear();
            bool drawn = false;
            foreach (RenderPassEvent at in Enum.GetValues(typeof(RenderPassEvent)))
            {
                if (at >= RenderPassEvent.AfterRenderingTransparents && !drawn)
                {
                    Drawing.Transparent(camera);
                    drawn = true;
                }
                foreach (ScriptableRenderPass pass in passes) if (pass.renderPassEvent == at) Run(pass, context, ref said);
            }
            renderer.MayAsk = false;
        }

#if UNITY_6000_0_OR_NEWER
        private void Run(ScriptableRenderPass pass, ScriptableRenderContext context, ref RenderingData said)
        {
            var graph = new RenderGraph();
            var frame = new ContextContainer();
            UniversalResourceData resources = frame.Create<UniversalResourceData>();
            RTHandle target = ScriptableRenderer.Target;
            resources.cameraColor = resources.activeColorTexture = graph.ImportTexture(target);
            resources.cameraDepth = resources.activeDepthTexture = graph.ImportTexture(target);
            resources.isActiveTargetBackBuffer = !said.cameraData.camera.IntoTexture;
            UniversalCameraData data = frame.Create<UniversalCameraData>();
            (data.camera, data.cameraType, data.targetTexture) = (said.cameraData.camera, said.cameraData.cameraType,
                said.cameraData.targetTexture);
            data.cameraTargetDescriptor = said.cameraData.cameraTargetDescriptor;
            frame.Create<UniversalRenderingData>();
            pass.RecordRenderGraph(graph, frame);
            Drawing.ToTarget();
            graph.Run();
            Drawing.ToTarget();
        }
#else
        private void Run(ScriptableRenderPass pass, ScriptableRenderContext context, ref RenderingData said)
        {
            var commands = new CommandBuffer();
            pass.OnCameraSetup(commands, ref said);
            pass.Configure(commands, said.cameraData.cameraTargetDescriptor);
            Gpu.Run(commands);
            commands.Clear();
            Drawing.ToTarget();
            pass.Execute(context, ref said);
            pass.OnCameraCleanup(commands);
            Gpu.Run(commands);
            commands.Release();
            Drawing.ToTarget();
        }
#endif
    }

    public static class RenderingUtils
    {
#if UNITY_6000_0_OR_NEWER
        [Obsolete("This method will be removed in a future release. Please use ReAllocateHandleIfNeeded instead.", false)]
#endif
        public static bool ReAllocateIfNeeded(ref RTHandle handle, in RenderTextureDescriptor descriptor,
            FilterMode filterMode = FilterMode.Point,
            TextureWrapMode wrapMode = TextureWrapMode.Repeat, bool isShadowMap = false, int anisoLevel = 1,
                float mipMapBias = 0, string name = "") =>
            Again(ref handle, descriptor, name);
#if UNITY_6000_0_OR_NEWER
        public static bool ReAllocateHandleIfNeeded(ref RTHandle handle, in RenderTextureDescriptor descriptor,
            FilterMode filterMode = FilterMode.Point,
            TextureWrapMode wrapMode = TextureWrapMode.Repeat, int anisoLevel = 1, float mipMapBias = 0, string name = "") =>
            Again(ref handle, descriptor, name);
#endif
        private static bool Again(ref RTHandle handle, in RenderTextureDescriptor said, string name)
        {
            if (handle != null && handle.rt && handle.rt.width == said.width && handle.rt.height == said.height
                && handle.rt.format == said.colorFormat) return false;
            handle?.Release();
            handle = RTHandles.Alloc(said, name: name);
            return true;
        }
    }

#if UNITY_6000_0_OR_NEWER
    public class UniversalResourceData : ContextItem
    {
        public TextureHandle activeColorTexture { get; internal set; }
        public TextureHandle activeDepthTexture { get; internal set; }
        public TextureHandle cameraColor { get; set; }
        public TextureHandle cameraDepth { get; set; }
        public bool isActiveTargetBackBuffer { get; internal set; }
        public override void Reset() { }
    }
    public class UniversalRenderingData : ContextItem { public override void Reset() { } }
    public class UniversalCameraData : ContextItem
    {
        public Camera camera;
        public CameraRenderType renderType;
        public RenderTexture targetTexture;
        public RenderTextureDescriptor cameraTargetDescriptor;
        public CameraType cameraType;
        public bool isHdrEnabled;
        public bool isSceneViewCamera => cameraType == CameraType.SceneView;
        public bool isPreviewCamera => cameraType == CameraType.Preview;
        public Matrix4x4 GetViewMatrix(int viewIndex = 0) => camera.worldToCameraMatrix;
        public Matrix4x4 GetProjectionMatrix(int viewIndex = 0) => camera.projectionMatrix;
        public Matrix4x4 GetGPUProjectionMatrix(int viewIndex = 0) =>
            GL.GetGPUProjectionMatrix(camera.projectionMatrix, IsCameraProjectionMatrixFlipped());
        public bool IsCameraProjectionMatrixFlipped() => Engine.UvStartsAtTop && camera.IntoTexture;
        public bool IsHandleYFlipped(RTHandle handle) => IsCameraProjectionMatrixFlipped();
        public bool IsRenderTargetProjectionMatrixFlipped(RTHandle color, RTHandle depth = null) =>
            IsCameraProjectionMatrixFlipped();
        public override void Reset() { }
    }
#endif
}
