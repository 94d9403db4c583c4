using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Reflection;
using Flameport;
using Flameport.Headless;
using UnityEngine;
using Object = UnityEngine.Object;

/// <summary>
/// A Unity project without Unity: reads a play of one step a line (a word, then `key=value`), does it with the package's own
/// components on the recording stand-ins, and writes a trace. Each answer is a line on the standard output.
/// </summary>
internal static partial class Stage
{
    private static readonly Dictionary<string, AvatarAsset> assets = new Dictionary<string, AvatarAsset>();
    private static readonly Dictionary<string, AvatarPlayer> players = new Dictionary<string, AvatarPlayer>();
    private static readonly Dictionary<string, Camera> cameras = new Dictionary<string, Camera>();
    private static readonly List<Object> made = new List<Object>();
    private static Dictionary<string, string> said = new Dictionary<string, string>();
    private static ComputeShader? kernels;

    private static int Main(string[] arguments)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        Dictionary<string, ComputeShader> found = Shaders.Load(arguments[0]);
        kernels = found["AvatarKernels.compute"];
        int number = 0;
        foreach (string line in File.ReadAllLines(arguments[1]))
        {
            number++;
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0) continue;
            said = new Dictionary<string, string>();
            for (int i = 1; i < words.Length; i++)
            {
                string[] pair = words[i].Split('=', 2);
                said[pair[0]] = pair[1];
            }
            try
            {
                Do(words[0]);
            }
            catch (Exception error)
            {
                Console.WriteLine($"failed {number} {line}\t{error.ToString().Replace("\n", "\\n")}");
                Trace.Close();
                return 0;
            }
        }
        return 0;
    }

    private static string Text(string key, string fallback = "") => said.TryGetValue(key, out string? value) ? value : fallback;
    private static bool Is(string key, bool fallback = false) =>
        said.TryGetValue(key, out string? value) ? value == "1" : fallback;
    private static float Number(string key, float fallback = 0) =>
        said.TryGetValue(key, out string? value) ? float.Parse(value) : fallback;

    private static Vector3 Vector(string key, Vector3 fallback)
    {
        if (!said.TryGetValue(key, out string? value)) return fallback;
        float[] numbers = Array.ConvertAll(value.Split(','), float.Parse);
        return new Vector3(numbers[0], numbers[1], numbers[2]);
    }

    private static void Do(string word)
    {
        switch (word)
        {
            case "engine":
                Engine.Playing = Is("playing", true);
                Engine.Compute = Is("compute", true);
                Engine.Linear = Is("linear");
                Engine.Hdr = Is("hdr");
                Engine.ReversedZ = Is("reversed", true);
                Engine.UvStartsAtTop = Is("top", true);
                Load(Text("pipeline", "built-in"));
                break;
            case "open":
                Directory.CreateDirectory(Text("folder"));
                Trace.Open(Text("folder"));
                break;
            case "close": Trace.Close(); break;
            case "asset": assets[Text("name")] = Asset(Text("file")); break;
            case "asset.alike": assets[Text("name")] = assets[Text("of")].CreateAlike(File.ReadAllBytes(Text("file"))); break;
            case "player": Player(); break;
            case "set": Set(players[Text("name")]); break;
            case "camera": MakeCamera(); break;
            case "screen": (Engine.ScreenWidth, Engine.ScreenHeight) = ((int)Number("width"), (int)Number("height")); break;
            case "seek": players[Text("name")].Seek(double.Parse(Text("to"))); break;
            case "frame":
                Engine.Frame(Number("seconds", 1 / 30f));
                Drawing.Frame();
                break;
            case "destroy": Object.DestroyImmediate(players[Text("name")].gameObject); break;
            case "lose": Lose(); break;
            case "say":
                AvatarPlayer player = players[Text("name")];
                Bounds b = player.Bounds;
                Console.WriteLine(string.Join("\t", "state", Text("name"), player.Time.ToString("R"),
                    player.Duration.ToString("R"),
                    player.IsPlaying, player.Error, player.Warning, $"{b.center.x},{b.center.y},{b.center.z},{b.extents.x}"));
                break;
            case "console":
                foreach (string line in Engine.Console) Console.WriteLine("console\t" + line.Replace("\n", " "));
                Engine.Console.Clear();
                break;
            case "quiet": Quiet((int)Number("frames", 50)); break;
            case "listeners": Console.WriteLine("listeners\t" + Drawing.Listeners); break;
            case "component": AddComponent(); break;
            case "gui": Engine.Gui(); break;
            case "mistakes": MakeMistakes(); break;
            case "end": End(); break;
            default:
                bool done = false;
                DoInEditor(word, ref done);
                if (!done) throw new InvalidOperationException($"no step '{word}'");
                break;
        }
    }

    /// <summary>Steps that only an editor has: Project.cs.</summary>
    static partial void DoInEditor(string word, ref bool done);

    /// <summary>Choose a pipeline, and run what runs when a game starts.</summary>
    private static void Load(string pipeline)
    {
        foreach (string name in new[] { "Flameport.Runtime", "Flameport.Runtime.Universal", "Flameport.Runtime.HighDefinition" })
        {
            Assembly assembly;
            try { assembly = Assembly.Load(name); }
            catch (FileNotFoundException) { continue; }
            Engine.Begin(assembly);
        }
        if (pipeline == "built-in")
        {
            Drawing.Use(null);
            return;
        }
        Type type = Assembly.Load(pipeline == "URP" ? "Unity.RenderPipelines.Universal.Runtime"
            : "Unity.RenderPipelines.HighDefinition.Runtime")
            .GetType(pipeline == "URP" ? "UnityEngine.Rendering.Universal.UniversalRenderPipelineAsset"
                : "UnityEngine.Rendering.HighDefinition.HDRenderPipelineAsset", true)!;
        Drawing.Use((UnityEngine.Rendering.RenderPipelineAsset)ScriptableObject.CreateInstance(type));
    }

    private static AvatarAsset Asset(string file) =>
        AvatarAsset.Create(File.ReadAllBytes(file), kernels, Shaders.Find("Flameport/Avatar"),
        Shaders.Find("Flameport/AvatarMesh"), Shaders.Find("Flameport/AvatarComposite"),
            Shaders.Find("Flameport/AvatarFallback"));

    private static void Player()
    {
        var thing = new GameObject(Text("name"));
        thing.SetActive(false);
        AvatarPlayer player = players[Text("name")] = thing.AddComponent<AvatarPlayer>();
        player.PlayOnAwake = false;
        Set(player);
        thing.SetActive(Is("active", true));
    }

    private static void Set(AvatarPlayer player)
    {
        if (said.ContainsKey("asset")) player.Avatar = Text("asset") == "none" ? null : assets[Text("asset")];
        if (said.ContainsKey("clip")) player.Clip = SequenceAsset.Create(File.ReadAllBytes(Text("clip")));
        if (said.ContainsKey("quality")) player.Quality = (AvatarQuality)Enum.Parse(typeof(AvatarQuality), Text("quality"));
        if (said.ContainsKey("shortKeys")) player.ShortKeys = Is("shortKeys");
        if (said.ContainsKey("head")) player.ShowHead = Is("head");
        if (said.ContainsKey("idle")) player.Idle = Is("idle");
        if (said.ContainsKey("most")) player.MostOnProcessor = (int)Number("most");
        if (said.ContainsKey("plays"))
        {
            if (Is("plays")) player.Play();
            else player.Pause();
        }
        Transform at = player.transform;
        at.position = Vector("position", at.position);
        if (said.ContainsKey("turn")) at.rotation = Quaternion.AngleAxis(Number("turn"), Vector("axis", Vector3.up));
        if (said.ContainsKey("scale")) at.localScale = Vector3.one * Number("scale");
        if (said.ContainsKey("enabled")) player.enabled = Is("enabled");
        if (said.ContainsKey("active")) player.gameObject.SetActive(Is("active"));
        if (said.ContainsKey("layer")) player.gameObject.layer = (int)Number("layer");
        if (said.ContainsKey("expression")) Console.WriteLine("set\t" + player.SetExpression(Text("expression"),
            Number("weight")));
        if (said.ContainsKey("arkit")) Console.WriteLine("set\t" + player.SetArkit(Text("arkit"), Number("weight")));
    }

    private static void MakeCamera()
    {
        if (!cameras.TryGetValue(Text("name"), out Camera? camera))
        {
            camera = cameras[Text("name")] = new GameObject(Text("name")).AddComponent<Camera>();
            camera.allowMSAA = false;
            camera.nearClipPlane = 0.1f;
            camera.farClipPlane = 50;
        }
        Transform at = camera.transform;
        at.position = Vector("position", at.position);
        if (said.ContainsKey("towards")) at.rotation = Quaternion.LookRotation(Vector("towards", Vector3.forward),
            Vector("up", Vector3.up));
        camera.fieldOfView = Number("fov", camera.fieldOfView);
        camera.depth = Number("depth", camera.depth);
        camera.cullingMask = (int)Number("mask", camera.cullingMask);
        if (said.ContainsKey("type")) camera.cameraType = (CameraType)Enum.Parse(typeof(CameraType), Text("type"));
        if (said.ContainsKey("enabled")) camera.enabled = Is("enabled");
        if (!said.ContainsKey("width")) return;
        if (camera.targetTexture) Object.DestroyImmediate(camera.targetTexture);
        var target = new RenderTexture((int)Number("width"), (int)Number("height"), 24,
            RenderTextureFormat.ARGBHalf) { name = Text("name") };
        target.Create();
        made.Add(target);
        camera.targetTexture = target;
    }

    /// <summary>Put a script of the sample onto a player or a camera, with a field set.</summary>
    private static void AddComponent()
    {
        Type type = Assembly.Load("Flameport.Samples.BasicAvatar").GetType("Flameport.Samples." + Text("type"), true)!;
        GameObject thing = said.ContainsKey("camera") ? cameras[Text("camera")].gameObject : players[Text("name")].gameObject;
        Component added = thing.AddComponent(type);
        if (said.ContainsKey("path")) type.GetField("path")!.SetValue(added, Text("path"));
        if (said.ContainsKey("middle")) type.GetField("middle")!.SetValue(added, Vector("middle", Vector3.zero));
    }

    /// <summary>What a lost device or a reload does: buffers are gone under the player.</summary>
    private static void Lose() => Engine.LoseBuffers();

    /// <summary>Count what frames allocate once everything is warm, cameras and clip included.</summary>
    private static void Quiet(int frames)
    {
        Trace.Close();
        var all = new List<Camera>(cameras.Values);
        long least = long.MaxValue, total = 0;
        for (int i = 0; i < 3 * frames; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Engine.Frame(1 / 30f);
            foreach (Camera camera in all) if (camera.isActiveAndEnabled) Drawing.Render(camera);
            Drawing.EndFrame();
            long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
            if (i < frames) continue;
            least = Math.Min(least, bytes);
            total += bytes;
        }
        Console.WriteLine($"allocated\t{total}\t{least}");
    }

    private static void End()
    {
        Engine.CloseScene();
        players.Clear();
        cameras.Clear();
        foreach (Object one in made) Object.DestroyImmediate(one);
        made.Clear();
        foreach (AvatarAsset asset in assets.Values) Object.DestroyImmediate(asset);
        assets.Clear();
        Drawing.Close();
        Engine.CheckLeaks();
        Console.WriteLine("ended");
    }
}
