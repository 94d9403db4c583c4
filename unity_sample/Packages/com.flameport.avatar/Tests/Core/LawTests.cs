using System;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>Rotations, mirrors and orders by the laws that they keep.</summary>
    public class LawTests
    {
        private static readonly Random Numbers = new Random(11);

        private static double[] Some(int count)
        {
            var found = new double[count];
            for (int i = 0; i < count; i++) found[i] = 2 * Numbers.NextDouble() - 1;
            return found;
        }

        private static double[] Product(double[] a, double[] b)
        {
            var found = new double[9];
            for (int i = 0; i < 27; i++) found[i / 9 * 3 + i % 3] += a[i / 9 * 3 + i / 3 % 3] * b[i / 3 % 3 * 3 + i % 3];
            return found;
        }

        [Test]
        public void RotationsComeBack()
        {
            var q = new double[4];
            var p = new double[4];
            var r = new double[3];
            var m = new double[9];
            for (int n = 0; n < 200; n++)
            {
                double[] turn = Some(3);
                Rotations.AxisAngleToQuat(turn[0], turn[1], turn[2], q);
                Rotations.QuatToAxisAngle(q, r);
                Golden.Near(turn, r, 1e-12, "axis-angle");
                Rotations.QuatToMatrix(q, m);
                Rotations.MatrixToQuat(m, p);
                Golden.Near(q, p, 1e-12, "quaternion");
                Polar.Rotation(m, p);
                Golden.Near(q, p, 1e-9, "polar of a rotation");
            }
        }

        [Test]
        public void ThePolarRotationIsTheNearest()
        {
            var q = new double[4];
            var r = new double[9];
            for (int n = 0; n < 100; n++)
            {
                double[] m = Some(9);
                Polar.Rotation(m, q);
                Rotations.QuatToMatrix(q, r);
                // R^T M is symmetric where R is the polar factor.
                var transposed = new[] { r[0], r[3], r[6], r[1], r[4], r[7], r[2], r[5], r[8] };
                double[] s = Product(transposed, m);
                Golden.Near(new[] { s[1], s[2], s[5] }, new[] { s[3], s[6], s[7] }, 1e-9, "symmetry");
            }
        }

        [Test]
        public void MirroringTwiceChangesNothing()
        {
            double[] points = Some(9), quat = Some(4), turn = Some(3), transform = Some(12), covariance = Some(6);
            double[] p = (double[])points.Clone(), q = (double[])quat.Clone(), r = (double[])turn.Clone();
            double[] t = (double[])transform.Clone(), c = (double[])covariance.Clone();
            for (int n = 0; n < 2; n++)
            {
                Handedness.MirrorPoints(p);
                Handedness.MirrorQuat(q);
                Handedness.MirrorAxisAngle(r);
                Handedness.MirrorTransform(t, 4);
                Handedness.MirrorCovariances(c);
                if (n == 0) Assert.AreEqual(-points[0], p[0]);
            }
            Golden.Near(points, p, 0, "points");
            Golden.Near(quat, q, 0, "quaternion");
            Golden.Near(turn, r, 0, "axis-angle");
            Golden.Near(transform, t, 0, "transform");
            Golden.Near(covariance, c, 0, "covariance");
        }

        [Test]
        public void MirroredTurnsTurnMirroredPoints()
        {
            double[] turn = Some(3), point = Some(3), m = new double[9], mirrored = new double[9], q = new double[4];
            Rotations.AxisAngleToMatrix(turn, m);
            double[] turned = Times(m, point);
            Handedness.MirrorPoints(turned);
            Handedness.MirrorPoints(point);
            double[] other = (double[])m.Clone();
            Handedness.MirrorTransform(other, 3);
            Golden.Near(turned, Times(other, point), 1e-12, "matrix");
            Rotations.AxisAngleToQuat(turn[0], turn[1], turn[2], q);
            Handedness.MirrorQuat(q);
            Rotations.QuatToMatrix(q, mirrored);
            Golden.Near(other, mirrored, 1e-12, "quaternion");
            Handedness.MirrorAxisAngle(turn);
            Rotations.AxisAngleToMatrix(turn, mirrored);
            Golden.Near(other, mirrored, 1e-12, "axis-angle");
        }

        private static double[] Times(double[] m, double[] v) => new[]
        {
            m[0] * v[0] + m[1] * v[1] + m[2] * v[2], m[3] * v[0] + m[4] * v[1] + m[5] * v[2], m[6] * v[0] + m[7] * v[1]
                + m[8] * v[2],
        };

        [Test]
        public void MirroredHarmonicsAreSeenFromTheOtherSide()
        {
            JsonValue golden = Golden.Json(Golden.Made("mirror.json"));
            float[] sh = Array.ConvertAll(golden["sh"].Numbers("sh"), x => (float)x);
            var mirrored = (float[])sh.Clone();
            Handedness.MirrorSh(mirrored);
            Golden.Near(golden["mirrored"].Numbers("mirrored"), Array.ConvertAll(mirrored, x => (double)x), 1e-5,
                "coefficients");
            for (int n = 0; n < 50; n++)
            {
                double[] d = Some(3), a = new double[3], b = new double[3];
                Rotations.Normalize(d);
                SphericalHarmonics.Add(sh, 3, d[0], d[1], d[2], a);
                SphericalHarmonics.Add(mirrored, 3, -d[0], d[1], d[2], b);
                Golden.Near(a, b, 1e-6, "colour");
            }
        }

        [Test]
        public void AFlippedTriangleFacesTheMirroredWay()
        {
            double[] v = Some(9), before = new double[3], after = new double[3];
            int[] triangle = { 0, 1, 2 };
            Surface.Normal(v, 0, 1, 2, before);
            Handedness.MirrorPoints(v);
            Handedness.MirrorPoints(before);
            Handedness.FlipWinding(triangle);
            CollectionAssert.AreEqual(new[] { 0, 2, 1 }, triangle);
            Surface.Normal(v, triangle[0], triangle[1], triangle[2], after);
            Golden.Near(before, after, 1e-12, "normal");
        }

        [Test]
        public void TheViewOfAMirroredAvatarIsTheCamerasOwn()
        {
            // An object 2 to the right, a camera at (0, 1, -3) that looks along +z, as Unity gives them.
            double[] local = { 1, 0, 0, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1 };
            double[] camera = { 1, 0, 0, 0, 0, 1, 0, -1, 0, 0, -1, -3, 0, 0, 0, 1 };
            var view = new double[12];
            Handedness.ViewFromAvatar(camera, local, view);
            // The avatar's own (0.5, 0.25, 1) is Unity's (1.5, 0.25, 1): 1.5 right, 0.75 down, 4 ahead.
            var seen = new double[3];
            for (int r = 0; r < 3; r++) seen[r] = view[4 * r] * 0.5 + view[4 * r + 1] * 0.25 + view[4 * r + 2]
                + view[4 * r + 3];
            Golden.Near(new[] { 1.5, 0.75, 4 }, seen, 1e-12, "place");
            double determinant = view[0] * (view[5] * view[10] - view[6] * view[9]) - view[1]
                * (view[4] * view[10] - view[6] * view[8])
                + view[2] * (view[4] * view[9] - view[5] * view[8]);
            Assert.AreEqual(1, determinant, 1e-12, "a turn, so quaternions and harmonics need no mirror");
        }

        [TestCase(1)]
        [TestCase(1000)]
        [TestCase(60000)]
        public void TheOrderIsFromBackToFront(int count)
        {
            double[] means = Some(3 * count), view = { 0.6, 0, 0.8, 0, 0, 1, 0, 0, -0.8, 0, 0.6, 0.9 };
            var order = new int[count];
            // Of equally deep ones the first id is nearer, so it comes last.
            for (int i = 0; i < 3; i++) means[i] = means[means.Length - 3 + i];
            int shown = new DepthOrder().Sort(means, view, 0.2, order);
            double before = double.PositiveInfinity;
            int expected = 0;
            for (int i = 0; i < count; i++) expected += Depth(means, view, i) > 0.2 ? 1 : 0;
            Assert.AreEqual(expected, shown);
            var seen = new bool[count];
            for (int k = 0; k < shown; k++)
            {
                double depth = Depth(means, view, order[k]);
                // Keys have 32 bits of about two metres.
                Assert.LessOrEqual(depth, before + 1e-9);
                Assert.IsFalse(seen[order[k]]);
                seen[order[k]] = true;
                before = depth;
            }
            if (count > 1 && Depth(means, view, 0) > 0.2) Assert.Less(Array.IndexOf(order, count - 1),
                Array.IndexOf(order, 0));
        }

        private static double Depth(double[] means, double[] view, int i) =>
            view[8] * means[3 * i] + view[9] * means[3 * i + 1] + view[10] * means[3 * i + 2] + view[11];
    }
}
