#nullable disable
using System;

namespace UnityEngine
{
    // ScriptReference/Mathf
    public struct Mathf
    {
        public const float PI = (float)Math.PI, Deg2Rad = PI * 2 / 360, Rad2Deg = 1 / Deg2Rad;
        public static readonly float Epsilon = 1.401298E-45f;
        public static int CeilToInt(float f) => (int)Math.Ceiling(f);
        public static int FloorToInt(float f) => (int)Math.Floor(f);
        public static int RoundToInt(float f) => (int)Math.Round(f);
        public static float Abs(float f) => Math.Abs(f);
        public static int Abs(int f) => Math.Abs(f);
        public static float Min(float a, float b) => a < b ? a : b;
        public static int Min(int a, int b) => a < b ? a : b;
        public static float Max(float a, float b) => a > b ? a : b;
        public static int Max(int a, int b) => a > b ? a : b;
        public static float Sqrt(float f) => (float)Math.Sqrt(f);
        public static float Sin(float f) => (float)Math.Sin(f);
        public static float Cos(float f) => (float)Math.Cos(f);
        public static float Tan(float f) => (float)Math.Tan(f);
        public static float Atan2(float y, float x) => (float)Math.Atan2(y, x);
        public static float Pow(float f, float p) => (float)Math.Pow(f, p);
        public static float Exp(float f) => (float)Math.Exp(f);
        public static float Floor(float f) => (float)Math.Floor(f);
        public static float Clamp(float value, float min, float max) => value < min ? min : value > max ? max : value;
        public static int Clamp(int value, int min, int max) => value < min ? min : value > max ? max : value;
        public static float Clamp01(float value) => Clamp(value, 0, 1);
        public static float Lerp(float a, float b, float t) => a + (b - a) * Clamp01(t);
        public static float Repeat(float t, float length) => Clamp(t - Floor(t / length) * length, 0, length);
        public static float PingPong(float t, float length) => length - Abs(Repeat(t, length * 2) - length);
        public static float PerlinNoise(float x, float y) => 0.5f + 0.25f * (Sin(1.7f * x + y) + Sin(0.9f * y - 2.3f * x));
        public static bool Approximately(float a, float b) => Abs(b - a) < Max(1E-06f * Max(Abs(a), Abs(b)), Epsilon * 8);
        public static float GammaToLinearSpace(float value) =>
            value <= 0.04045f ? value / 12.92f : (float)Math.Pow((value + 0.055) / 1.055, 2.4);
    }

    // ScriptReference/Color, Color32
    public struct Color : IEquatable<Color>
    {
        public float r, g, b, a;
        public Color(float r, float g, float b) : this(r, g, b, 1) { }
        public Color(float r, float g, float b, float a) { this.r = r; this.g = g; this.b = b; this.a = a; }
        public static Color white => new Color(1, 1, 1);
        public static Color black => new Color(0, 0, 0);
        public static Color clear => default;
        public static Color gray => new Color(0.5f, 0.5f, 0.5f);
        public Color linear =>
            new Color(Mathf.GammaToLinearSpace(r), Mathf.GammaToLinearSpace(g), Mathf.GammaToLinearSpace(b), a);
        public static Color operator *(Color c, float d) => new Color(c.r * d, c.g * d, c.b * d, c.a * d);
        public static implicit operator Vector4(Color c) => new Vector4(c.r, c.g, c.b, c.a);
        public static implicit operator Color(Vector4 v) => new Color(v.x, v.y, v.z, v.w);
        public static bool operator ==(Color a, Color b) => a.Equals(b);
        public static bool operator !=(Color a, Color b) => !a.Equals(b);
        public bool Equals(Color o) => r == o.r && g == o.g && b == o.b && a == o.a;
        public override bool Equals(object o) => o is Color c && Equals(c);
        public override int GetHashCode() => ((Vector4)this).GetHashCode();
    }

    public struct Color32
    {
        public byte r, g, b, a;
        public Color32(byte r, byte g, byte b, byte a) { this.r = r; this.g = g; this.b = b; this.a = a; }
        public static implicit operator Color(Color32 c) => new Color(c.r / 255f, c.g / 255f, c.b / 255f, c.a / 255f);
        public static implicit operator Color32(Color c) => new Color32((byte)Mathf.RoundToInt(Mathf.Clamp01(c.r) * 255),
            (byte)Mathf.RoundToInt(Mathf.Clamp01(c.g) * 255), (byte)Mathf.RoundToInt(Mathf.Clamp01(c.b) * 255),
            (byte)Mathf.RoundToInt(Mathf.Clamp01(c.a) * 255));
    }

