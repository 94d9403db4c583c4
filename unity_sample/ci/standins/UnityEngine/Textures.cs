#nullable disable
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Flameport.Headless;
using Unity.Collections;
using UnityEngine.Experimental.Rendering;
using UnityEngine.Rendering;

namespace UnityEngine
{
    // ScriptReference/Texture
    public class Texture : Object
    {
        internal GpuBlock Block;
        public virtual int width { get; set; }
        public virtual int height { get; set; }
        public virtual TextureDimension dimension { get; set; } = TextureDimension.Tex2D;
        public FilterMode filterMode { get; set; } = FilterMode.Bilinear;
        public TextureWrapMode wrapMode { get; set; }
        public int anisoLevel { get; set; } = 1;
        public GraphicsFormat graphicsFormat { get; internal set; }
        internal virtual void Free()
        {
            if (Block != null) GpuMemory.Free(Block);
        }
        /// <summary>Return its number on the card; there is one only while it is there.</summary>
        internal virtual int Id(string where)
        {
            if (!this) throw new EngineException($"{where}: a texture that was destroyed");
            GpuMemory.Check(Block, where);
            return Block.Id;
        }
        internal static int PixelBytes(TextureFormat format)
        {
            switch (format)
            {
                case TextureFormat.Alpha8: case TextureFormat.R8: return 1;
                case TextureFormat.R16: case TextureFormat.RHalf: return 2;
                case TextureFormat.RGB24: return 3;
                case TextureFormat.RGBA32: case TextureFormat.ARGB32: return 4;
                case TextureFormat.RFloat: case TextureFormat.RGHalf: return 4;
                case TextureFormat.RGFloat: case TextureFormat.RGBAHalf: return 8;
                case TextureFormat.RGBAFloat: return 16;
                default: throw new EngineException($"the stand-in knows no texture format {format}");
            }
        }
    }

    /// <summary>What textures with pixels of their own share.</summary>
    internal sealed class Pixels
    {
        public readonly byte[] Bytes;
        public Pixels(int size) { Bytes = new byte[size]; }
        public void Put(Array data, int from, int at, int count)
        {
            int size = GpuMemory.SizeOf(data.GetType().GetElementType());
            if (at + count * size > Bytes.Length)
            {
                throw new EngineException($"SetPixelData: {at + count * size} bytes into a texture of {Bytes.Length}");
            }
            Buffer.BlockCopy(Trace.BytesOf(data, from, count), 0, Bytes, at, count * size);
        }
    }

