namespace Flameport
{
    /// <summary>Something that rides the head and is drawn, in the order of <see cref="Avatar.Layers"/>.</summary>
    public abstract class Layer
    {
        public string Name = "";
    }

    /// <summary>Gaussians in their binding's local space: means (offsets on faces), quats wxyz, linear scales.</summary>
    public sealed class SplatLayer : Layer
    {
        public Binding Binding = new FaceBinding();
        public float[] Means = new float[0];
        public float[] Quats = new float[0];
        public float[] Scales = new float[0];
        public float[] Opacities = new float[0];
        /// <summary>N * (degree + 1)^2 * 3, DC first.</summary>
        public float[] Sh = new float[0];
        public int Degree;
        /// <summary>View directions are turned back by the root's rotation before they meet the SH.</summary>
        public bool ShInHeadFrame;
        public LinearDynamics? Dynamics;
        /// <summary>What moves them instead; null for none.</summary>
        public AvatarNetwork? Network;
        /// <summary>Which of the network's rows each one has; null: the same.</summary>
        public int[]? NetworkRows;
        /// <summary>Which Gaussian of the avatar each one is; null: the same.</summary>
        public int[]? Order;

        public int Count => Opacities.Length;
        public int ShNumbers => 3 * (Degree + 1) * (Degree + 1);
    }

    /// <summary>Strands that are rigid with the triangles of their roots, drawn as one Gaussian a segment.</summary>
    public sealed class StrandLayer : Layer
    {
        /// <summary>One element a strand.</summary>
        public FaceBinding Binding = new FaceBinding();
        public int PointsPerStrand;
        /// <summary>M * P * 3, in the triangle's frame, in the binding's offset units.</summary>
        public float[] Points = new float[0];
        /// <summary>Standard deviation along a segment, in its lengths.</summary>
        public double SegmentScale;
        /// <summary>M * (P - 1), metres.</summary>
        public float[] Widths = new float[0];
        public float[] Opacities = new float[0];
        /// <summary>M * (P - 1) * 3, SH of degree 0.</summary>
        public float[] Sh = new float[0];
        public int[]? Order;

        public int StrandCount => Binding.Count;
        public int SegmentCount => Widths.Length;
    }

    /// <summary>A textured mesh that rides the head with tables of its own. Straight alpha, display sRGB.</summary>
    public sealed class MeshLayer : Layer
    {
        /// <summary>V * 3, rest space, metres; and unit normals.</summary>
        public float[] Vertices = new float[0];
        public float[] Normals = new float[0];
        public SkinTables Tables = new SkinTables();
        /// <summary>Per drawn vertex (seams have several): which of V it is, and its texture coordinates (two
        /// numbers).</summary>
        public int[] Drawn = new int[0];
        public float[] Uvs = new float[0];
        /// <summary>Three drawn vertices each, counter-clockwise seen from outside.</summary>
        public int[] Triangles = new int[0];
        public bool Opaque;
        /// <summary>A PNG.</summary>
        public byte[] Texture = new byte[0];

        public int VertexCount => Vertices.Length / 3;
    }

    /// <summary>Which numbers of a Gaussian dynamics move.</summary>
    public enum Channel { Means, Rotvecs, LogScales, OpacityLogits, Rgb }

    /// <summary>delta[n] = sum over k of table[k][n] c_k. `formats.avatar.LinearDynamics`.</summary>
    public sealed class LinearDynamics
    {
        public static readonly string[] ChannelNames = { "means", "rotvecs", "log_scales", "opacity_logits", "rgb" };
        public static readonly int[] Widths = { 3, 3, 3, 1, 3 };

        /// <summary>Deltas apply after the binding, in world axes.</summary>
        public bool Posed;
        public string[] Driver = new string[0];
        public float[]? Mean;
        public int Rank;
        /// <summary>What makes the coefficients; null: the driver's numbers are they.</summary>
        public CoefficientFunction? Function;
        /// <summary>Makes the coefficients instead.</summary>
        public AvatarNetwork? Network;
        /// <summary>By <see cref="Channel"/>: rank * N * width numbers, rank-major; null where the channel does not
        /// move.</summary>
        public float[]?[] Tables = new float[]?[5];
    }
}
