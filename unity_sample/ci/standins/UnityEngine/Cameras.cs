#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;
using UnityEngine.Rendering;

namespace UnityEngine
{
    // ScriptReference/Camera
    public sealed class Camera : Behaviour
    {
        /// <summary>By event, and in the order in which they came.</summary>
        internal readonly List<(CameraEvent at, CommandBuffer buffer)> Events = new List<(CameraEvent, CommandBuffer)>();
        private Matrix4x4? view, projection;
        internal RenderTexture Picture;
        /// <summary>Draws into a texture that is turned over later, as the editor's views do, not onto the window.</summary>
        internal bool IntoTexture => targetTexture || (allowHDR && Engine.Hdr) || forceIntoRenderTexture || !Engine.Playing;

        public delegate void CameraCallback(Camera cam);
        public static CameraCallback onPreCull;
        public static CameraCallback onPreRender;
        public static CameraCallback onPostRender;

        public static Camera main
        {
            get
            {
                Camera[] all = allCameras;
                return all.Length > 0 ? all[0] : null;
            }
        }
        public static Camera current => Gpu.NowCamera;
        public static Camera[] allCameras => Engine.Find<Camera>();
        public static int allCamerasCount => allCameras.Length;
        public float fieldOfView { get; set; } = 60;
        public float nearClipPlane { get; set; } = 0.3f;
        public float farClipPlane { get; set; } = 1000;
        public bool orthographic { get; set; }
        public float orthographicSize { get; set; } = 5;
        public float depth { get; set; }
        public float aspect { get => (float)pixelWidth / pixelHeight; set { } }
        public int cullingMask { get; set; } = -1;
        public CameraType cameraType { get; set; } = CameraType.Game;
        public CameraClearFlags clearFlags { get; set; } = CameraClearFlags.SolidColor;
        public Color backgroundColor { get; set; } = Color.white;
        public RenderTexture targetTexture { get; set; }
        public RenderTexture activeTexture => IntoTexture ? Picture : null;
        public bool allowHDR { get; set; } = true;
        public bool allowMSAA { get; set; } = true;
        public bool allowDynamicResolution { get; set; }
        public bool forceIntoRenderTexture { get; set; }
        public bool stereoEnabled => false;
        public Rect rect { get; set; } = new Rect(0, 0, 1, 1);
        public Rect pixelRect => new Rect(0, 0, pixelWidth, pixelHeight);
        public int pixelWidth => targetTexture ? targetTexture.width : Engine.ScreenWidth;
        public int pixelHeight => targetTexture ? targetTexture.height : Engine.ScreenHeight;
        public int scaledPixelWidth => pixelWidth;
        public int scaledPixelHeight => pixelHeight;
        public RenderingPath actualRenderingPath => RenderingPath.Forward;
        public DepthTextureMode depthTextureMode { get; set; }
        public int commandBufferCount => Events.Count;
        /// <summary>From the world to x right, y up, -z forward.</summary>
        public Matrix4x4 worldToCameraMatrix
        {
            get => view ?? Matrix4x4.Scale(new Vector3(1, 1, -1)) * Matrix4x4.TRS(transform.position, transform.rotation,
                Vector3.one).inverse;
            set => view = value;
        }
        public Matrix4x4 cameraToWorldMatrix => worldToCameraMatrix.inverse;
        public Matrix4x4 projectionMatrix
        {
            get => projection ?? Matrix4x4.Perspective(fieldOfView, aspect, nearClipPlane, farClipPlane);
            set => projection = value;
        }
        public Matrix4x4 nonJitteredProjectionMatrix { get => projectionMatrix; set => projection = value; }
        public void ResetProjectionMatrix() => projection = null;
        public void ResetWorldToCameraMatrix() => view = null;
        public void AddCommandBuffer(CameraEvent evt, CommandBuffer buffer)
        {
            int at = Events.Count;
            while (at > 0 && Events[at - 1].at > evt) at--;
            Events.Insert(at, (evt, buffer));
        }
        public void RemoveCommandBuffer(CameraEvent evt, CommandBuffer buffer)
        {
            for (int i = Events.Count - 1; i >= 0; i--) if (Events[i].at == evt && Events[i].buffer == buffer) Events.RemoveAt(i);
        }
        public CommandBuffer[] GetCommandBuffers(CameraEvent evt) =>
            Events.FindAll(one => one.at == evt).ConvertAll(one => one.buffer).ToArray();
        public void RemoveAllCommandBuffers() => Events.Clear();
        public void Render() => Drawing.Render(this);
        public Ray ScreenPointToRay(Vector3 pos) => default;
        public void CopyFrom(Camera other)
        {
            (fieldOfView, nearClipPlane, farClipPlane) = (other.fieldOfView, other.nearClipPlane, other.farClipPlane);
            (clearFlags, backgroundColor) = (other.clearFlags, other.backgroundColor);
        }
    }

