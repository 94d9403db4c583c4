#nullable disable
using System;
using System.Collections.Generic;
using UnityEngine;
using UnityEngine.Rendering;

namespace Flameport.Headless
{
    /// <summary>Runs command buffers: keeps the state that the engine would keep, and writes what reaches the card.</summary>
    internal static class Gpu
    {
        private static readonly Dictionary<int, RenderTexture> temporary = new Dictionary<int, RenderTexture>();
        public static readonly PropertySheet Globals = new PropertySheet();
        public static RenderTargetIdentifier NowColor, NowDepth;
        public static Camera NowCamera;
        public static (Material material, int pass) NowMaterial;

        public static MaterialPropertyBlock Kept(MaterialPropertyBlock given)
        {
            if (given == null || Trace.Silent) return given;
            var copy = new MaterialPropertyBlock();
            copy.Sheet.CopyFrom(given.Sheet);
            return copy;
        }

        public static void CheckGroups(int x, int y, int z)
        {
            // D3D11's limit, and Unity's own error for groups below one.
            if (x < 1 || y < 1 || z < 1 || x > 65535 || y > 65535 || z > 65535)
            {
                throw new EngineException($"Thread group count is out of 1..65535: {x}, {y}, {z}");
            }
        }

        public static void Run(CommandBuffer commands)
        {
            commands.CheckWhole();
            for (int i = 0; i < commands.Commands.Count; i++) Run(commands.Commands[i]);
        }

        private static void Run(in Command c)
        {
            switch (c.Doing)
            {
                case Doing.Bind: ((ComputeShader)c.What).Bind(c.A, c.B, c.Other, "SetComputeBufferParam"); break;
                case Doing.ComputeTexture: ((ComputeShader)c.What).Bind(c.A, c.B, PictureOf(c.Target),
                    "SetComputeTextureParam"); break;
                case Doing.Constant: ((ComputeShader)c.What).Constants[c.B] = c.Value; break;
                case Doing.Dispatch: Dispatch((ComputeShader)c.What, c.A, c.C, c.D, c.E); break;
                case Doing.Target: Target(c.Target, c.Depth, c.Load); break;
                case Doing.ClearTarget: Clear((c.A & 1) != 0, (c.A & 2) != 0, c.Color, c.Number); break;
                case Doing.Viewport:
                    if (!Trace.Silent) Trace.Write("viewport", ("area", new double[] { c.Area.x, c.Area.y, c.Area.width,
                        c.Area.height }));
                    break;
                case Doing.Draw: Draw((Material)c.What, c.A, (MeshTopology)c.B, c.C, c.D, (MaterialPropertyBlock)c.Other); break;
                case Doing.DrawMesh: Trace.Write("mesh", ("shader", ((Material)c.What).shader.File)); break;
                case Doing.GlobalBuffer: Globals.Set(c.A, (GpuBlock)c.What); break;
                case Doing.GlobalTexture: Globals.Set(c.A, c.Target); break;
                case Doing.GlobalConstant: Globals.Constants[c.A] = c.Value; break;
                case Doing.Temporary:
                    if (temporary.ContainsKey(c.A))
                    {
                        throw new EngineException($"GetTemporaryRT: {Shader.NameOf(c.A)} is there already");
                    }
                    temporary[c.A] = Pool(c.Said);
                    break;
                case Doing.ReleaseTemporary:
                    if (!temporary.Remove(c.A, out RenderTexture made))
                    {
                        throw new EngineException($"ReleaseTemporaryRT: no {Shader.NameOf(c.A)}");
                    }
                    if (Trace.Silent) pool.Add(made);
                    else Engine.Destroy(made);
                    break;
                case Doing.Upload: GpuMemory.Upload((GpuBlock)c.What, (Array)c.Other, c.A, c.B, c.C); break;
                case Doing.Blit: Blit(c.Target, c.Depth, (Material)c.What, c.A); break;
                case Doing.Copy: throw new EngineException("the stand-in copies no targets");
                default: throw new EngineException($"the stand-in does not run {c.Doing}");
            }
        }

        private static readonly List<RenderTexture> pool = new List<RenderTexture>();

        /// <summary>Temporary targets come from a pool, which allocates nothing once it is warm.</summary>
        private static RenderTexture Pool(in RenderTextureDescriptor said)
        {
            for (int i = 0; i < pool.Count; i++)
            {
                RenderTexture one = pool[i];
                if (one.width != said.width || one.height != said.height || one.format != said.colorFormat
                    || !Trace.Silent) continue;
                pool.RemoveAt(i);
                return one;
            }
            var made = new RenderTexture(said);
            made.Create();
            return made;
        }

        /// <summary>Free what a silent time kept, and fail where a frame left a temporary target behind.</summary>
        public static void CheckTemporaries()
        {
            foreach (int name in temporary.Keys)
            {
                throw new EngineException($"temporary target {Shader.NameOf(name)} was not released");
            }
        }

        public static void EmptyPool()
        {
            foreach (RenderTexture one in pool) Engine.Destroy(one);
            pool.Clear();
        }

        /// <summary>Return the picture that an identifier means now.</summary>
        public static RenderTexture PictureOf(RenderTargetIdentifier target)
        {
            switch (target.Type)
            {
                case BuiltinRenderTextureType.CameraTarget:
                    if (!NowCamera) throw new EngineException("CameraTarget outside of a camera's drawing");
                    return NowCamera.Picture;
                case BuiltinRenderTextureType.CurrentActive: return PictureOf(NowColor);
                case BuiltinRenderTextureType.PropertyName:
                    return temporary.TryGetValue(target.Name, out RenderTexture found) ? found
                        : Globals.Textures.TryGetValue(target.Name, out Texture set) && set is RenderTexture made ? made
                        : throw new EngineException($"no target {Shader.NameOf(target.Name)}; GetTemporaryRT makes one");
                case BuiltinRenderTextureType.BindableTexture:
                    return target.Picture as RenderTexture ? (RenderTexture)target.Picture
                        : throw new EngineException("SetRenderTarget: not a render texture, or one that was destroyed");
                default: throw new EngineException($"the stand-in has no target {target.Type}");
            }
        }

