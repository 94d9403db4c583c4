using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Parts of a face, for lists of sliders that people find their way in.</summary>
    public static class FaceRegions
    {
        /// <summary>Names of the parts, top to bottom; the last takes what no other does.</summary>
        public static readonly string[] Names = { "Brows", "Eyes", "Cheeks and nose", "Mouth", "Jaw and tongue", "Other shapes" };

        private static readonly string[][] Beginnings =
        {
            new[] { "brow" }, new[] { "eye" }, new[] { "cheek", "nose" }, new[] { "mouth", "lip" }, new[] { "jaw", "tongue" },
        };

        /// <summary>Return which part of <see cref="Names"/> a shape's name is about.</summary>
        public static int Of(string shape)
        {
            for (int region = 0; region < Beginnings.Length; region++)
            {
                foreach (string beginning in Beginnings[region])
                {
                    if (shape.StartsWith(beginning, StringComparison.OrdinalIgnoreCase)) return region;
                }
            }
            return Names.Length - 1;
        }

        /// <summary>Return shapes by part, each in the order given.</summary>
        public static List<string>[] Sorted(IEnumerable<string> shapes)
        {
            var found = new List<string>[Names.Length];
            for (int region = 0; region < found.Length; region++) found[region] = new List<string>();
            foreach (string shape in shapes) found[Of(shape)].Add(shape);
            return found;
        }
    }
}