    public struct Ray { public Vector3 origin { get; set; } public Vector3 direction { get; set; } }

    // ScriptReference/GL
    public sealed class GL
    {
        public const int TRIANGLES = 4, TRIANGLE_STRIP = 5, QUADS = 7, LINES = 1;
        public static bool invertCulling { get; set; }
        public static bool sRGBWrite { get; set; }
        /// <summary>As Direct3D and Vulkan: depth 0..1, perhaps from far to near; into textures upside down.</summary>
        public static Matrix4x4 GetGPUProjectionMatrix(Matrix4x4 proj, bool renderIntoTexture)
        {
            if (!Engine.UvStartsAtTop) return proj;
            Matrix4x4 depth = Matrix4x4.identity;
            depth.m22 = Engine.ReversedZ ? -0.5f : 0.5f;
            depth.m23 = 0.5f;
            depth.m11 = renderIntoTexture ? -1 : 1;
            return depth * proj;
        }
        public static void Flush() { }
    }

    // ScriptReference/Graphics
    public class Graphics
    {
        public static void ExecuteCommandBuffer(CommandBuffer buffer) => Gpu.Run(buffer);
        public static void ExecuteCommandBufferAsync(CommandBuffer buffer, ComputeQueueType queueType) => Gpu.Run(buffer);
        public static void CopyTexture(Texture src, int srcElement, int srcMip, Texture dst, int dstElement, int dstMip)
        {
            if (src is Texture2D from && dst is Texture2DArray to && srcMip == 0 && dstMip == 0
                && srcElement == 0) to.CopyFrom(from, dstElement);
            else throw new EngineException("the stand-in copies pictures into arrays only");
        }
        public static void SetRenderTarget(RenderTexture rt) => RenderTexture.active = rt;
        public static void DrawProceduralNow(MeshTopology topology, int vertexCount, int instanceCount = 1) =>
            Gpu.Draw(Gpu.NowMaterial.material, Gpu.NowMaterial.pass, topology, vertexCount, instanceCount, null);
        public static void RenderPrimitives(in RenderParams rparams, MeshTopology topology, int vertexCount,
            int instanceCount = 1) =>
            Drawing.Later(rparams, topology, vertexCount, instanceCount);
        public static void DrawProcedural(Material material, Bounds bounds, MeshTopology topology, int vertexCount,
            int instanceCount = 1,
            Camera camera = null, MaterialPropertyBlock properties = null, ShadowCastingMode castShadows = ShadowCastingMode.On,
            bool receiveShadows = true, int layer = 0) =>
            Drawing.Later(new RenderParams(material) { camera = camera, matProps = properties, worldBounds = bounds,
                layer = layer }, topology, vertexCount, instanceCount);
        public static void RenderMesh(in RenderParams rparams, Mesh mesh, int submeshIndex, Matrix4x4 objectToWorld,
            Matrix4x4? prevObjectToWorld = null) { }
        public static void DrawMesh(Mesh mesh, Matrix4x4 matrix, Material material, int layer) { }
    }

