using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Buffers of a frame; kernels see one under several names.</summary>
    public enum Slot { Texels, Records, Rings, Moment, View, Posed, World, Ellipses, Keys, OtherKeys, Values, OtherValues,
        Places }

    /// <summary>A buffer under the name by which a kernel knows it.</summary>
    public readonly struct BufferUse
    {
        public BufferUse(Property name, Slot slot)
        {
            Name = name;
            Slot = slot;
        }

        public readonly Property Name;
        public readonly Slot Slot;
    }

    /// <summary>One dispatch: a kernel, its buffers, its constants, and how many groups.</summary>
    public sealed class Dispatch
    {
        internal Dispatch(Kernel kernel, BufferUse[] uses, int groups, int record = 0, int shift = 0)
        {
            Kernel = kernel;
            Uses = uses;
            Groups = groups;
            Record = record;
            Shift = shift;
        }

        public Kernel Kernel { get; }
        public BufferUse[] Uses { get; }
        public int Groups { get; }
        /// <summary>`_Record`.</summary>
        public int Record { get; }
        /// <summary>`_Shift`.</summary>
        public int Shift { get; }
    }

    /// <summary>How large the buffers of an avatar's frame are, and which kernels run on them in which order
    /// (`Shaders/README.md`, "A frame").</summary>
    public sealed class FramePlan
    {
        public const int Threads = 64;
        /// <summary>Gaussians at most: every device takes 65535 groups in one direction.</summary>
        public const int MostGaussians = 65535 * Threads;
        private const int Tile = 1024, Digits = 256, DigitGroups = 32;

        private static readonly BufferUse Texels = new BufferUse(Property.Texels, Slot.Texels),
            Records = new BufferUse(Property.Records, Slot.Records), Rings = new BufferUse(Property.Rings, Slot.Rings),
            Moment = new BufferUse(Property.Frame, Slot.Moment), View = new BufferUse(Property.Frame, Slot.View),
            Posed = new BufferUse(Property.Posed, Slot.Posed), World = new BufferUse(Property.World, Slot.World),
            WorldIn = new BufferUse(Property.WorldIn, Slot.World), Keys = new BufferUse(Property.Keys, Slot.Keys),
            Ellipses = new BufferUse(Property.Ellipses, Slot.Ellipses), Places = new BufferUse(Property.Places, Slot.Places),
            PlacesIn = new BufferUse(Property.PlacesIn, Slot.Places);

        private readonly int[] counts = new int[(int)Slot.Places + 1];
        private readonly List<Dispatch> moment = new List<Dispatch>(), camera = new List<Dispatch>();

        /// <summary>Make the plan of an avatar.</summary>
        /// <param name="tables">What lies on the card.</param>
        /// <param name="shortKeys">Order by 16 bits of depth in two passes, not by 32 in four.</param>
        public FramePlan(FrameTables tables, bool shortKeys)
        {
            RecordRows records = tables.Records;
            Total = records.Total;
            int vertices = tables.Avatar.Head.VertexCount, tiles = (Total + Tile - 1) / Tile;
            Pose(tables, vertices);
            for (int i = 0; i < tables.Layers.Length; i++)
            {
                if (tables.Layers[i] is SplatLayer splats) camera.Add(new Dispatch(Kernel.ProjectSplats, new[] { Texels,
                    Records, View, WorldIn, Ellipses, Keys }, GroupsOf(splats.Count), 1 + i));
            }
            for (int shift = 0; Total > 0 && shift < (shortKeys ? 16 : 32); shift += 8) Sort(shift, tiles);
            Set(Slot.Texels, tables.Data.Words.Length / 4);
            Set(Slot.Records, records.Words.Length / 4);
            Set(Slot.Rings, tables.Rings.Length);
            Set(Slot.Moment, records.FrameRows);
            Set(Slot.View, RecordRows.FirstJoint);
            Set(Slot.Posed, records.PosedRows);
            Set(Slot.World, 4 * Total);
            Set(Slot.Ellipses, 3 * Total);
            foreach (Slot slot in new[] { Slot.Keys, Slot.OtherKeys, Slot.Values, Slot.OtherValues }) Set(slot, Total);
            Set(Slot.Places, Digits * (tiles + 1));
        }

        /// <summary>Once for each pose.</summary>
        public IReadOnlyList<Dispatch> Moments => moment;
        /// <summary>Once for each camera, after that.</summary>
        public IReadOnlyList<Dispatch> Cameras => camera;
        /// <summary>`_Total` and `_Count`: Gaussians of all layers.</summary>
        public int Total { get; }
        /// <summary>Where the order ends up, back to front: `_Order`.</summary>
        public Slot Order => Slot.Values;

        /// <summary>Elements of a buffer, one at least.</summary>
        public int Count(Slot slot) => counts[(int)slot];

        /// <summary>Bytes of an element.</summary>
        public static int Stride(Slot slot) => slot == Slot.Rings || slot >= Slot.Keys ? 4 : 16;

        /// <summary>Whether a buffer is one for all players of an avatar.</summary>
        public static bool IsShared(Slot slot) => slot <= Slot.Rings;

        /// <summary>Bytes on the graphics card: those that players share, or those of each.</summary>
        public long Bytes(bool shared)
        {
            long sum = 0;
            for (Slot slot = 0; slot <= Slot.Places; slot++)
            {
                if (IsShared(slot) == shared) sum += (long)Count(slot) * Stride(slot);
            }
            return sum;
        }

        private void Set(Slot slot, int count) => counts[(int)slot] = Math.Max(count, 1);

        private static int GroupsOf(int count) => (count + Threads - 1) / Threads;

        private void Pose(FrameTables tables, int vertices)
        {
            var posing = new[] { Texels, Records, Moment, Posed };
            moment.Add(new Dispatch(Kernel.PoseVertices, posing, GroupsOf(vertices)));
            for (int i = 0; i < tables.Layers.Length; i++)
            {
                if (tables.Layers[i] is MeshLayer mesh) moment.Add(new Dispatch(Kernel.PoseVertices, posing,
                    GroupsOf(mesh.VertexCount), 1 + i));
            }
            foreach (int record in tables.Records.Turned)
            {
                moment.Add(new Dispatch(Kernel.TurnVertices, new[] { Texels, Records, Rings, Posed }, GroupsOf(vertices),
                    record));
            }
            for (int i = 0; i < tables.Layers.Length; i++)
            {
                if (tables.Layers[i] is SplatLayer splats) moment.Add(new Dispatch(Kernel.PoseSplats, new[] { Texels,
                    Records, Moment, Posed, World }, GroupsOf(splats.Count), 1 + i));
            }
        }

        private void Sort(int shift, int tiles)
        {
            bool back = shift % 16 != 0;
            Slot from = back ? Slot.OtherKeys : Slot.Keys, to = back ? Slot.Keys : Slot.OtherKeys;
            Slot before = back ? Slot.OtherValues : Slot.Values, after = back ? Slot.Values : Slot.OtherValues;
            var keys = new BufferUse(Property.KeysIn, from);
            camera.Add(new Dispatch(Kernel.CountDigits, new[] { keys, Places }, tiles, 0, shift));
            camera.Add(new Dispatch(Kernel.ScanDigits, new[] { Places }, DigitGroups, 0, shift));
            camera.Add(new Dispatch(Kernel.Scatter, new[] { keys, new BufferUse(Property.ValuesIn, before), PlacesIn,
                new BufferUse(Property.KeysOut, to), new BufferUse(Property.ValuesOut, after) }, tiles, 0, shift));
        }
    }
}
