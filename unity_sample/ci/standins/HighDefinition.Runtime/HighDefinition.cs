#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;

namespace UnityEngine.Rendering.HighDefinition
{
    // com.unity.render-pipelines.high-definition 14 and 17: custom passes
    public class HDCamera { internal HDCamera(Camera camera) { this.camera = camera; } public Camera camera { get;
        } public int actualWidth => camera.pixelWidth; public int actualHeight => camera.pixelHeight; }
    public enum CustomPassInjectionPoint { BeforeRendering = 0, BeforeTransparent = 1, BeforePostProcess = 2,
        AfterPostProcess = 3, BeforePreRefraction = 4, AfterOpaqueDepthAndNormal = 5 }

    public struct CustomPassContext
    {
        public readonly ScriptableRenderContext renderContext;
        public readonly CommandBuffer cmd;
        public readonly HDCamera hdCamera;
        public readonly RTHandle cameraColorBuffer;
        public readonly RTHandle cameraDepthBuffer;
        public readonly MaterialPropertyBlock propertyBlock;
        internal CustomPassContext(CommandBuffer cmd, Camera camera, RTHandle target)
        {
            renderContext = default;
            this.cmd = cmd;
            hdCamera = new HDCamera(camera);
            cameraColorBuffer = cameraDepthBuffer = target;
            propertyBlock = new MaterialPropertyBlock();
        }
    }

    [Serializable]
    public abstract class CustomPass
    {
        public enum TargetBuffer { Camera, Custom, None }
        public string name { get => said; set => said = value; }
        private string said = "Custom Pass";
        public bool enabled = true;
        public TargetBuffer targetColorBuffer;
        public TargetBuffer targetDepthBuffer;
        public ClearFlag clearFlags;
        internal bool Ready;
        protected virtual bool executeInSceneView => true;
        protected virtual void Setup(ScriptableRenderContext renderContext, CommandBuffer cmd) { }
        protected virtual void Execute(CustomPassContext ctx) { }
        protected virtual void Cleanup() { }
        internal void Run(Camera camera, CommandBuffer commands)
        {
            if (!Ready) Setup(default, commands);
            Ready = true;
            RTHandle target = RTHandles.Alloc(new RenderTargetIdentifier(BuiltinRenderTextureType.CameraTarget));
            if (targetColorBuffer == TargetBuffer.Camera) commands.SetRenderTarget(target, target);
            Execute(new CustomPassContext(commands, camera, target));
        }
        internal void End()
        {
            if (Ready) Cleanup();
            Ready = false;
        }
    }

    [ExecuteAlways]
    public class CustomPassVolume : MonoBehaviour
    {
        private static readonly List<CustomPassVolume> active = new List<CustomPassVolume>();
        private static readonly List<(CustomPassInjectionPoint at, CustomPass pass,
            float priority)> global = new List<(CustomPassInjectionPoint, CustomPass, float)>();
        public bool isGlobal { get; set; } = true;
        public List<CustomPass> customPasses = new List<CustomPass>();
        public CustomPassInjectionPoint injectionPoint = CustomPassInjectionPoint.BeforeTransparent;
        public CustomPass AddPassOfType<T>() where T : CustomPass
        {
            var pass = (CustomPass)Activator.CreateInstance(typeof(T));
            customPasses.Add(pass);
            return pass;
        }
#if UNITY_6000_0_OR_NEWER
        public static void RegisterGlobalCustomPass(CustomPassInjectionPoint injectionPoint, CustomPass customPassInstance,
            float priority = 0) =>
            global.Add((injectionPoint, customPassInstance, priority));
        public static bool UnregisterGlobalCustomPass(CustomPass customPassInstance) =>
            global.RemoveAll(one => one.pass == customPassInstance) > 0;
        public static void UnregisterAllGlobalCustomPasses() => global.Clear();
#endif
        private void OnEnable() => active.Add(this);
        private void OnDisable()
        {
            active.Remove(this);
            foreach (CustomPass pass in customPasses) pass.End();
        }
        internal static void Run(CustomPassInjectionPoint at, Camera camera, CommandBuffer commands)
        {
            foreach ((CustomPassInjectionPoint point, CustomPass pass, float _) in global) if (point == at
                && pass.enabled) pass.Run(camera, commands);
            foreach (CustomPassVolume volume in active)
            {
                if (volume.injectionPoint != at) continue;
                foreach (CustomPass pass in volume.customPasses) if (pass != null && pass.enabled) pass.Run(camera, commands);
            }
        }
    }

    public class HDAdditionalCameraData : MonoBehaviour { }

    public class HDRenderPipelineAsset : RenderPipelineAsset
    {
        protected internal override void Headless(ScriptableRenderContext context, Camera camera)
        {
            Drawing.Begin(camera);
            var commands = new CommandBuffer();
            foreach (CustomPassInjectionPoint at in new[] { CustomPassInjectionPoint.BeforeRendering,
                CustomPassInjectionPoint.AfterOpaqueDepthAndNormal,
                CustomPassInjectionPoint.BeforePreRefraction, CustomPassInjectionPoint.BeforeTransparent })
            {
                CustomPassVolume.Run(at, camera, commands);
            }
            Gpu.Run(commands);
            commands.Clear();
            Drawing.ToTarget();
            Drawing.Transparent(camera);
            CustomPassVolume.Run(CustomPassInjectionPoint.BeforePostProcess, camera, commands);
            CustomPassVolume.Run(CustomPassInjectionPoint.AfterPostProcess, camera, commands);
            Gpu.Run(commands);
            commands.Release();
            Drawing.ToTarget();
        }
    }
}
