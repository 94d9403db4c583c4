using System;

namespace Flameport
{
    /// <summary>
    /// From flameport's right-handed axes to Unity's left-handed ones, and back: x becomes -x. The only place that knows.
    ///
    /// Tables stay as files have them, because frames on triangles hang on their corner order; an avatar is posed in
    /// its own axes and mirrored
    /// once, at the end. A Gaussian needs no more than a view matrix from <see cref="ViewFromAvatar"/>; points, turns
    /// and meshes that are
    /// handed to the engine go through the functions below. Each is its own inverse (`exporter/UNITY.md`, "Axes").
    /// </summary>
    public static class Handedness
    {
        /// <summary>Real spherical harmonics, in 3DGS order, that are odd in x.</summary>
        private static readonly bool[] OddInX =
        {
            false, false, false, true, true, false, false, true, false, false, true, false, false, true, false, true,
        };

        /// <summary>Mirror points, offsets or directions, <paramref name="stride"/> numbers each, in place.</summary>
        public static void MirrorPoints(Span<double> points, int stride = 3)
        {
            for (int i = 0; i < points.Length; i += stride) points[i] = -points[i];
        }

        /// <summary>Mirror a rotation w, x, y, z in place.</summary>
        public static void MirrorQuat(Span<double> wxyz)
        {
            wxyz[2] = -wxyz[2];
            wxyz[3] = -wxyz[3];
        }

        /// <summary>Mirror an axis-angle vector in place: a rotation's axis is no direction, and turns the other way
        /// round.</summary>
        public static void MirrorAxisAngle(Span<double> r)
        {
            r[1] = -r[1];
            r[2] = -r[2];
        }

        /// <summary>Mirror a row-major transform of <paramref name="columns"/> columns (3: a rotation, 4: with a place)
        /// in place: M T M.</summary>
        public static void MirrorTransform(Span<double> rows, int columns)
        {
            for (int c = 0; c < columns; c++)
            {
                // M T M: the first row turns its sign, then the first column does.
                if (c > 0) rows[c] = -rows[c];
            }
            for (int r = 1; r * columns < rows.Length; r++) rows[r * columns] = -rows[r * columns];
        }

        /// <summary>Mirror covariances xx, xy, xz, yy, yz, zz in place.</summary>
        public static void MirrorCovariances(Span<double> covariances)
        {
            for (int i = 0; i < covariances.Length; i += 6)
            {
                covariances[i + 1] = -covariances[i + 1];
                covariances[i + 2] = -covariances[i + 2];
            }
        }

        /// <summary>Mirror one Gaussian's SH coefficients, three numbers each, DC first, in place.</summary>
        public static void MirrorSh(Span<float> sh)
        {
            for (int k = 0; 3 * k < sh.Length; k++)
            {
                if (!OddInX[k]) continue;
                for (int c = 0; c < 3; c++) sh[3 * k + c] = -sh[3 * k + c];
            }
        }

        /// <summary>Flip the winding of a drawn mesh's triangles in place. Never for tables that frames hang on.</summary>
        public static void FlipWinding(Span<int> triangles)
        {
            for (int i = 0; i < triangles.Length; i += 3)
            {
                int second = triangles[i + 1];
                triangles[i + 1] = triangles[i + 2];
                triangles[i + 2] = second;
            }
        }

        /// <summary>
        /// Write the row-major 3 x 4 transform from the avatar's axes to an OpenCV camera's (x right, y down, z forward).
        /// </summary>
        /// <param name="worldToCamera">Unity's `Camera.worldToCameraMatrix`, row-major 4 x 4: looks along -z, y up.</param>
        /// <param name="localToWorld">Unity's `Transform.localToWorldMatrix` of the avatar's object, row-major 4 x
        /// 4.</param>
        /// <param name="view">Twelve numbers.</param>
        public static void ViewFromAvatar(ReadOnlySpan<double> worldToCamera, ReadOnlySpan<double> localToWorld,
            Span<double> view)
        {
            for (int r = 0; r < 3; r++)
            {
                double axis = r == 0 ? 1 : -1;
                for (int c = 0; c < 4; c++)
                {
                    double sum = 0;
                    for (int k = 0; k < 4; k++) sum += worldToCamera[4 * r + k] * localToWorld[4 * k + c];
                    view[4 * r + c] = axis * (c == 0 ? -sum : sum);
                }
            }
        }
    }
}
