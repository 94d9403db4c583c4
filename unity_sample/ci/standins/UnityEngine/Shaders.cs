#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;
using UnityEngine.Rendering;

namespace UnityEngine
{
    // ScriptReference/Shader
    public sealed class Shader : Object
    {
        private static readonly Dictionary<string, int> ids = new Dictionary<string, int>();
        private static readonly List<string> names = new List<string> { "" };
        internal readonly string[] Passes;
        internal readonly string File;
        internal Shader(string file, string[] passes)
        {
            File = file;
            Passes = passes;
            Engine.Register(this);
        }
        public bool isSupported => Engine.Compute || File.Contains("Fallback");
        public int passCount => Passes.Length;
        public int renderQueue => 3000;
        public static Shader Find(string name) => Shaders.Find(name);
        public static int PropertyToID(string name)
        {
            if (!ids.TryGetValue(name, out int id))
            {
                id = ids[name] = names.Count;
                names.Add(name);
            }
            return id;
        }
        internal static string NameOf(int id) => names[CheckId(id)];
        internal static int CheckId(int id) =>
            id > 0 && id < names.Count ? id
                : throw new EngineException($"{id} is no number of a shader property; Shader.PropertyToID gives them");
        public static void SetGlobalVector(int nameID, Vector4 value) => Gpu.Globals.Set(nameID, value);
        public static void SetGlobalVector(string name, Vector4 value) => SetGlobalVector(PropertyToID(name), value);
        public static void SetGlobalFloat(int nameID, float value) => Gpu.Globals.Set(nameID, value);
        public static void SetGlobalInteger(int nameID, int value) => Gpu.Globals.Set(nameID, value);
        public static void SetGlobalTexture(int nameID, Texture value) => Gpu.Globals.Set(nameID, value);
        public static void SetGlobalBuffer(int nameID, GraphicsBuffer value) => Gpu.Globals.Set(nameID, value.Block);
        public static void SetGlobalBuffer(int nameID, ComputeBuffer value) => Gpu.Globals.Set(nameID, value.Block);
        public static void EnableKeyword(string keyword) { }
        public static void DisableKeyword(string keyword) { }
    }

    /// <summary>Values of shader properties by number.</summary>
    internal sealed class PropertySheet
    {
        public readonly Dictionary<int, ShaderValue> Constants = new Dictionary<int, ShaderValue>();
        public readonly Dictionary<int, GpuBlock> Buffers = new Dictionary<int, GpuBlock>();
        public readonly Dictionary<int, Texture> Textures = new Dictionary<int, Texture>();
        public readonly Dictionary<int, RenderTargetIdentifier> Targets = new Dictionary<int, RenderTargetIdentifier>();
        public bool IsEmpty => Constants.Count + Buffers.Count + Textures.Count + Targets.Count == 0;
        public void Set(int name, int value) => Constants[Shader.CheckId(name)] = new ShaderValue(value);
        public void Set(int name, float value) => Constants[Shader.CheckId(name)] = new ShaderValue(value);
        public void Set(int name, Vector4 value) => Constants[Shader.CheckId(name)] = new ShaderValue(value);
        public void Set(int name, GpuBlock value)
        {
            GpuMemory.Check(value, "SetBuffer " + (Trace.Silent ? "" : Shader.NameOf(name)));
            Buffers[Shader.CheckId(name)] = value;
        }
        public void Set(int name, Texture value)
        {
            if (ReferenceEquals(value, null)) Textures.Remove(Shader.CheckId(name));
            else Textures[Shader.CheckId(name)] = value;
            Targets.Remove(name);
        }
        public void Set(int name, RenderTargetIdentifier value)
        {
            Targets[Shader.CheckId(name)] = value;
            Textures.Remove(name);
        }
        public void Clear()
        {
            Constants.Clear();
            Buffers.Clear();
            Textures.Clear();
            Targets.Clear();
        }
        public void CopyFrom(PropertySheet other)
        {
            foreach (KeyValuePair<int, ShaderValue> one in other.Constants) Constants[one.Key] = one.Value;
            foreach (KeyValuePair<int, GpuBlock> one in other.Buffers) Buffers[one.Key] = one.Value;
            foreach (KeyValuePair<int, Texture> one in other.Textures) Textures[one.Key] = one.Value;
            foreach (KeyValuePair<int, RenderTargetIdentifier> one in other.Targets) Targets[one.Key] = one.Value;
        }
    }

