#nullable disable
using System;

namespace UnityEngine
{
    // ScriptReference/Quaternion
    public struct Quaternion : IEquatable<Quaternion>
    {
        public float x, y, z, w;
        public Quaternion(float x, float y, float z, float w) { this.x = x; this.y = y; this.z = z; this.w = w; }
        public static Quaternion identity => new Quaternion(0, 0, 0, 1);
        public static Quaternion AngleAxis(float angle, Vector3 axis)
        {
            double half = angle * Math.PI / 360;
            Vector3 a = axis.normalized * (float)Math.Sin(half);
            return new Quaternion(a.x, a.y, a.z, (float)Math.Cos(half));
        }
        /// <summary>Degrees; z, then x, then y.</summary>
        public static Quaternion Euler(float x, float y, float z) =>
            AngleAxis(y, Vector3.up) * AngleAxis(x, Vector3.right) * AngleAxis(z, Vector3.forward);
        public static Quaternion Euler(Vector3 euler) => Euler(euler.x, euler.y, euler.z);
        public static Quaternion LookRotation(Vector3 forward) => LookRotation(forward, Vector3.up);
        public static Quaternion LookRotation(Vector3 forward, Vector3 upwards)
        {
            Vector3 f = forward.normalized, r = Vector3.Cross(upwards, f).normalized, u = Vector3.Cross(f, r);
            double trace = r.x + u.y + f.z;
            if (trace > -0.99)
            {
                double w = Math.Sqrt(1 + trace) / 2;
                return new Quaternion((float)((u.z - f.y) / (4 * w)), (float)((f.x - r.z) / (4 * w)),
                    (float)((r.y - u.x) / (4 * w)), (float)w);
            }
            // Half turns: about the largest axis.
            if (u.y > f.z)
            {
                double y = Math.Sqrt(Math.Max(0, 1 + u.y - r.x - f.z)) / 2;
                return new Quaternion((float)((r.y + u.x) / (4 * y)), (float)y, (float)((u.z + f.y) / (4 * y)),
                    (float)((f.x - r.z) / (4 * y)));
            }
            double z = Math.Sqrt(Math.Max(0, 1 + f.z - r.x - u.y)) / 2;
            return new Quaternion((float)((r.z + f.x) / (4 * z)), (float)((u.z + f.y) / (4 * z)), (float)z,
                (float)((r.y - u.x) / (4 * z)));
        }
        public static Quaternion Inverse(Quaternion q) => new Quaternion(-q.x, -q.y, -q.z, q.w);
        public static Quaternion operator *(Quaternion a, Quaternion b) => new Quaternion(
            a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y, a.w * b.y + a.y * b.w + a.z * b.x - a.x * b.z,
            a.w * b.z + a.z * b.w + a.x * b.y - a.y * b.x, a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z);
        public static Vector3 operator *(Quaternion q, Vector3 v)
        {
            var u = new Vector3(q.x, q.y, q.z);
            Vector3 t = 2 * Vector3.Cross(u, v);
            return v + q.w * t + Vector3.Cross(u, t);
        }
        public bool Equals(Quaternion o) => x == o.x && y == o.y && z == o.z && w == o.w;
        public override bool Equals(object o) => o is Quaternion q && Equals(q);
        public override int GetHashCode() => x.GetHashCode() ^ y.GetHashCode() << 2 ^ z.GetHashCode() >> 2 ^ w.GetHashCode() >> 1;
        public static bool operator ==(Quaternion a, Quaternion b) => a.Equals(b);
        public static bool operator !=(Quaternion a, Quaternion b) => !a.Equals(b);
    }

    // ScriptReference/Matrix4x4: column-major, m<row><column>.
    public struct Matrix4x4 : IEquatable<Matrix4x4>
    {
        public float m00, m10, m20, m30, m01, m11, m21, m31, m02, m12, m22, m32, m03, m13, m23, m33;

        public Matrix4x4(Vector4 column0, Vector4 column1, Vector4 column2, Vector4 column3)
        {
            m00 = column0.x; m10 = column0.y; m20 = column0.z; m30 = column0.w;
            m01 = column1.x; m11 = column1.y; m21 = column1.z; m31 = column1.w;
            m02 = column2.x; m12 = column2.y; m22 = column2.z; m32 = column2.w;
            m03 = column3.x; m13 = column3.y; m23 = column3.z; m33 = column3.w;
        }

        public float this[int row, int column]
        {
            get => this[row + column * 4];
            set => this[row + column * 4] = value;
        }

        public float this[int index]
        {
            get
            {
                switch (index)
                {
                    case 0: return m00; case 1: return m10; case 2: return m20; case 3: return m30;
                    case 4: return m01; case 5: return m11; case 6: return m21; case 7: return m31;
                    case 8: return m02; case 9: return m12; case 10: return m22; case 11: return m32;
                    case 12: return m03; case 13: return m13; case 14: return m23; case 15: return m33;
                    default: throw new IndexOutOfRangeException("Invalid matrix index!");
                }
            }
            set
            {
                switch (index)
                {
                    case 0: m00 = value; break; case 1: m10 = value; break; case 2: m20 = value; break;
                    case 3: m30 = value; break; case 4: m01 = value; break; case 5: m11 = value; break;
                    case 6: m21 = value; break; case 7: m31 = value; break; case 8: m02 = value; break;
                    case 9: m12 = value; break; case 10: m22 = value; break; case 11: m32 = value; break;
                    case 12: m03 = value; break; case 13: m13 = value; break; case 14: m23 = value; break;
                    case 15: m33 = value; break;
                    default: throw new IndexOutOfRangeException("Invalid matrix index!");
                }
            }
        }

