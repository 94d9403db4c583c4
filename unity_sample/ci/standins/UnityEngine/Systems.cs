#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;
using UnityEngine.Experimental.Rendering;
using UnityEngine.Rendering;

namespace UnityEngine
{
    // ScriptReference/Debug
    public class Debug
    {
        public static bool isDebugBuild => true;
        public static void Log(object message) => Say("log", message);
        public static void Log(object message, Object context) => Say("log", message);
        public static void LogWarning(object message) => Say("warning", message);
        public static void LogWarning(object message, Object context) => Say("warning", message);
        public static void LogError(object message) => Say("error", message);
        public static void LogError(object message, Object context) => Say("error", message);
        public static void LogException(Exception exception) => Say("exception", exception);
        public static void LogException(Exception exception, Object context) => Say("exception", exception);
        public static void Assert(bool condition) { if (!condition) Say("assert", "Assertion failed"); }
        private static void Say(string kind, object message) => Engine.Console.Add(kind + ": " + message);
    }

    // ScriptReference/Time
    public class Time
    {
        public static float time { get; private set; }
        public static double timeAsDouble { get; private set; }
        public static float deltaTime { get; private set; }
        public static float unscaledDeltaTime => deltaTime;
        public static float unscaledTime => time;
        public static double unscaledTimeAsDouble => timeAsDouble;
        public static float realtimeSinceStartup => time;
        public static double realtimeSinceStartupAsDouble => timeAsDouble;
        public static float smoothDeltaTime => deltaTime;
        public static float timeScale { get; set; } = 1;
        public static int frameCount { get; private set; }
        internal static void Advance(float seconds)
        {
            deltaTime = seconds;
            timeAsDouble += seconds;
            time = (float)timeAsDouble;
            frameCount++;
        }
    }

    // ScriptReference/Application
    public class Application
    {
        public static bool isPlaying => Engine.Playing;
        public static bool isEditor => true;
        public static bool isBatchMode => true;
        public static bool isFocused => true;
        public static RuntimePlatform platform => RuntimePlatform.LinuxEditor;
        public static string unityVersion =>
#if UNITY_6000_0_OR_NEWER
            "6000.0.0f1";
#else
            "2022.3.0f1";
#endif
        public static string dataPath => "Assets";
        public static string persistentDataPath => ".";
        public static string streamingAssetsPath => "Assets/StreamingAssets";
        public static string temporaryCachePath => ".";
        public static int targetFrameRate { get; set; } = -1;
        public static bool runInBackground { get; set; }
        public static bool IsPlaying(Object obj) => Engine.Playing;
        public static event Action quitting { add { } remove { } }
        public static void OpenURL(string url) { }
        public static void Quit() { }
    }

    // ScriptReference/SystemInfo
    public sealed class SystemInfo
    {
        public static bool supportsComputeShaders => Engine.Compute;
        public static bool supportsAsyncGPUReadback => Engine.Compute;
        public static bool supportsAsyncCompute => false;
        public static bool supportsInstancing => true;
        public static bool usesReversedZBuffer => Engine.ReversedZ;
        public static bool graphicsUVStartsAtTop => Engine.UvStartsAtTop;
        public static int graphicsShaderLevel => Engine.Compute ? 50 : 35;
        public static int maxTextureSize => 16384;
        public static int maxComputeBufferInputsCompute => 8;
        public static int maxComputeBufferInputsVertex => Engine.Compute ? 8 : 0;
        public static int maxComputeBufferInputsFragment => Engine.Compute ? 8 : 0;
        public static long maxGraphicsBufferSize => (1L << 31) - 1;
        public static int maxComputeWorkGroupSize => 1024;
        public static int graphicsMemorySize => 1024;
        public static int systemMemorySize => 8192;
        public static string graphicsDeviceName => "recorder";
        public static string graphicsDeviceVendor => "flameport";
        public static string graphicsDeviceVersion => "headless";
        public static GraphicsDeviceType graphicsDeviceType =>
            Engine.Compute ? GraphicsDeviceType.Vulkan : GraphicsDeviceType.OpenGLES3;
        public static string operatingSystem => "none";
        public static string deviceModel => "none";
        public static string processorType => "none";
        public static bool SupportsRenderTextureFormat(RenderTextureFormat format) => true;
        public static bool SupportsTextureFormat(TextureFormat format) => true;
#if UNITY_6000_0_OR_NEWER
        public static bool IsFormatSupported(GraphicsFormat format, GraphicsFormatUsage usage) => true;
#else
        public static bool IsFormatSupported(GraphicsFormat format, FormatUsage usage) => true;
#endif
    }

