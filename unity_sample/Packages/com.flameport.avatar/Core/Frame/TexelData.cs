using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>All tables end to end, each filled to whole rows, as containers have them: what `_Texels` holds.</summary>
    public sealed class TexelData
    {
        private readonly Dictionary<string, int> places = new Dictionary<string, int>();

        public TexelData(TexelTables tables)
        {
            Tables = tables;
            int texels = 0;
            foreach (TexelTable table in tables.All)
            {
                places[table.Name] = texels;
                int rows = (table.Count + TexelTables.Width - 1) / TexelTables.Width;
                texels = checked(texels + rows * TexelTables.Width);
            }
            Words = new uint[checked(4 * texels)];
            foreach (TexelTable table in tables.All) table.Words.CopyTo(Words, 4 * places[table.Name]);
        }

        public TexelTables Tables { get; }
        /// <summary>Four words a texel.</summary>
        public uint[] Words { get; }

        /// <summary>Where a table begins, in texels; <see cref="RecordRows.None"/> where there is none.</summary>
        public uint Place(string name) => places.TryGetValue(name, out int at) ? (uint)at : RecordRows.None;
    }
}