    // ScriptReference/Rect
    public struct Rect : IEquatable<Rect>
    {
        public Rect(float x, float y, float width, float height)
        {
            this.x = x;
            this.y = y;
            this.width = width;
            this.height = height;
        }
        public float x { get; set; }
        public float y { get; set; }
        public float width { get; set; }
        public float height { get; set; }
        public float xMin { get => x; set { width += x - value; x = value; } }
        public float yMin { get => y; set { height += y - value; y = value; } }
        public float xMax { get => x + width; set => width = value - x; }
        public float yMax { get => y + height; set => height = value - y; }
        public Vector2 center => new Vector2(x + width / 2, y + height / 2);
        public Vector2 position => new Vector2(x, y);
        public Vector2 size => new Vector2(width, height);
        public bool Contains(Vector2 p) => p.x >= xMin && p.x < xMax && p.y >= yMin && p.y < yMax;
        public bool Equals(Rect o) => x == o.x && y == o.y && width == o.width && height == o.height;
        public override bool Equals(object o) => o is Rect r && Equals(r);
        public override int GetHashCode() => new Vector4(x, y, width, height).GetHashCode();
        public static bool operator ==(Rect a, Rect b) => a.Equals(b);
        public static bool operator !=(Rect a, Rect b) => !a.Equals(b);
    }

    // ScriptReference/Bounds
    public struct Bounds : IEquatable<Bounds>
    {
        public Bounds(Vector3 center, Vector3 size) { this.center = center; extents = size * 0.5f; }
        public Vector3 center { get; set; }
        public Vector3 extents { get; set; }
        public Vector3 size { get => extents * 2; set => extents = value * 0.5f; }
        public Vector3 min { get => center - extents; set => SetMinMax(value, max); }
        public Vector3 max { get => center + extents; set => SetMinMax(min, value); }
        public void SetMinMax(Vector3 min, Vector3 max)
        {
            extents = (max - min) * 0.5f;
            center = min + extents;
        }
        public void Encapsulate(Vector3 point) => SetMinMax(Vector3.Min(min, point), Vector3.Max(max, point));
        public void Encapsulate(Bounds bounds)
        {
            Encapsulate(bounds.min);
            Encapsulate(bounds.max);
        }
        public void Expand(float amount) => extents += new Vector3(amount, amount, amount) * 0.5f;
        public bool Contains(Vector3 p) => Vector3.Min(p, min) == min && Vector3.Max(p, max) == max;
        public bool Intersects(Bounds o) => min.x <= o.max.x && max.x >= o.min.x && min.y <= o.max.y && max.y >= o.min.y
            && min.z <= o.max.z && max.z >= o.min.z;
        public bool Equals(Bounds o) => center.Equals(o.center) && extents.Equals(o.extents);
        public override bool Equals(object o) => o is Bounds b && Equals(b);
        public override int GetHashCode() => center.GetHashCode() ^ extents.GetHashCode() << 2;
    }

    // ScriptReference/Plane, GeometryUtility
    public struct Plane
    {
        public Plane(Vector3 inNormal, float d) { normal = inNormal; distance = d; }
        public Vector3 normal { get; set; }
        public float distance { get; set; }
        public float GetDistanceToPoint(Vector3 point) => Vector3.Dot(normal, point) + distance;
    }

    public static class GeometryUtility
    {
        public static Plane[] CalculateFrustumPlanes(Camera camera)
        {
            var planes = new Plane[6];
            CalculateFrustumPlanes(camera, planes);
            return planes;
        }
        public static void CalculateFrustumPlanes(Camera camera, Plane[] planes) =>
            CalculateFrustumPlanes(camera.projectionMatrix * camera.worldToCameraMatrix, planes);
        public static void CalculateFrustumPlanes(Matrix4x4 worldToProjectionMatrix, Plane[] planes)
        {
            if (planes.Length != 6) throw new ArgumentException("Planes array must be of length 6.", nameof(planes));
            for (int i = 0; i < 6; i++)
            {
                Vector4 row = worldToProjectionMatrix.GetRow(3) + worldToProjectionMatrix.GetRow(i / 2) * (i % 2 == 0 ? 1 : -1);
                float length = ((Vector3)row).magnitude;
                planes[i] = new Plane((Vector3)row / length, row.w / length);
            }
        }
        public static bool TestPlanesAABB(Plane[] planes, Bounds bounds)
        {
            foreach (Plane plane in planes)
            {
                Vector3 n = plane.normal, e = bounds.extents;
                if (plane.GetDistanceToPoint(bounds.center) + Math.Abs(n.x) * e.x + Math.Abs(n.y) * e.y + Math.Abs(n.z) * e.z < 0)
                {
                    return false;
                }
            }
            return true;
        }
    }
}