    // ScriptReference/RenderParams
    public struct RenderParams
    {
        public RenderParams(Material mat) : this() { material = mat; shadowCastingMode = ShadowCastingMode.Off; }
        public int layer { get; set; }
        public uint renderingLayerMask { get; set; }
        public int rendererPriority { get; set; }
        public Bounds worldBounds { get; set; }
        public Camera camera { get; set; }
        public Material material { get; set; }
        public MaterialPropertyBlock matProps { get; set; }
        public ShadowCastingMode shadowCastingMode { get; set; }
        public bool receiveShadows { get; set; }
        public LightProbeUsage lightProbeUsage { get; set; }
    }
}

namespace UnityEngine.Rendering
{
    // ScriptReference/Rendering.ScriptableRenderContext
    public struct ScriptableRenderContext : IEquatable<ScriptableRenderContext>
    {
        public void ExecuteCommandBuffer(CommandBuffer commandBuffer)
        {
            if (commandBuffer == null) throw new ArgumentNullException(nameof(commandBuffer));
            // The engine copies now and runs at Submit, after everything that was recorded before; in order, so now will do.
            Gpu.Run(commandBuffer);
        }
        public void ExecuteCommandBufferAsync(CommandBuffer commandBuffer, ComputeQueueType queueType) =>
            ExecuteCommandBuffer(commandBuffer);
        public void Submit() { }
        public void SetupCameraProperties(Camera camera) { }
        public bool Equals(ScriptableRenderContext other) => true;
    }

    // ScriptReference/Rendering.RenderPipelineAsset
    public abstract class RenderPipelineAsset : ScriptableObject
    {
        /// <summary>How the stand-in of a pipeline draws a camera.</summary>
        internal protected virtual void Headless(ScriptableRenderContext context, Camera camera) { }
#if UNITY_6000_0_OR_NEWER
        public virtual string renderPipelineShaderTag => "";
#endif
    }
#if UNITY_6000_0_OR_NEWER
    public abstract class RenderPipelineAsset<T> : RenderPipelineAsset { }
#endif

    // ScriptReference/Rendering.RenderPipelineManager
    public static class RenderPipelineManager
    {
        public static event Action<ScriptableRenderContext, List<Camera>> beginContextRendering;
        public static event Action<ScriptableRenderContext, List<Camera>> endContextRendering;
        public static event Action<ScriptableRenderContext, Camera> beginCameraRendering;
        public static event Action<ScriptableRenderContext, Camera> endCameraRendering;
        public static event Action activeRenderPipelineTypeChanged;
        internal static readonly List<Camera> Many = new List<Camera>();
        internal static void Begin(Camera camera)
        {
            beginContextRendering?.Invoke(default, Many);
            beginCameraRendering?.Invoke(default, camera);
        }
        internal static void End(Camera camera)
        {
            endCameraRendering?.Invoke(default, camera);
            endContextRendering?.Invoke(default, Many);
        }
        internal static void Changed() => activeRenderPipelineTypeChanged?.Invoke();
        internal static int Listeners => Count(beginContextRendering) + Count(endContextRendering) + Count(beginCameraRendering)
            + Count(endCameraRendering);
        private static int Count(Delegate many) => many == null ? 0 : many.GetInvocationList().Length;
    }

    // ScriptReference/Rendering.GraphicsSettings
    public sealed class GraphicsSettings
    {
        internal static RenderPipelineAsset Now;
        public static RenderPipelineAsset currentRenderPipeline => Now;
        public static RenderPipelineAsset defaultRenderPipeline { get => Now; set => Now = value; }
#if UNITY_6000_0_OR_NEWER
        [Obsolete("renderPipelineAsset has been deprecated. Use defaultRenderPipeline instead.", false)]
#endif
        public static RenderPipelineAsset renderPipelineAsset { get => Now; set => Now = value; }
    }
}