    // ScriptReference/QualitySettings
    public sealed class QualitySettings
    {
        public static ColorSpace activeColorSpace => Engine.Linear ? ColorSpace.Linear : ColorSpace.Gamma;
        public static int antiAliasing { get; set; }
        public static int vSyncCount { get; set; }
        public static RenderPipelineAsset renderPipeline { get; set; }
    }

    // ScriptReference/Screen
    public sealed class Screen
    {
        public static int width => Engine.ScreenWidth;
        public static int height => Engine.ScreenHeight;
        public static float dpi => 96;
    }

    // ScriptReference/Random
    public static class Random
    {
        private static readonly System.Random source = new System.Random(1);
        public static float value => (float)source.NextDouble();
        public static float Range(float minInclusive, float maxInclusive) => minInclusive + (maxInclusive - minInclusive) * value;
        public static int Range(int minInclusive, int maxExclusive) => source.Next(minInclusive, maxExclusive);
        public static void InitState(int seed) { }
    }

    // ScriptReference/Resources
    public sealed class Resources
    {
        public static T Load<T>(string path) where T : Object => null;
        public static T GetBuiltinResource<T>(string path) where T : Object => null;
        public static AsyncOperation UnloadUnusedAssets() => null;
        public static T[] FindObjectsOfTypeAll<T>() where T : Object => Engine.Alive<T>().ToArray();
    }

    public class AsyncOperation : YieldInstruction { public bool isDone => true; }

    // ScriptReference/JsonUtility
    public static class JsonUtility
    {
        public static string ToJson(object obj) => "{}";
        public static string ToJson(object obj, bool prettyPrint) => "{}";
    }

    // Names of the engine that ours meet: ScriptReference/Avatar, ScriptReference/Pose, ScriptReference/Motion.
    public class Avatar : Object { }
    public struct Pose { public Vector3 position; public Quaternion rotation; }

    // ScriptReference/Input, the old input manager
    public class Input
    {
        public static Vector3 mousePosition => default;
        public static Vector2 mouseScrollDelta => default;
        public static bool GetMouseButton(int button) => false;
        public static bool GetMouseButtonDown(int button) => false;
        public static float GetAxis(string axisName) => 0;
        public static bool GetKey(KeyCode key) => false;
        public static bool GetKeyDown(KeyCode key) => false;
        public static int touchCount => 0;
    }

    // ScriptReference/Gizmos
    public sealed class Gizmos
    {
        public static Color color { get; set; }
        public static Matrix4x4 matrix { get; set; }
        public static void DrawWireCube(Vector3 center, Vector3 size) { }
        public static void DrawCube(Vector3 center, Vector3 size) { }
        public static void DrawWireSphere(Vector3 center, float radius) { }
        public static void DrawLine(Vector3 from, Vector3 to) { }
    }
}

namespace UnityEngine.Experimental.Rendering
{
#if UNITY_6000_0_OR_NEWER
    [Flags]
    public enum GraphicsFormatUsage { None = 0, Sample = 1, Linear = 2, Sparse = 4, Render = 16, Blend = 32, LoadStore = 128 }
#else
    public enum FormatUsage { Sample = 0, Linear = 1, Sparse = 2, Render = 4, Blend = 5, LoadStore = 8 }
#endif
}

namespace Unity.Profiling
{
    // ScriptReference/Unity.Profiling.ProfilerMarker
    public struct ProfilerMarker
    {
        public ProfilerMarker(string name) { }
        public void Begin() { }
        public void End() { }
        public AutoScope Auto() => default;
        public struct AutoScope : IDisposable { public void Dispose() { } }
    }
}

namespace UnityEngine.Profiling
{
    public sealed class Profiler
    {
        public static void BeginSample(string name) { }
        public static void EndSample() { }
    }

    public class CustomSampler
    {
        public static CustomSampler Create(string name, bool collectGpuData = false) => new CustomSampler();
        public Recorder GetRecorder() => new Recorder();
        public void Begin() { }
        public void End() { }
    }

    public sealed class Recorder
    {
        public bool isValid => false;
        public bool enabled { get; set; }
        public long gpuElapsedNanoseconds => 0;
        public long elapsedNanoseconds => 0;
        public static Recorder Get(string samplerName) => new Recorder();
    }
}