        public static Matrix4x4 zero => default;
        public static Matrix4x4 identity => new Matrix4x4 { m00 = 1, m11 = 1, m22 = 1, m33 = 1 };
        public Vector4 GetRow(int r) => new Vector4(this[r, 0], this[r, 1], this[r, 2], this[r, 3]);
        public Vector4 GetColumn(int c) => new Vector4(this[0, c], this[1, c], this[2, c], this[3, c]);
        public void SetRow(int r, Vector4 row) { for (int c = 0; c < 4; c++) this[r, c] = row[c]; }
        public void SetColumn(int c, Vector4 column) { for (int r = 0; r < 4; r++) this[r, c] = column[r]; }

        public static Matrix4x4 operator *(Matrix4x4 a, Matrix4x4 b)
        {
            var m = new Matrix4x4();
            for (int r = 0; r < 4; r++)
            {
                for (int c = 0; c < 4; c++)
                {
                    double sum = 0;
                    for (int k = 0; k < 4; k++) sum += (double)a[r, k] * b[k, c];
                    m[r, c] = (float)sum;
                }
            }
            return m;
        }

        public Vector3 MultiplyPoint3x4(Vector3 p) => new Vector3(m00 * p.x + m01 * p.y + m02 * p.z + m03,
            m10 * p.x + m11 * p.y + m12 * p.z + m13, m20 * p.x + m21 * p.y + m22 * p.z + m23);
        public Vector3 MultiplyPoint(Vector3 p) => MultiplyPoint3x4(p) / (m30 * p.x + m31 * p.y + m32 * p.z + m33);
        public Vector3 MultiplyVector(Vector3 v) => new Vector3(m00 * v.x + m01 * v.y + m02 * v.z,
            m10 * v.x + m11 * v.y + m12 * v.z, m20 * v.x + m21 * v.y + m22 * v.z);

        public Matrix4x4 inverse
        {
            get
            {
                // On the stack: Unity's allocates nothing on the heap either.
                Span<double> a = stackalloc double[32];
                for (int r = 0; r < 4; r++)
                {
                    for (int c = 0; c < 4; c++) a[8 * r + c] = this[r, c];
                    a[8 * r + 4 + r] = 1;
                }
                for (int k = 0; k < 4; k++)
                {
                    int best = k;
                    for (int r = k + 1; r < 4; r++) if (Math.Abs(a[8 * r + k]) > Math.Abs(a[8 * best + k])) best = r;
                    if (a[8 * best + k] == 0) return zero;
                    for (int c = 0; c < 8; c++)
                    {
                        double kept = a[8 * k + c];
                        a[8 * k + c] = a[8 * best + c];
                        a[8 * best + c] = kept;
                    }
                    for (int c = 7; c >= k; c--) a[8 * k + c] /= a[8 * k + k];
                    for (int r = 0; r < 4; r++)
                    {
                        if (r == k) continue;
                        for (int c = 7; c >= k; c--) a[8 * r + c] -= a[8 * r + k] * a[8 * k + c];
                    }
                }
                var m = new Matrix4x4();
                for (int i = 0; i < 16; i++) m[i % 4, i / 4] = (float)a[8 * (i % 4) + 4 + i / 4];
                return m;
            }
        }

        public Matrix4x4 transpose
        {
            get
            {
                var m = new Matrix4x4();
                for (int i = 0; i < 16; i++) m[i % 4, i / 4] = this[i / 4, i % 4];
                return m;
            }
        }

        public static Matrix4x4 Scale(Vector3 s) => new Matrix4x4 { m00 = s.x, m11 = s.y, m22 = s.z, m33 = 1 };
        public static Matrix4x4 Translate(Vector3 t)
        {
            Matrix4x4 m = identity;
            m.m03 = t.x;
            m.m13 = t.y;
            m.m23 = t.z;
            return m;
        }
        public static Matrix4x4 Rotate(Quaternion q)
        {
            Vector3 r = q * Vector3.right, u = q * Vector3.up, f = q * Vector3.forward;
            return new Matrix4x4(r, u, f, new Vector4(0, 0, 0, 1));
        }
        public static Matrix4x4 TRS(Vector3 pos, Quaternion q, Vector3 s) => Translate(pos) * Rotate(q) * Scale(s);

        /// <summary>OpenGL's: looks along -z, depth -1..1; degrees.</summary>
        public static Matrix4x4 Perspective(float fov, float aspect, float zNear, float zFar)
        {
            double f = 1 / Math.Tan(fov * Math.PI / 360);
            return new Matrix4x4
            {
                m00 = (float)(f / aspect), m11 = (float)f, m22 = -(zFar + zNear) / (zFar - zNear),
                m23 = -2 * zFar * zNear / (zFar - zNear), m32 = -1,
            };
        }

        public static bool operator ==(Matrix4x4 a, Matrix4x4 b) => a.Equals(b);
        public static bool operator !=(Matrix4x4 a, Matrix4x4 b) => !a.Equals(b);
        public bool Equals(Matrix4x4 o)
        {
            for (int i = 0; i < 16; i++) if (this[i] != o[i]) return false;
            return true;
        }
        public override bool Equals(object o) => o is Matrix4x4 m && Equals(m);
        public override int GetHashCode() => m00.GetHashCode() ^ m11.GetHashCode() << 2 ^ m22.GetHashCode() >> 2;
    }
}
