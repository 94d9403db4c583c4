#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;
using UnityEngine.Rendering;

namespace UnityEngine
{
    // ScriptReference/Mesh
    public sealed class Mesh : Object
    {
        private Vector3[] points = new Vector3[0], across = new Vector3[0];
        private Vector2[] places = new Vector2[0];
        private Color32[] colors = new Color32[0];
        private int[] corners = new int[0];
        public Mesh() { Engine.Register(this); }
        public IndexFormat indexFormat { get; set; }
        public int vertexCount => points.Length;
        public int subMeshCount { get; set; } = 1;
        public Bounds bounds { get; set; }
        /// <summary>A copy, as the engine gives one.</summary>
        public Vector3[] vertices { get => (Vector3[])points.Clone(); set => points = (Vector3[])value.Clone(); }
        public Vector3[] normals { get => (Vector3[])across.Clone(); set => across = Sized(value, "normals"); }
        public Vector2[] uv { get => (Vector2[])places.Clone(); set => places = Sized(value, "uv"); }
        public Color32[] colors32 { get => (Color32[])colors.Clone(); set => colors = Sized(value, "colors32"); }
        public int[] triangles { get => (int[])corners.Clone(); set => SetTriangles(value, 0); }
        private T[] Sized<T>(T[] value, string what)
        {
            if (value.Length != points.Length)
            {
                throw new EngineException($"Mesh.{what} is out of bounds: {value.Length} for {points.Length} vertices");
            }
            return (T[])value.Clone();
        }
        public void MarkDynamic() { }
        public void Clear() { points = new Vector3[0]; corners = new int[0]; }
        public void SetVertices(Vector3[] inVertices) => SetVertices(inVertices, 0, inVertices.Length);
        public void SetVertices(Vector3[] inVertices, int start, int length)
        {
            if (points.Length != length) points = new Vector3[length];
            Array.Copy(inVertices, start, points, 0, length);
        }
        public void SetVertices(List<Vector3> inVertices) => points = inVertices.ToArray();
        public void SetNormals(Vector3[] inNormals)
        {
            if (across.Length != inNormals.Length) across = new Vector3[inNormals.Length];
            Array.Copy(inNormals, across, across.Length);
        }
        public void SetUVs(int channel, Vector2[] uvs) => uv = uvs;
        public void SetColors(Color32[] inColors) => colors32 = inColors;
        public void SetTriangles(int[] triangles, int submesh) => SetTriangles(triangles, submesh, true);
        public void SetTriangles(int[] triangles, int submesh, bool calculateBounds)
        {
            foreach (int corner in triangles)
            {
                if (corner < 0 || corner >= points.Length)
                {
                    throw new EngineException($"Mesh.SetTriangles: vertex {corner} of {points.Length}");
                }
                if (corner > 65535 && indexFormat == IndexFormat.UInt16)
                {
                    throw new EngineException("Mesh.SetTriangles: more than 65536 vertices need IndexFormat.UInt32");
                }
            }
            corners = (int[])triangles.Clone();
        }
        public void SetIndices(int[] indices, MeshTopology topology, int submesh) => SetTriangles(indices, submesh);
        public void RecalculateNormals() => across = new Vector3[points.Length];
        public void RecalculateBounds()
        {
            if (points.Length == 0) return;
            var box = new Bounds(points[0], Vector3.zero);
            foreach (Vector3 one in points) box.Encapsulate(one);
            bounds = box;
        }
        public void UploadMeshData(bool markNoLongerReadable) { }
    }

    // ScriptReference/Renderer
    public class Renderer : Component
    {
        public bool enabled { get; set; } = true;
        public Material sharedMaterial { get; set; }
        public Material material { get => sharedMaterial; set => sharedMaterial = value; }
        public Material[] sharedMaterials { get => new[] { sharedMaterial }; set => sharedMaterial = value[0]; }
        public Bounds bounds { get; set; }
        public Bounds localBounds { get; set; }
        public int sortingOrder { get; set; }
        public bool receiveShadows { get; set; }
        public ShadowCastingMode shadowCastingMode { get; set; }
        public LightProbeUsage lightProbeUsage { get; set; }
        public void SetPropertyBlock(MaterialPropertyBlock properties) { }
        public void GetPropertyBlock(MaterialPropertyBlock properties) { }
    }
    public sealed class MeshRenderer : Renderer { }
    public sealed class MeshFilter : Component
    {
        public Mesh sharedMesh { get; set; }
        public Mesh mesh { get => sharedMesh; set => sharedMesh = value; }
    }
    public sealed class SkinnedMeshRenderer : Renderer { public Mesh sharedMesh { get; set; } }
    public sealed class Light : Behaviour { public float intensity { get; set; } public LightType type { get; set;
        } public Color color { get; set; } }
    public enum LightType { Spot = 0, Directional = 1, Point = 2 }
    public sealed class AudioListener : Behaviour { }
}
