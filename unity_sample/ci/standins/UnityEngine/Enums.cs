#nullable disable
using System;

namespace UnityEngine
{
    // ScriptReference/<name>; only the members that are used, or could be.
    public enum ColorSpace { Uninitialized = -1, Gamma = 0, Linear = 1 }
    public enum CameraType { Game = 1, SceneView = 2, Preview = 4, VR = 8, Reflection = 16 }
    public enum CameraClearFlags { Skybox = 1, Color = 2, SolidColor = 2, Depth = 3, Nothing = 4 }
    public enum MeshTopology { Triangles = 0, Quads = 2, Lines = 3, LineStrip = 4, Points = 5 }
    public enum FilterMode { Point, Bilinear, Trilinear }
    public enum TextureWrapMode { Repeat, Clamp, Mirror, MirrorOnce }
    public enum CubemapFace { Unknown = -1, PositiveX = 0 }
    public enum LogType { Error, Assert, Warning, Log, Exception }
    public enum RenderingPath { UsePlayerSettings = -1, VertexLit = 0, Forward = 1, DeferredShading = 3 }
    public enum TextureFormat
    {
        Alpha8 = 1, RGB24 = 3, RGBA32 = 4, ARGB32 = 5, R16 = 9, RHalf = 15, RGHalf = 16, RGBAHalf = 17, RFloat = 18, RGFloat = 19,
        RGBAFloat = 20, R8 = 63,
    }
    public enum RenderTextureFormat
    {
        ARGB32 = 0, Depth = 1, ARGBHalf = 2, Shadowmap = 3, Default = 7, ARGB2101010 = 8, DefaultHDR = 9, ARGBFloat = 11,
            RGFloat = 12,
        RGHalf = 13, RFloat = 14, RHalf = 15, R8 = 16,
    }
    public enum RenderTextureReadWrite { Default, Linear, sRGB }
    public enum RenderTextureMemoryless { None = 0, Color = 1, Depth = 2, MSAA = 4 }
    [Flags]
    public enum DepthTextureMode { None = 0, Depth = 1, DepthNormals = 2, MotionVectors = 4 }
    public enum RuntimePlatform { OSXEditor = 0, OSXPlayer = 1, WindowsPlayer = 2, WindowsEditor = 7, IPhonePlayer = 8,
        Android = 11, LinuxPlayer = 13, LinuxEditor = 16, WebGLPlayer = 17 }
    public enum KeyCode { None = 0, Space = 32, Escape = 27, LeftArrow = 276, RightArrow = 275 }
}

namespace UnityEngine.Experimental.Rendering
{
    // ScriptReference/Experimental.Rendering.GraphicsFormat
    public enum GraphicsFormat
    {
        None = 0, R8_SRGB = 1, R8G8B8A8_SRGB = 4, R8_UNorm = 5, R8G8B8A8_UNorm = 8, R16_SFloat = 45, R16G16B16A16_SFloat = 48,
        R32_SFloat = 49, R32G32B32A32_SFloat = 52, R32_UInt = 37, R32G32B32A32_UInt = 40, B8G8R8A8_SRGB = 57, B8G8R8A8_UNorm = 59,
        B10G11R11_UFloatPack32 = 74, D24_UNorm_S8_UInt = 92, D32_SFloat = 93,
    }

    [Flags]
    public enum TextureCreationFlags { None = 0, MipChain = 1, DontInitializePixels = 4, DontUploadUponCreate = 1024 }

    public enum DefaultFormat { LDR, HDR, DepthStencil, Shadow, Video }
}

namespace UnityEngine.Rendering
{
    public enum TextureDimension { Unknown = -1, None = 0, Any = 1, Tex2D = 2, Tex3D = 3, Cube = 4, Tex2DArray = 5 }
    public enum BuiltinRenderTextureType
    {
        PropertyName = -4, BufferPtr = -3, RenderTexture = -2, BindableTexture = -1, None = 0, CurrentActive = 1,
            CameraTarget = 2, Depth = 3,
    }
    public enum CameraEvent
    {
        BeforeDepthTexture, AfterDepthTexture, BeforeDepthNormalsTexture, AfterDepthNormalsTexture, BeforeGBuffer, AfterGBuffer,
        BeforeLighting, AfterLighting, BeforeFinalPass, AfterFinalPass, BeforeForwardOpaque, AfterForwardOpaque,
        BeforeImageEffectsOpaque, AfterImageEffectsOpaque, BeforeSkybox, AfterSkybox, BeforeForwardAlpha, AfterForwardAlpha,
        BeforeImageEffects, AfterImageEffects, AfterEverything, BeforeReflections, AfterReflections, BeforeHaloAndLensFlares,
        AfterHaloAndLensFlares,
    }
    public enum RenderBufferLoadAction { Load, Clear, DontCare }
    public enum RenderBufferStoreAction { Store, Resolve, StoreAndResolve, DontCare }
    [Flags]
    public enum RTClearFlags { None = 0, Color = 1, Depth = 2, Stencil = 4, All = 7, ColorDepth = 3 }
    public enum ShadowCastingMode { Off, On, TwoSided, ShadowsOnly }
    public enum IndexFormat { UInt16, UInt32 }
    public enum LightProbeUsage { Off, BlendProbes, UseProxyVolume, CustomProvided = 4 }
    public enum CompareFunction { Disabled, Never, Less, Equal, LessEqual, Greater, NotEqual, GreaterEqual, Always }
    public enum CullMode { Off, Front, Back }
    public enum ComputeQueueType { Default, Background, Urgent }
    public enum GraphicsDeviceType
    {
        Direct3D11 = 2, Null = 4, OpenGLES3 = 11, PlayStation4 = 13, Metal = 16, OpenGLCore = 17, Direct3D12 = 18, Vulkan = 21,
#if UNITY_6000_0_OR_NEWER
        WebGPU = 28,
#endif
    }
    [Flags]
    public enum CommandBufferExecutionFlags { None = 0, AsyncCompute = 2 }
    public enum RenderQueue { Background = 1000, Geometry = 2000, AlphaTest = 2450, GeometryLast = 2500, Transparent = 3000,
        Overlay = 4000 }
}
