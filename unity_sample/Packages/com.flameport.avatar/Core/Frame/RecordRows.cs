using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>
    /// What is fixed about the head and each layer: the rows of `_Records` (`Shaders/README.md`, "`_Records`"). Record 0
    /// is the head, 1 + i layer i; the last one, where <see cref="HeadMesh"/> is not 0, draws the posed head as a mesh.
    /// </summary>
    public sealed class RecordRows
    {
        public const int Rows = 16;
        public const uint None = 0xFFFFFFFF;
        /// <summary>Row of `_Frame` where joints begin.</summary>
        public const int FirstJoint = 12;
        /// <summary>Rows of `_Frame` that a Gaussian has where a network moves it.</summary>
        public const int DeltaRows = 4;

        private readonly TexelData data;
        private readonly Head head;
        private readonly uint[] rows;
        private readonly List<uint> palettes = new List<uint>();
        private readonly uint exact;

        /// <summary>Make them.</summary>
        /// <param name="head">The head.</param>
        /// <param name="layers">Splat and mesh layers; others have no kernels.</param>
        /// <param name="data">The tables of both.</param>
        /// <param name="headMesh">Add a record that draws the head as a mesh.</param>
        public RecordRows(Head head, Layer[] layers, TexelData data, bool headMesh)
        {
            this.head = head;
            this.data = data;
            exact = data.Tables.Variant == TexelVariant.Float ? 1u : 0;
            rows = new uint[4 * Rows * (1 + layers.Length)];
            PosedRows = 4 * head.VertexCount;
            FrameRows = FirstJoint + 3 * head.JointCount + Half(head.Expressions.Length) + Half(head.Correctives.Length)
                + Half(head.Eyelids.Length);
            HeadRecord();
            for (int i = 0; i < layers.Length; i++)
            {
                if (layers[i] is MeshLayer mesh) MeshRecord(i, mesh);
                if (layers[i] is SplatLayer splats) SplatRecord(i, splats);
            }
            Words = Joined(headMesh, layers.Length);
        }

        /// <summary>Four words a row.</summary>
        public uint[] Words { get; }
        /// <summary>Rows of `_Posed`.</summary>
        public int PosedRows { get; private set; }
        /// <summary>Rows of `_Frame` at most.</summary>
        public int FrameRows { get; private set; }
        /// <summary>Records whose vertices' surroundings turn.</summary>
        public List<int> Turned { get; } = new List<int>();
        /// <summary>Gaussians of all layers.</summary>
        public int Total { get; private set; }
        /// <summary>The record that draws the head; 0 where there is none.</summary>
        public int HeadMesh { get; private set; }

        private static int Half(int count) => (count + 1) / 2;

        private void Set(int record, int row, uint x, uint y, uint z, uint w)
        {
            int at = 4 * (Rows * record + row);
            (rows[at], rows[at + 1], rows[at + 2], rows[at + 3]) = (x, y, z, w);
        }

        private void Set(int record, int row, int column, uint value) => rows[4 * (Rows * record + row) + column] = value;

        private void HeadRecord()
        {
            uint vertices = (uint)head.VertexCount;
            Set(0, 0, vertices, 0, 0, exact);
            Set(0, 1, data.Place("head.rest"), None, 0, 0);
            Tables(0, "head.", head.VertexCount, head.Expressions.Length, head.Correctives.Length, head.Eyelids.Length);
            Set(0, 13, 0, 0, vertices, None);
        }

        private void MeshRecord(int layer, MeshLayer mesh)
        {
            int record = 1 + layer, count = mesh.VertexCount;
            string prefix = $"layer{layer}.";
            Set(record, 0, (uint)count, 0, 0, exact);
            Set(record, 1, data.Place(prefix + "rest"), data.Place(prefix + "normals"), (uint)PosedRows, 0);
            SkinTables own = mesh.Tables;
            Tables(record, prefix, count, own.Expressions.Length, own.Correctives.Length, own.Eyelids.Length);
            Set(record, 13, 0, 0, None, (uint)(PosedRows + count));
            PosedRows = checked(PosedRows + 2 * count);
        }

        /// <summary>What displacement and skinning need.</summary>
        private void Tables(int record, string prefix, int count, int expressions, int correctives, int eyelids)
        {
            Set(record, 9, (uint)expressions, (uint)correctives, (uint)eyelids, data.Place(prefix + "deltas"));
            Set(record, 11, 0, exact == 1 ? (uint)count : (uint)Half(count));
            Set(record, 11, 1, head.EyelidsPosed ? 1u : 0);
            string name = prefix + (exact == 1 ? "skinJoints" : "skin");
            TexelTable skin = data.Tables.Need(name);
            Set(record, 10, data.Place(name), data.Place(prefix + "skinWeights"), (uint)skin.PerItem, (uint)((rows.Length
                + palettes.Count) / 4));
            foreach (int joint in skin.Palette) palettes.Add((uint)joint);
            while (palettes.Count % 4 != 0) palettes.Add(0);
            Set(record, 15, 0, skin.SumsToOne ? 1u : 0);
        }

        private void SplatRecord(int layer, SplatLayer splats)
        {
            int record = 1 + layer, count = splats.Count, vertices = head.VertexCount;
            string prefix = $"layer{layer}.";
            Set(record, 0, (uint)count, (uint)Total, 1, exact);
            Total = checked(Total + count);
            for (int c = 0; c < 4; c++) Set(record, 1, c, data.Place(prefix + "splat" + "ABCD"[c]));
            Set(record, 2, 3, data.Place(prefix + "point"));
            if (exact == 0)
            {
                Box(record, 2, data.Tables.Need(prefix + "splatA"));
                Box(record, 4, data.Tables.Need(prefix + "splatB"));
            }
            Set(record, 4, 3, data.Place(prefix + "sh"));
            Set(record, 5, 3, (uint)splats.Degree);
            Set(record, 11, 1, head.EyelidsPosed ? 1u : 0);
            Set(record, 11, 2, splats.ShInHeadFrame ? 1u : 0);
            if (splats.Degree > 0) Set(record, 11, 3, (uint)(data.Tables.Need(prefix + "sh").Count / count));
            Set(record, 14, (uint)vertices, data.Place("head.faces"), 0, (uint)vertices);
            Set(record, 15, 1, data.Place("head.rest"));
            Set(record, 13, 2, None);
            Set(record, 13, 3, None);
            bool turns = splats.Binding is FaceBinding face ? OnFaces(record, prefix, face)
                : OnSkin(record, prefix, (SkinBinding)splats.Binding);
            if (turns)
            {
                Set(record, 13, 2, (uint)PosedRows);
                Set(record, 13, 3, (uint)(PosedRows + vertices));
                PosedRows = checked(PosedRows + 2 * vertices);
                Turned.Add(record);
            }
            Set(record, 13, 0, (uint)FrameRows);
            if (splats.Network != null) Deltas(record, splats.Network, count);
            else if (splats.Dynamics != null) Dynamics(record, prefix, splats.Dynamics, count);
        }

        private bool OnFaces(int record, string prefix, FaceBinding binding)
        {
            Set(record, 7, (uint)binding.Frame, (uint)binding.OffsetScale, (uint)binding.SplatScale,
                data.Place(prefix + "canonical"));
            Set(record, 8, 0, Bits(binding.Unit));
            Set(record, 8, 1, Bits(binding.AreaFloor));
            Set(record, 8, 2, Bits(binding.SumFloor));
            if (exact == 0)
            {
                TexelTable point = data.Tables.Need(prefix + "point");
                Set(record, 6, Bits(point.Low[0]), Bits(point.Low[1]), Bits(point.High[0] - point.Low[0]),
                    Bits(point.High[1] - point.Low[1]));
            }
            return binding.Frame == FaceFrame.Vertex;
        }

        private bool OnSkin(int record, string prefix, SkinBinding binding)
        {
            bool shares = binding.Own == null;
            Set(record, 0, 2, shares ? 2u : 3u);
            Set(record, 8, 3, (uint)binding.Rotation);
            Set(record, 7, 3, data.Place("head.rest"));
            SkinTables? own = binding.Own;
            if (own != null) Tables(record, prefix, binding.Count, own.Expressions.Length, own.Correctives.Length,
                own.Eyelids.Length);
            return binding.Rotation == SkinRotation.Surface;
        }

        private void Dynamics(int record, string prefix, LinearDynamics dynamics, int count)
        {
            uint moves = 0;
            for (int c = 0; c < dynamics.Tables.Length; c++) moves |= dynamics.Tables[c] == null ? 0 : 1u << c;
            Set(record, 12, data.Place(prefix + "dynamics"), (uint)dynamics.Rank, moves,
                (uint)(data.Tables.Need(prefix + "dynamics").Count / count));
            Set(record, 13, 1, dynamics.Posed ? 1u : 0);
            FrameRows = checked(FrameRows + (dynamics.Rank + 3) / 4);
        }

        /// <summary>What a network moves: no table, and rows of the moment.</summary>
        private void Deltas(int record, AvatarNetwork network, int count)
        {
            uint moves = 0;
            for (int c = 0; c < LinearDynamics.ChannelNames.Length; c++)
            {
                moves |= network.Output("delta_" + LinearDynamics.ChannelNames[c]) < 0 ? 0 : 1u << c;
            }
            Set(record, 12, None, 1, moves, 0);
            Set(record, 13, 1, network.Posed ? 1u : 0);
            FrameRows = checked(FrameRows + DeltaRows * count);
        }

        private void Box(int record, int row, TexelTable table)
        {
            for (int c = 0; c < 3; c++)
            {
                Set(record, row, c, Bits(table.Low[c]));
                Set(record, row + 1, c, Bits(table.High[c] - table.Low[c]));
            }
        }

        /// <summary>The bits of a float; of one zero, not two.</summary>
        private static uint Bits(double value) => value == 0 ? 0 : unchecked((uint)BitConverter.SingleToInt32Bits((float)value));

        private uint[] Joined(bool headMesh, int layers)
        {
            int palette = palettes.Count, used = rows.Length + palette, each = 4 * Rows;
            // After the palettes, so that everything before lies as without it.
            if (headMesh) HeadMesh = (used + each - 1) / each;
            var words = new uint[headMesh ? (HeadMesh + 1) * each : used];
            rows.CopyTo(words, 0);
            palettes.CopyTo(words, rows.Length);
            // The posed head lies in row 0; its shading needs no normals.
            if (headMesh) words[HeadMesh * each] = (uint)head.VertexCount;
            return words;
        }
    }
}