    // ScriptReference/Material
    public class Material : Object
    {
        internal readonly PropertySheet Sheet = new PropertySheet();
        public Material(Shader shader)
        {
            if (!shader) throw new ArgumentNullException(nameof(shader));
            this.shader = shader;
            Engine.Register(this);
        }
        public Material(Material source) : this(source.shader) { Sheet.CopyFrom(source.Sheet); }
        public Shader shader { get; set; }
        public int passCount => shader.passCount;
        public int renderQueue { get; set; } = 3000;
        public bool enableInstancing { get; set; }
        public Texture mainTexture { get; set; }
        public Color color { get; set; }
        public int FindPass(string passName) => Array.IndexOf(shader.Passes, passName);
        public string GetPassName(int pass) => shader.Passes[pass];
        public bool SetPass(int pass)
        {
            Gpu.NowMaterial = (this, pass);
            return pass < passCount;
        }
        public bool HasProperty(string name) => true;
        public void SetBuffer(int nameID, GraphicsBuffer value) => Sheet.Set(nameID, value.Block);
        public void SetBuffer(string name, GraphicsBuffer value) => SetBuffer(Shader.PropertyToID(name), value);
        public void SetBuffer(int nameID, ComputeBuffer value) => Sheet.Set(nameID, value.Block);
        public void SetBuffer(string name, ComputeBuffer value) => SetBuffer(Shader.PropertyToID(name), value);
        public void SetTexture(int nameID, Texture value) => Sheet.Set(nameID, value);
        public void SetTexture(string name, Texture value) => SetTexture(Shader.PropertyToID(name), value);
        public void SetVector(int nameID, Vector4 value) => Sheet.Set(nameID, value);
        public void SetVector(string name, Vector4 value) => SetVector(Shader.PropertyToID(name), value);
        public void SetColor(int nameID, Color value) => Sheet.Set(nameID, value);
        public void SetColor(string name, Color value) => SetColor(Shader.PropertyToID(name), value);
        public void SetFloat(int nameID, float value) => Sheet.Set(nameID, value);
        public void SetFloat(string name, float value) => SetFloat(Shader.PropertyToID(name), value);
        public void SetInteger(int nameID, int value) => Sheet.Set(nameID, value);
        public void SetInteger(string name, int value) => SetInteger(Shader.PropertyToID(name), value);
        /// <summary>Keeps a fraction, as the engine says of this old one.</summary>
        public void SetInt(int nameID, int value) => Sheet.Set(nameID, (float)value);
        public void SetInt(string name, int value) => SetInt(Shader.PropertyToID(name), value);
        public void EnableKeyword(string keyword) { }
        public void DisableKeyword(string keyword) { }
    }

    // ScriptReference/MaterialPropertyBlock
    public sealed class MaterialPropertyBlock
    {
        internal readonly PropertySheet Sheet = new PropertySheet();
        public bool isEmpty => Sheet.IsEmpty;
        public void Clear() => Sheet.Clear();
        public void SetBuffer(int nameID, GraphicsBuffer value) => Sheet.Set(nameID, value.Block);
        public void SetBuffer(string name, GraphicsBuffer value) => SetBuffer(Shader.PropertyToID(name), value);
        public void SetBuffer(int nameID, ComputeBuffer value) => Sheet.Set(nameID, value.Block);
        public void SetBuffer(string name, ComputeBuffer value) => SetBuffer(Shader.PropertyToID(name), value);
        public void SetTexture(int nameID, Texture value)
        {
            if (!value) throw new ArgumentNullException(nameof(value));
            Sheet.Set(nameID, value);
        }
        public void SetTexture(string name, Texture value) => SetTexture(Shader.PropertyToID(name), value);
        public void SetVector(int nameID, Vector4 value) => Sheet.Set(nameID, value);
        public void SetVector(string name, Vector4 value) => SetVector(Shader.PropertyToID(name), value);
        public void SetColor(int nameID, Color value) => Sheet.Set(nameID, value);
        public void SetFloat(int nameID, float value) => Sheet.Set(nameID, value);
        public void SetFloat(string name, float value) => SetFloat(Shader.PropertyToID(name), value);
        public void SetInteger(int nameID, int value) => Sheet.Set(nameID, value);
        public void SetInteger(string name, int value) => SetInteger(Shader.PropertyToID(name), value);
        public void SetInt(int nameID, int value) => Sheet.Set(nameID, (float)value);
    }
}
