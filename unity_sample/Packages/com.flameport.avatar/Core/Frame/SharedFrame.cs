using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>An avatar's tables on the graphics card: one for all its players, gone with the last.</summary>
    public sealed class SharedFrame
    {
        private static readonly List<SharedFrame> All = new List<SharedFrame>();

        private readonly List<(DrawnMesh mesh, object corners, object picture)> meshes =
            new List<(DrawnMesh, object, object)>();
        private readonly object[] buffers;
        private int users = 1;

        private SharedFrame(Avatar avatar, ICanvas canvas)
        {
            Tables = new FrameTables(avatar);
            buffers = new[] { Filled(canvas, Tables.Data.Words, Slot.Texels), Filled(canvas, Tables.Records.Words,
                Slot.Records), Filled(canvas, Tables.Rings, Slot.Rings) };
            foreach (DrawnMesh mesh in Tables.Meshes) Add(mesh, canvas);
            if (Tables.HeadMesh != null) Add(Tables.HeadMesh, canvas);
        }

        public FrameTables Tables { get; }
        /// <summary>Mesh layers, innermost first; then the head, where it has a picture.</summary>
        public IReadOnlyList<(DrawnMesh mesh, object corners, object picture)> Meshes => meshes;

        /// <summary>A buffer that players share.</summary>
        public object Buffer(Slot slot) => buffers[(int)slot];

        /// <summary>Return the tables of an avatar, for one player more; anew where a device lost them.</summary>
        public static SharedFrame Acquire(Avatar avatar, ICanvas canvas)
        {
            foreach (SharedFrame known in All)
            {
                if (known.Tables.Avatar != avatar || !canvas.IsAlive(known.buffers[0])) continue;
                known.users++;
                return known;
            }
            var made = new SharedFrame(avatar, canvas);
            All.Add(made);
            return made;
        }

        /// <summary>A player is done with them.</summary>
        public void Release(ICanvas canvas)
        {
            if (--users > 0) return;
            All.Remove(this);
            foreach (object buffer in buffers) canvas.Destroy(buffer);
            foreach ((DrawnMesh _, object corners, object picture) in meshes)
            {
                canvas.Destroy(corners);
                canvas.Destroy(picture);
            }
        }

        private static object Filled(ICanvas canvas, uint[] words, Slot slot)
        {
            int stride = FramePlan.Stride(slot);
            return canvas.CreateBuffer(Math.Max(4 * words.Length / stride, 1), stride, words);
        }

        private void Add(DrawnMesh mesh, ICanvas canvas) => meshes.Add((mesh, Filled(canvas, mesh.Corners, Slot.Texels),
            canvas.CreatePicture(mesh.Picture)));
    }
}
