using System;

namespace Flameport
{
    /// <summary>
    /// A camera of the engine in the shaders' terms, and the rows of `_Frame` of an avatar that it sees. An engine fills the
    /// matrices, row-major 4 x 4, and calls <see cref="Apply"/>, then <see cref="Look"/> for each avatar.
    /// </summary>
    public sealed class CameraRows
    {
        private readonly double[] view = new double[12];
        /// <summary>How far Gaussians may be from the head's middle, in radii of its sphere: shoulders, long hair.</summary>
        private const double Reach = 3;

        private readonly double[] middle = new double[3];

        /// <summary>Unity's `Camera.worldToCameraMatrix`: looks along -z, y up.</summary>
        public double[] WorldToCamera { get; } = new double[16];
        /// <summary>`Camera.projectionMatrix`, as OpenGL has them; no orthographic one.</summary>
        public double[] Projection { get; } = new double[16];
        /// <summary>`GL.GetGPUProjectionMatrix` of it for the camera's target: flipped and turned round as the device
        /// wants it.</summary>
        public double[] DeviceProjection { get; } = new double[16];
        /// <summary>Pixels.</summary>
        public int Width, Height;
        /// <summary>Metres; nothing nearer is drawn.</summary>
        public double Near;

        /// <summary>fx, fy, cx, cy in pixels, y down.</summary>
        public double[] Lens { get; } = new double[4];
        /// <summary>1, or -1 where the device's projection is flipped: `_Picture` z.</summary>
        public float Flip { get; private set; }
        /// <summary>Clip-space z is the first times view depth plus the second: `_Depth`.</summary>
        public float DepthScale { get; private set; }
        public float DepthOffset { get; private set; }
        /// <summary>Metres: how far the head of the avatar that was looked at last reaches around its middle.</summary>
        public double Radius { get; private set; }
        /// <summary>Rows 0 to 11 of `_Frame` of the avatar that was looked at last; four numbers a row.</summary>
        public float[] Rows { get; } = new float[4 * RecordRows.FirstJoint];
        /// <summary>The transform of the avatar looked at last to the camera (x right, y down, z forward), row-major 3 x
        /// 4.</summary>
        public ReadOnlySpan<double> View => view;
        /// <summary>Where the camera is in the avatar's axes.</summary>
        public double[] Eye { get; } = new double[3];

        /// <summary>Work out what all avatars share, once the matrices are filled.</summary>
        public void Apply()
        {
            double[] p = Projection;
            Lens[0] = p[0] * Width / 2;
            Lens[1] = p[5] * Height / 2;
            Lens[2] = (1 - p[2]) * Width / 2;
            Lens[3] = (1 + p[6]) * Height / 2;
            Flip = DeviceProjection[5] * p[5] < 0 ? -1 : 1;
            // The camera looks along -z, and w is the view depth.
            DepthScale = (float)-DeviceProjection[10];
            DepthOffset = (float)DeviceProjection[11];
        }

        /// <summary>
        /// Fill the rows for an avatar and return the depth of its head's middle, metres: avatars are drawn from the
        /// deepest to the nearest.
        /// </summary>
        /// <param name="localToWorld">Unity's `Transform.localToWorldMatrix`, row-major 4 x 4.</param>
        /// <param name="moment">The avatar's pose.</param>
        /// <param name="sphere">Around its head.</param>
        /// <param name="shortKeys">Order by 16 bits of depth instead of 32.</param>
        public double Look(ReadOnlySpan<double> localToWorld, MomentRows moment, HeadSphere sphere, bool shortKeys)
        {
            Array.Copy(moment.Rows, 24, Rows, 24, Rows.Length - 24);
            return Look(localToWorld, moment.Root, sphere, shortKeys);
        }

        /// <summary>The same for processors, which need no more of the pose than the root's transform.</summary>
        public double Look(ReadOnlySpan<double> localToWorld, ReadOnlySpan<double> root, HeadSphere sphere, bool shortKeys)
        {
            Handedness.ViewFromAvatar(WorldToCamera, localToWorld, view);
            for (int i = 0; i < 12; i++) Rows[i] = (float)view[i];
            FindEye();
            for (int c = 0; c < 3; c++) Rows[12 + c] = (float)Eye[c];
            Rows[15] = (float)Near;
            for (int c = 0; c < 4; c++) Rows[16 + c] = (float)Lens[c];
            Rows[20] = Width;
            Rows[21] = Height;
            sphere.Move(root, middle);
            double depth = view[8] * middle[0] + view[9] * middle[1] + view[10] * middle[2] + view[11];
            double radius = Radius = sphere.Radius * Math.Sqrt(view[8] * view[8] + view[9] * view[9] + view[10] * view[10]);
            Rows[22] = shortKeys ? (float)(depth - radius) : 0;
            Rows[23] = shortKeys ? (float)(65535 / (2 * radius)) : 0;
            return depth;
        }

        /// <summary>Whether anything of the avatar that was looked at last may be on the picture.</summary>
        public bool Sees()
        {
            double x = view[0] * middle[0] + view[1] * middle[1] + view[2] * middle[2] + view[3];
            double y = view[4] * middle[0] + view[5] * middle[1] + view[6] * middle[2] + view[7];
            double z = view[8] * middle[0] + view[9] * middle[1] + view[10] * middle[2] + view[11], far = Reach * Radius;
            return z > Near - far && Inside(Lens[0], Lens[2], x, z, far) && Inside(-Lens[0], Width - Lens[2], x, z, far)
                && Inside(Lens[1], Lens[3], y, z, far) && Inside(-Lens[1], Height - Lens[3], y, z, far);
        }

        /// <summary>Whether a sphere reaches inside of one side of what is seen.</summary>
        private static bool Inside(double a, double b, double x, double z, double radius) =>
            a * x + b * z > -radius * Math.Sqrt(a * a + b * b);

        /// <summary>Return the clip-space z, divided by w, of a view depth; of one just behind the near plane at
        /// least.</summary>
        public float ClipDepth(double depth) => (float)(DepthScale + DepthOffset / Math.Max(depth, 1.001 * Near));

        /// <summary>Solve view * eye = 0 by Cramer's rule; objects may be scaled.</summary>
        private void FindEye()
        {
            double[] v = view;
            double a = v[5] * v[10] - v[6] * v[9], b = v[6] * v[8] - v[4] * v[10], c = v[4] * v[9] - v[5] * v[8];
            double det = v[0] * a + v[1] * b + v[2] * c;
            if (det == 0) det = 1;
            double x = -v[3], y = -v[7], z = -v[11];
            Eye[0] = (x * a + y * (v[2] * v[9] - v[1] * v[10]) + z * (v[1] * v[6] - v[2] * v[5])) / det;
            Eye[1] = (x * b + y * (v[0] * v[10] - v[2] * v[8]) + z * (v[2] * v[4] - v[0] * v[6])) / det;
            Eye[2] = (x * c + y * (v[1] * v[8] - v[0] * v[9]) + z * (v[0] * v[5] - v[1] * v[4])) / det;
        }
    }
}