    // ScriptReference/Texture2D
    public sealed class Texture2D : Texture
    {
        private Pixels pixels;
        private bool linear;
        public Texture2D(int width, int height) : this(width, height, TextureFormat.RGBA32, true, false) { }
        public Texture2D(int width, int height, TextureFormat textureFormat, bool mipChain) : this(width, height,
            textureFormat, mipChain, false) { }
        public Texture2D(int width, int height, TextureFormat textureFormat, bool mipChain, bool linear)
        {
            Begin(width, height, textureFormat, mipChain, linear);
            Engine.Register(this);
        }
        private void Begin(int w, int h, TextureFormat textureFormat, bool mipChain, bool isLinear)
        {
            if (w <= 0 || h <= 0 || w > SystemInfo.maxTextureSize || h > SystemInfo.maxTextureSize)
            {
                throw new EngineException($"Texture2D: {w} x {h}; at most {SystemInfo.maxTextureSize}");
            }
            (width, height, format, linear) = (w, h, textureFormat, isLinear);
            mipmapCount = mipChain ? 1 + (int)Math.Log(Math.Max(w, h), 2) : 1;
            pixels = new Pixels(w * h * PixelBytes(textureFormat));
            Free();
            Block = GpuMemory.Picture("texture", Text);
        }
        public TextureFormat format { get; private set; }
        public int mipmapCount { get; private set; }
        public bool isReadable { get; private set; } = true;
        public static Texture2D whiteTexture => Plain(255);
        public static Texture2D blackTexture => Plain(0);
        private static readonly Dictionary<byte, Texture2D> plain = new Dictionary<byte, Texture2D>();
        private static Texture2D Plain(byte value)
        {
            if (plain.TryGetValue(value, out Texture2D found)) return found;
            found = plain[value] = new Texture2D(4, 4, TextureFormat.RGBA32, false);
            Array.Fill(found.pixels.Bytes, value);
            found.Apply();
            // The engine's own; nobody frees it.
            return found;
        }
        public void LoadRawTextureData(byte[] data)
        {
            if (data.Length < pixels.Bytes.Length)
            {
                throw new EngineException($"LoadRawTextureData: not enough data: {data.Length} of {pixels.Bytes.Length}");
            }
            pixels.Put(data, 0, 0, pixels.Bytes.Length);
        }
        public void SetPixelData<T>(T[] data, int mipLevel, int sourceDataStartIndex = 0)
        {
            if (mipLevel != 0) throw new EngineException("the stand-in keeps level 0 only");
            int size = GpuMemory.SizeOf(typeof(T)), count = Math.Min(data.Length - sourceDataStartIndex,
                pixels.Bytes.Length / size);
            if (count * size < pixels.Bytes.Length)
            {
                throw new EngineException($"SetPixelData: not enough data: {count * size} of {pixels.Bytes.Length} bytes");
            }
            if (!Trace.Silent) pixels.Put(data, sourceDataStartIndex, 0, count);
        }
        public void SetPixelData<T>(NativeArray<T> data, int mipLevel, int sourceDataStartIndex = 0) where T : struct =>
            SetPixelData(data.ToArray(), mipLevel, sourceDataStartIndex);
        public void SetPixels32(Color32[] colors)
        {
            if (format != TextureFormat.RGBA32
                || colors.Length != width * height)
            {
                throw new EngineException("SetPixels32: one colour a pixel of an RGBA32 texture");
            }
            pixels.Put(colors, 0, 0, colors.Length);
        }
        public void SetPixel(int x, int y, Color color) => pixels.Put(new[] { (Color32)color }, 0, 4 * (y * width + x), 1);
        public void ReadPixels(Rect source, int destX, int destY)
        {
            RenderTexture from = RenderTexture.active;
            if (from == null || source != new Rect(0, 0, width, height) || from.width != width || from.height != height
                || destX + destY != 0)
            {
                throw new EngineException("the stand-in reads the whole active render texture only");
            }
            byte[] answer = Readbacks.Picture(from.Id("ReadPixels"), format.ToString(), pixels.Bytes.Length);
            pixels.Put(answer, 0, 0, answer.Length);
        }
        public byte[] GetRawTextureData() => (byte[])pixels.Bytes.Clone();
        public NativeArray<T> GetRawTextureData<T>() where T : struct =>
            new NativeArray<T>(pixels.Bytes.Length / GpuMemory.SizeOf(typeof(T)), Allocator.None);
        public Color32[] GetPixels32()
        {
            if (format != TextureFormat.RGBA32
                || !isReadable) throw new EngineException("GetPixels32: of readable RGBA32 textures");
            return MemoryMarshal.Cast<byte, Color32>(pixels.Bytes).ToArray();
        }
        public void Apply() => Apply(true, false);
        public void Apply(bool updateMipmaps) => Apply(updateMipmaps, false);
        public void Apply(bool updateMipmaps, bool makeNoLongerReadable)
        {
            if (!isReadable) throw new EngineException($"Texture '{Text}' is not readable");
            if (!Trace.Silent) Send();
            isReadable = !makeNoLongerReadable;
        }
        private void Send() => Trace.Write("texture", ("id", Block.Id), ("width", width), ("height", height), ("layers", 1),
            ("format", format.ToString()), ("linear", linear), ("filter", filterMode.ToString()), ("wrap", wrapMode.ToString()),
            ("at", Trace.Keep(pixels.Bytes)), ("bytes", pixels.Bytes.Length));
        internal bool Decode(byte[] data)
        {
            if (!Png.Read(data, out int w, out int h, out byte[] rgba)) return false;
            Begin(w, h, TextureFormat.RGBA32, mipmapCount > 1, linear);
            pixels.Put(rgba, 0, 0, rgba.Length);
            Apply();
            return true;
        }
        internal byte[] Raw => pixels.Bytes;
    }

