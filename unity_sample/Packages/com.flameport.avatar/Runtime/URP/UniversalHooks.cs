using UnityEngine;
using UnityEngine.Rendering;
using UnityEngine.Rendering.Universal;
#if UNITY_6000_0_OR_NEWER
using UnityEngine.Rendering.RenderGraphModule;
#endif

namespace Flameport
{
    /// <summary>Avatars in the Universal Render Pipeline: a pass that comes by itself, without a renderer feature.</summary>
    internal static class UniversalHooks
    {
        private static AvatarPass? pass;

#if UNITY_EDITOR
        [UnityEditor.InitializeOnLoadMethod]
#endif
        [RuntimeInitializeOnLoadMethod(RuntimeInitializeLoadType.SubsystemRegistration)]
        private static void Begin()
        {
            RenderPipelineManager.beginCameraRendering -= BeforeCamera;
            RenderPipelineManager.beginCameraRendering += BeforeCamera;
        }

        private static void BeforeCamera(ScriptableRenderContext context, Camera camera)
        {
            if (!CameraHooks.Shows(camera) || !(GraphicsSettings.currentRenderPipeline is UniversalRenderPipelineAsset)) return;
            camera.GetUniversalAdditionalCameraData().scriptableRenderer.EnqueuePass(pass ??= new AvatarPass());
        }

        private sealed class AvatarPass : ScriptableRenderPass
        {
            public AvatarPass()
            {
                renderPassEvent = RenderPassEvent.BeforeRenderingTransparents;
                // Only beside a target of the pipeline's own can another share its depth.
#if UNITY_6000_0_OR_NEWER
                requiresIntermediateTexture = true;
#else
                ConfigureInput(ScriptableRenderPassInput.Color);
#endif
            }

            private static CameraTarget Target(in RenderTextureDescriptor said, bool intoTexture) => new CameraTarget {
                Width = said.width, Height = said.height, Samples = said.msaaSamples, IntoTexture = intoTexture };

#if UNITY_6000_0_OR_NEWER
            private sealed class Data
            {
                public TextureHandle Color, Depth;
                public UniversalCameraData Camera = null!;
                public bool OnWindow;
            }

            public override void RecordRenderGraph(RenderGraph renderGraph, ContextContainer frameData)
            {
                var resources = frameData.Get<UniversalResourceData>();
                using (var builder = renderGraph.AddUnsafePass<Data>("Flameport", out Data data))
                {
                    data.Camera = frameData.Get<UniversalCameraData>();
                    data.OnWindow = resources.isActiveTargetBackBuffer && !data.Camera.camera.targetTexture;
                    data.Color = resources.activeColorTexture;
                    data.Depth = resources.activeDepthTexture;
                    builder.UseTexture(data.Color, AccessFlags.ReadWrite);
                    builder.UseTexture(data.Depth, AccessFlags.ReadWrite);
                    builder.AllowPassCulling(false);
                    builder.SetRenderFunc<Data>(Draw);
                }
            }

            private static void Draw(Data data, UnsafeGraphContext context)
            {
                CameraTarget target = Target(data.Camera.cameraTargetDescriptor, !data.OnWindow);
                (target.Color, target.Depth) = ((RTHandle)data.Color, (RTHandle)data.Depth);
                CameraHooks.Record(CommandBufferHelpers.GetNativeCommandBuffer(context.cmd), data.Camera.camera, target);
            }
#else
            public override void Execute(ScriptableRenderContext context, ref RenderingData renderingData)
            {
                ref CameraData camera = ref renderingData.cameraData;
                CameraTarget target = Target(camera.cameraTargetDescriptor, camera.IsCameraProjectionMatrixFlipped());
                target.Color = camera.renderer.cameraColorTargetHandle;
                target.Depth = camera.renderer.cameraDepthTargetHandle;
                CommandBuffer commands = CommandBufferPool.Get("Flameport");
                CameraHooks.Record(commands, camera.camera, target);
                context.ExecuteCommandBuffer(commands);
                CommandBufferPool.Release(commands);
            }
#endif
        }
    }
}
