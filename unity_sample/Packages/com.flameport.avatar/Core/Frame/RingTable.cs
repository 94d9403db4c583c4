namespace Flameport
{
    /// <summary>Which faces meet at each vertex: what `_Rings` holds.</summary>
    public static class RingTable
    {
        /// <summary>Return where each vertex's faces begin (one number more than vertices), then the faces.</summary>
        public static uint[] Of(int[] faces, int vertices)
        {
            var rings = new uint[vertices + 1 + faces.Length];
            var next = new int[vertices + 1];
            foreach (int vertex in faces) next[vertex + 1]++;
            for (int v = 0; v < vertices; v++) next[v + 1] += next[v];
            for (int v = 0; v <= vertices; v++) rings[v] = (uint)(vertices + 1 + next[v]);
            for (int c = 0; c < faces.Length; c++) rings[vertices + 1 + next[faces[c]]++] = (uint)(c / 3);
            return rings;
        }
    }
}