    // ScriptReference/ImageConversion
    public static class ImageConversion
    {
        public static bool LoadImage(this Texture2D tex, byte[] data) => tex.Decode(data);
        public static bool LoadImage(this Texture2D tex, byte[] data, bool markNonReadable) => tex.Decode(data);
        public static byte[] EncodeToPNG(this Texture2D tex) => tex.Raw;
    }

    // ScriptReference/Texture2DArray
    public sealed class Texture2DArray : Texture
    {
        private readonly Pixels pixels;
        public Texture2DArray(int width, int height, int depth, TextureFormat textureFormat, bool mipChain) : this(width,
            height, depth, textureFormat, mipChain, false) { }
        public Texture2DArray(int width, int height, int depth, TextureFormat textureFormat, bool mipChain, bool linear)
        {
            (this.width, this.height, this.depth, format, dimension) = (width, height, depth, textureFormat,
                TextureDimension.Tex2DArray);
            pixels = new Pixels(width * height * depth * PixelBytes(textureFormat));
            Block = GpuMemory.Picture("texture array", "");
            Engine.Register(this);
        }
        public int depth { get; }
        public TextureFormat format { get; }
        public void SetPixelData<T>(T[] data, int mipLevel, int element, int sourceDataStartIndex = 0)
        {
            if (mipLevel != 0) throw new EngineException("the stand-in keeps level 0 only");
            int size = pixels.Bytes.Length / depth;
            pixels.Put(data, sourceDataStartIndex, element * size, size / GpuMemory.SizeOf(typeof(T)));
        }
        public void SetPixels32(Color32[] colors, int arrayElement) => SetPixelData(colors, 0, arrayElement);
        public void Apply() => Apply(true, false);
        public void Apply(bool updateMipmaps) => Apply(updateMipmaps, false);
        public void Apply(bool updateMipmaps, bool makeNoLongerReadable)
        {
            if (Trace.Silent) return;
            Trace.Write("texture", ("id", Block.Id), ("width", width), ("height", height), ("layers", depth), ("format",
                format.ToString()),
                ("linear", true), ("filter", filterMode.ToString()), ("wrap", wrapMode.ToString()), ("at",
                    Trace.Keep(pixels.Bytes)), ("bytes", pixels.Bytes.Length));
        }
        /// <summary>A copy of level 0; it is on the card at once.</summary>
        internal void CopyFrom(Texture2D source, int element)
        {
            if (source.width != width || source.height != height || source.format != format)
            {
                throw new EngineException($"CopyTexture: {source.width} x {source.height} {source.format} into "
                    + $"{width} x {height} {format}");
            }
            SetPixelData(source.Raw, 0, element);
            Apply();
        }
    }

    // ScriptReference/RenderTextureDescriptor
    public struct RenderTextureDescriptor
    {
        public RenderTextureDescriptor(int width, int height) : this(width, height, RenderTextureFormat.Default, 0) { }
        public RenderTextureDescriptor(int width, int height, RenderTextureFormat colorFormat) : this(width, height,
            colorFormat, 0) { }
        public RenderTextureDescriptor(int width, int height, RenderTextureFormat colorFormat, int depthBufferBits) : this()
        {
            (this.width, this.height, this.colorFormat, this.depthBufferBits) = (width, height, colorFormat, depthBufferBits);
            (msaaSamples, volumeDepth, dimension) = (1, 1, TextureDimension.Tex2D);
        }
        public int width { get; set; }
        public int height { get; set; }
        public int msaaSamples { get; set; }
        public int volumeDepth { get; set; }
        public int mipCount { get; set; }
        public bool sRGB { get; set; }
        public int depthBufferBits { get; set; }
        public RenderTextureFormat colorFormat { get; set; }
        public GraphicsFormat graphicsFormat
        {
            get => colorFormat == RenderTextureFormat.ARGBHalf || colorFormat == RenderTextureFormat.DefaultHDR
                ? GraphicsFormat.R16G16B16A16_SFloat : colorFormat == RenderTextureFormat.ARGBFloat
                ? GraphicsFormat.R32G32B32A32_SFloat : GraphicsFormat.R8G8B8A8_UNorm;
            set => colorFormat = value == GraphicsFormat.R16G16B16A16_SFloat ? RenderTextureFormat.ARGBHalf
                : value == GraphicsFormat.R32G32B32A32_SFloat ? RenderTextureFormat.ARGBFloat : value == GraphicsFormat.None
                ? RenderTextureFormat.Depth : RenderTextureFormat.ARGB32;
        }
        public GraphicsFormat depthStencilFormat { get => depthBufferBits > 0 ? GraphicsFormat.D32_SFloat
            : GraphicsFormat.None; set => depthBufferBits = value == GraphicsFormat.None ? 0 : 32; }
        public TextureDimension dimension { get; set; }
        public bool useMipMap { get; set; }
        public bool autoGenerateMips { get; set; }
        public bool enableRandomWrite { get; set; }
        public bool bindMS { get; set; }
        public bool useDynamicScale { get; set; }
    }