        public static void Target(RenderTargetIdentifier color, RenderTargetIdentifier depth, RenderBufferLoadAction load)
        {
            RenderTexture picture = PictureOf(color), heights = depth.Type == BuiltinRenderTextureType.None ? null
                : PictureOf(depth);
            if (heights != null && (picture.width != heights.width || picture.height != heights.height))
            {
                throw new EngineException($"SetRenderTarget: colour {picture.width} x {picture.height}, depth "
                    + $"{heights.width} x {heights.height}");
            }
            NowColor = color.Type == BuiltinRenderTextureType.CurrentActive ? NowColor : color;
            NowDepth = depth;
            int id = picture.Id("SetRenderTarget"), depthId = heights == null ? 0 : heights.Id("SetRenderTarget");
            if (!Trace.Silent) Trace.Write("set", ("target", id), ("depth", depthId), ("load", load.ToString()));
        }

        public static void Clear(bool color, bool depth, Color background, float number)
        {
            int id = PictureOf(NowColor).Id("ClearRenderTarget");
            if (Trace.Silent) return;
            Trace.Write("clear", ("target", id), ("color", color), ("depth", depth),
                ("value", new double[] { background.r, background.g, background.b, background.a }), ("number", number));
        }

        public static void Dispatch(ComputeShader shader, int kernel, int x, int y, int z)
        {
            if (!Engine.Compute) throw new EngineException("this machine has no compute shaders");
            CheckGroups(x, y, z);
            if (Trace.Silent) return;
            var bound = new Dictionary<string, object>();
            var pictures = new Dictionary<string, object>();
            foreach (KeyValuePair<(int kernel, int name), object> one in shader.Bound)
            {
                if (one.Key.kernel != kernel) continue;
                if (one.Value is GpuBlock block)
                {
                    // What a kernel does not read may be gone; the replayer knows what it reads.
                    bound[Shader.NameOf(one.Key.name)] = block.Alive ? block.Id : -block.Id;
                }
                else if (one.Value is Texture texture) pictures[Shader.NameOf(one.Key.name)] = texture.Id("Dispatch");
            }
            var constants = new Dictionary<string, object>();
            foreach (KeyValuePair<int, ShaderValue> one in shader.Constants) constants[Shader.NameOf(one.Key)] = one.Value.Said;
            Trace.Write("dispatch", ("shader", shader.File), ("kernel", shader.Kernels[kernel]), ("groups", new[] { x, y, z }),
                ("buffers", bound), ("textures", pictures), ("constants", constants));
        }

        public static void Draw(Material material, int pass, MeshTopology topology, int vertices, int instances,
            MaterialPropertyBlock given)
        {
            if (!material) throw new EngineException("a draw with a material that was destroyed");
            int target = PictureOf(NowColor).Id("Draw");
            int depth = NowDepth.Type == BuiltinRenderTextureType.None ? 0 : PictureOf(NowDepth).Id("Draw");
            if (Trace.Silent) return;
            var sheet = new PropertySheet();
            sheet.CopyFrom(Globals);
            sheet.CopyFrom(material.Sheet);
            if (given != null) sheet.CopyFrom(given.Sheet);
            var bound = new Dictionary<string, object>();
            foreach (KeyValuePair<int, GpuBlock> one in sheet.Buffers) bound[Shader.NameOf(one.Key)] = one.Value.Alive
                ? one.Value.Id : -one.Value.Id;
            var pictures = new Dictionary<string, object>();
            foreach (KeyValuePair<int, Texture> one in sheet.Textures)
            {
                if (one.Value) pictures[Shader.NameOf(one.Key)] = one.Value.Id(Shader.NameOf(one.Key));
            }
            foreach (KeyValuePair<int, RenderTargetIdentifier> one in sheet.Targets)
            {
                // A global may name a target of another camera that is gone; only what the shader reads has to be there.
                if (one.Value.Type == BuiltinRenderTextureType.PropertyName && !temporary.ContainsKey(one.Value.Name)) continue;
                pictures[Shader.NameOf(one.Key)] = PictureOf(one.Value).Id(Shader.NameOf(one.Key));
            }
            var constants = new Dictionary<string, object>();
            foreach (KeyValuePair<int, ShaderValue> one in sheet.Constants) constants[Shader.NameOf(one.Key)] = one.Value.Said;
            for (int at = pass < 0 ? 0 : pass; at <= (pass < 0 ? material.passCount - 1 : pass); at++)
            {
                Trace.Write("draw", ("shader", material.shader.File), ("pass", material.shader.Passes[at]), ("topology",
                    topology.ToString()),
                    ("vertices", vertices), ("instances", instances), ("target", target), ("depth", depth),
                    ("buffers", bound), ("textures", pictures), ("constants", constants));
            }
        }

        public static void Blit(RenderTargetIdentifier source, RenderTargetIdentifier dest, Material material, int pass)
        {
            if (material == null) throw new EngineException("the stand-in blits with a material only");
            Globals.Set(Shader.PropertyToID("_MainTex"), source);
            RenderTargetIdentifier color = NowColor, depth = NowDepth;
            Target(dest, BuiltinRenderTextureType.None, RenderBufferLoadAction.Load);
            Draw(material, pass, MeshTopology.Triangles, 3, 1, null);
            (NowColor, NowDepth) = (color, depth);
        }
    }
}
