namespace Flameport
{
    /// <summary>How an element turns with its triangle; numbers as the shaders have them.
    /// `formats.deform.bind_to_faces`.</summary>
    public enum FaceFrame { Face, Vertex, None, Corner, Root }

    /// <summary>What multiplies an offset.</summary>
    public enum OffsetScale { None, EdgeHeight, DoubleArea }

    /// <summary>What multiplies scales; LogAreaRatio multiplies their logarithms, Length is of no file: what multiplies
    /// offsets multiplies the first one, as a strand's segments are as long as it is.</summary>
    public enum SplatScale { None, EdgeHeight, LogAreaRatio, Length }

    /// <summary>How quaternions turn where an element moves like a vertex.</summary>
    public enum SkinRotation { None, Skin, Surface }

    /// <summary>How the elements of a layer ride the head.</summary>
    public abstract class Binding
    {
        public abstract int Count { get; }
    }

    /// <summary>Each element rides a triangle.</summary>
    public sealed class FaceBinding : Binding
    {
        public int[] Face = new int[0];
        /// <summary>N * 2: weights of the first two corners; the third makes the sum 1.</summary>
        public float[] Barycentric = new float[0];
        public FaceFrame Frame;
        public OffsetScale OffsetScale;
        public SplatScale SplatScale;
        /// <summary>V * 3; null where nothing needs it.</summary>
        public float[]? Canonical;
        /// <summary>Metres in the unit that frame vertex and log area ratios compute in.</summary>
        public double Unit = 1;

        public override int Count => Face.Length;
        /// <summary>Square metres; sums around a vertex are divided by no less.</summary>
        public double SumFloor => 1e-6 * Unit * Unit;
        /// <summary>Square metres; keeps the ratio of tiny triangles near 1.</summary>
        public double AreaFloor => 1e-4 * Unit * Unit;
    }

    /// <summary>Each element moves like a vertex: one of the head's, or with tables of its own.</summary>
    public sealed class SkinBinding : Binding
    {
        /// <summary>Vertices of the head whose tables are shared; null where <see cref="Own"/> is there.</summary>
        public int[]? Vertex;
        public SkinTables? Own;
        public SkinRotation Rotation;

        public override int Count => Vertex != null ? Vertex.Length : Own!.Weights.Rows;
    }

    /// <summary>Blendshapes and weights of a layer's own. What a row of weights lacks to 1 stays put.</summary>
    public sealed class SkinTables
    {
        public SparseRows[] Expressions = new SparseRows[0];
        public SparseRows[] Correctives = new SparseRows[0];
        public SparseRows[] Eyelids = new SparseRows[0];
        public Influences Weights = new Influences(new int[1], new int[0], new double[0]);
    }
}