    // ScriptReference/RenderTexture
    public class RenderTexture : Texture
    {
        private static readonly HashSet<RenderTexture> temporary = new HashSet<RenderTexture>();
        private readonly RenderTextureDescriptor said;
        public RenderTexture(RenderTextureDescriptor desc)
        {
            if (desc.width <= 0 || desc.height <= 0)
            {
                throw new EngineException($"RenderTexture: {desc.width} x {desc.height} pixels");
            }
            said = desc;
            (width, height, graphicsFormat) = (desc.width, desc.height, desc.graphicsFormat);
            Engine.Register(this);
        }
        public RenderTexture(int width, int height, int depth) : this(new RenderTextureDescriptor(width, height,
            RenderTextureFormat.Default, depth)) { }
        public RenderTexture(int width, int height, int depth, RenderTextureFormat format)
            : this(new RenderTextureDescriptor(width, height, format, depth)) { }
        public RenderTexture(int width, int height, int depth, RenderTextureFormat format, RenderTextureReadWrite readWrite)
            : this(width, height, depth, format) { }
        public RenderTexture(int width, int height, int depth, GraphicsFormat format)
            : this(new RenderTextureDescriptor(width, height) { graphicsFormat = format, depthBufferBits = depth }) { }
        public static RenderTexture active { get; set; }
        public int depth { get => said.depthBufferBits; set { } }
        public int antiAliasing { get; set; } = 1;
        public bool enableRandomWrite { get; set; }
        public bool useMipMap { get; set; }
        public bool autoGenerateMips { get; set; }
        public RenderTextureFormat format => said.colorFormat;
        public RenderTextureDescriptor descriptor => said;
        public bool sRGB => said.sRGB;
        public bool Create()
        {
            if (IsCreated()) return true;
            if (!this) throw new EngineException("Create: a render texture that was destroyed");
            Block = GpuMemory.Picture("render texture", Text);
            Trace.Write("target", ("id", Block.Id), ("width", width), ("height", height), ("format", said.colorFormat.ToString()),
                ("depth", said.depthBufferBits), ("name", Text));
            return true;
        }
        public void Release()
        {
            if (Block != null) GpuMemory.Free(Block);
            Block = null;
        }
        public bool IsCreated() => Block != null && Block.Alive;
        public void DiscardContents() { }
        internal override void Free() => Release();
        /// <summary>Targets come to be when they are used first.</summary>
        internal override int Id(string where)
        {
            if (!this) throw new EngineException($"{where}: a render texture that was destroyed");
            Create();
            return Block.Id;
        }
        public static RenderTexture GetTemporary(RenderTextureDescriptor desc)
        {
            var made = new RenderTexture(desc);
            made.Create();
            temporary.Add(made);
            return made;
        }
        public static RenderTexture GetTemporary(int width, int height, int depthBuffer, RenderTextureFormat format) =>
            GetTemporary(new RenderTextureDescriptor(width, height, format, depthBuffer));
        public static void ReleaseTemporary(RenderTexture temp)
        {
            if (!temporary.Remove(temp)) throw new EngineException("ReleaseTemporary: no temporary texture");
            Engine.Destroy(temp);
        }
    }
}
