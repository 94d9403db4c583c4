using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>How tables are stored (`exporter/TEXELS.md`): exactly, for players, or for small devices.</summary>
    public enum TexelVariant { Float, Half, Quantised }

    /// <summary>One table of 16-byte texels, and what a descriptor says of it.</summary>
    public sealed class TexelTable
    {
        public TexelTable(string name, bool isFloat, uint[] words)
        {
            Name = name;
            IsFloat = isFloat;
            Words = words;
        }

        public string Name { get; }
        /// <summary>float4, else uint4.</summary>
        public bool IsFloat { get; }
        /// <summary>Four words a texel, without what fills the last row of a texture. A buffer takes them as they
        /// are.</summary>
        public uint[] Words { get; }
        public int Count => Words.Length / 4;
        /// <summary>Items in a texel, where it is more than one.</summary>
        public int PerTexel = 1;
        /// <summary>Texels of an item.</summary>
        public int PerItem = 1;
        /// <summary>Numbers of an item, of tables that are rows; and bits of each.</summary>
        public int Numbers;
        public int Bits;
        /// <summary>Boxes of unorms: means or places or colours, and, quantised, log scales and colours. None where
        /// there are none.</summary>
        public double[] Low = new double[0], High = new double[0];
        public double[] ScaleLow = new double[0], ScaleHigh = new double[0];
        public double[] ColorLow = new double[0], ColorHigh = new double[0];
        /// <summary>Which joints the table's numbers mean.</summary>
        public int[] Palette = new int[0];
        public bool SumsToOne;

        /// <summary>A word as the float it is the bits of.</summary>
        public float Float(int word) => BitConverter.Int32BitsToSingle(unchecked((int)Words[word]));
    }

    /// <summary>All tables of an avatar, in the order of a file.</summary>
    public sealed class TexelTables
    {
        /// <summary>Texels in a row of a texture.</summary>
        public const int Width = 2048;

        private readonly Dictionary<string, TexelTable> byName = new Dictionary<string, TexelTable>();

        public TexelTables(TexelVariant variant) { Variant = variant; }

        public TexelVariant Variant { get; }
        public List<TexelTable> All { get; } = new List<TexelTable>();

        /// <summary>Return the tables of an avatar's head and splat layers (`head.`, `layer0.`, ...), in the order of
        /// its layers.</summary>
        public static TexelTables Pack(Avatar avatar, TexelVariant variant)
        {
            var tables = new TexelTables(variant);
            new HeadPacker(tables).Pack(avatar.Head);
            for (int i = 0; i < avatar.Layers.Length; i++)
            {
                if (avatar.Layers[i] is SplatLayer layer) new SplatPacker(tables, $"layer{i}.").Pack(layer);
            }
            return tables;
        }

        /// <summary>Add a table, in the place of one that has its name.</summary>
        public void Add(TexelTable table)
        {
            int there = All.FindIndex(each => each.Name == table.Name);
            if (there < 0) All.Add(table);
            else All[there] = table;
            byName[table.Name] = table;
        }

        /// <summary>The table of a name; null where there is none.</summary>
        public TexelTable? Find(string name) => byName.TryGetValue(name, out TexelTable table) ? table : null;

        /// <summary>The table of a name; fails where there is none.</summary>
        public TexelTable Need(string name) => Find(name) ?? throw new AvatarFormatException($"Table '{name}' is "
            + $"missing. Export the avatar again.");
    }
}
