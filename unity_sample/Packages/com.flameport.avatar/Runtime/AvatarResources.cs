using System;
using System.Collections.Generic;
using UnityEngine;
using Object = UnityEngine.Object;

namespace Flameport
{
    /// <summary>An avatar's tables on the graphics card: one for all its players, gone with the last.</summary>
    internal sealed class AvatarResources
    {
        private static readonly List<AvatarResources> All = new List<AvatarResources>();

        private readonly List<Object> pictures = new List<Object>();
        private int users = 1;

        private AvatarResources(Avatar avatar)
        {
            Tables = new FrameTables(avatar);
            Buffers = new[] { Filled(Tables.Data.Words, 16), Filled(Tables.Records.Words, 16), Filled(Tables.Rings, 4) };
            foreach (DrawnMesh mesh in Tables.Meshes) Meshes.Add(Uploaded(mesh));
            if (Tables.HeadMesh != null) Head = Uploaded(Tables.HeadMesh);
        }

        public FrameTables Tables { get; }
        /// <summary>By <see cref="Slot"/>, the shared ones.</summary>
        public GraphicsBuffer[] Buffers { get; }
        public List<(DrawnMesh mesh, GraphicsBuffer corners, Texture2DArray picture)> Meshes { get; } =
            new List<(DrawnMesh, GraphicsBuffer, Texture2DArray)>();
        public (DrawnMesh mesh, GraphicsBuffer corners, Texture2DArray picture)? Head { get; }

        /// <summary>Return the tables of an avatar, for one player more.</summary>
        public static AvatarResources Acquire(Avatar avatar)
        {
            foreach (AvatarResources known in All)
            {
                if (known.Tables.Avatar != avatar || !known.Buffers[0].IsValid()) continue;
                known.users++;
                return known;
            }
            var made = new AvatarResources(avatar);
            All.Add(made);
            return made;
        }

        /// <summary>A player is done with them.</summary>
        public void Release()
        {
            if (--users > 0) return;
            All.Remove(this);
            foreach (GraphicsBuffer buffer in Buffers) buffer.Dispose();
            foreach ((DrawnMesh _, GraphicsBuffer corners, Texture2DArray _) in Meshes) corners.Dispose();
            Head?.corners.Dispose();
            foreach (Object picture in pictures) Object.DestroyImmediate(picture);
        }

        private static GraphicsBuffer Filled(uint[] words, int stride)
        {
            var buffer = new GraphicsBuffer(GraphicsBuffer.Target.Structured, Math.Max(4 * words.Length / stride, 1), stride);
            buffer.SetData(words);
            return buffer;
        }

        private (DrawnMesh, GraphicsBuffer, Texture2DArray) Uploaded(DrawnMesh mesh)
        {
            // Display sRGB as it is: `linear` textures are not converted when they are read.
            var one = new Texture2D(2, 2, TextureFormat.RGBA32, false, true);
            one.LoadImage(mesh.Picture);
            var picture = new Texture2DArray(one.width, one.height, 1, TextureFormat.RGBA32, false, true)
                { hideFlags = HideFlags.HideAndDontSave, wrapMode = TextureWrapMode.Clamp };
            picture.SetPixels32(one.GetPixels32(), 0);
            picture.Apply(false, true);
            Object.DestroyImmediate(one);
            pictures.Add(picture);
            return (mesh, Filled(mesh.Corners, 16), picture);
        }
    }
}
