using System;

namespace Flameport
{
    /// <summary>
    /// The rotation of each vertex's one-ring from the template to the posed head: the polar factor of S = sum of e'
    /// e^T + h n' n^T over the
    /// directed edges of its faces (`formats.deform.surface_rotations`; Sorkine and Alexa 2007, eq. 5, with a normal
    /// term of ours).
    /// </summary>
    public sealed class SurfaceRotations
    {
        private readonly HeadPoser head;
        private readonly double[] template;
        private readonly double[] still;
        private readonly double[] normals;
        private readonly double[] squares;
        private readonly double[] sums;

        public SurfaceRotations(HeadPoser head)
        {
            this.head = head;
            int count = head.Head.VertexCount;
            template = Array.ConvertAll(head.Head.Template, x => (double)x);
            still = new double[3 * count];
            normals = new double[3 * count];
            squares = new double[count];
            sums = new double[9 * count];
            Quats = new double[4 * count];
            Surface.VertexNormals(template, head.Head.Faces, 0, still);
        }

        /// <summary>V * 4, unit.</summary>
        public double[] Quats { get; }

        /// <summary>Work them out for the head's present pose.</summary>
        public void Apply()
        {
            double[] posed = head.Vertices;
            int[] faces = head.Head.Faces;
            Array.Clear(sums, 0, sums.Length);
            Array.Clear(squares, 0, squares.Length);
            Surface.VertexNormals(posed, faces, 0, normals);
            for (int f = 0; f < faces.Length; f += 3)
            {
                for (int k = 0; k < 3; k++)
                {
                    AddEdge(posed, faces[f + k], faces[f + (k + 1) % 3]);
                    AddEdge(posed, faces[f + k], faces[f + (k + 2) % 3]);
                }
            }
            for (int v = 0; v < squares.Length; v++)
            {
                Span<double> s = sums.AsSpan(9 * v, 9);
                if (squares[v] > 0)
                {
                    for (int r = 0; r < 3; r++)
                    {
                        for (int c = 0; c < 3; c++) s[3 * r + c] += 0.5 * squares[v] * normals[3 * v + r] * still[3 * v + c];
                    }
                }
                else
                {
                    s[0] = s[4] = s[8] = 1;
                }
                Polar.Rotation(s, Quats.AsSpan(4 * v, 4));
            }
        }

        private void AddEdge(double[] posed, int v, int other)
        {
            for (int c = 0; c < 3; c++)
            {
                double edge = template[3 * other + c] - template[3 * v + c];
                squares[v] += edge * edge;
                for (int r = 0; r < 3; r++) sums[9 * v + 3 * r + c] += (posed[3 * other + r] - posed[3 * v + r]) * edge;
            }
        }
    }
}
