using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Everything that one camera shows of avatars: each prepared, then all drawn, the deepest first. One object does
    /// for all cameras, one after another.</summary>
    public sealed class CameraFrame
    {
        private readonly List<PlayerFrame> shown = new List<PlayerFrame>();

        /// <summary>The camera, filled by the engine before <see cref="Begin"/>.</summary>
        public CameraRows Camera { get; } = new CameraRows();
        /// <summary>Whether anything is drawn; into a picture of its own; meshes too.</summary>
        public bool IsEmpty => shown.Count == 0;
        public bool NeedsPicture { get; private set; }
        public bool NeedsMeshDepth { get; private set; }

        /// <summary>Begin a camera.</summary>
        public void Begin()
        {
            Camera.Apply();
            shown.Clear();
            NeedsPicture = NeedsMeshDepth = false;
        }

        /// <summary>Prepare an avatar whose object has this row-major 4 x 4, unless it is outside of the picture.</summary>
        public void Add(PlayerFrame frame, ReadOnlySpan<double> place)
        {
            Camera.Look(place, frame.Root, frame.Sphere, false);
            if (!Camera.Sees()) return;
            frame.Prepare(Camera, place);
            NeedsPicture |= IsExact(frame);
            NeedsMeshDepth |= frame.HasMeshes;
            int at = shown.Count;
            while (at > 0 && shown[at - 1].Depth < frame.Depth) at--;
            shown.Insert(at, frame);
        }

        /// <summary>Draw them: the exact ones into the picture, which goes onto the camera's, then the others.</summary>
        /// <param name="linear">1 in a project of linear colours, else 0.</param>
        public void Draw(float linear)
        {
            if (IsEmpty) return;
            ICanvas canvas = shown[0].Canvas;
            double front = double.PositiveInfinity;
            if (NeedsPicture)
            {
                canvas.Target(Sheet.Picture, Sheet.Camera, true);
                foreach (PlayerFrame frame in shown)
                {
                    if (!IsExact(frame)) continue;
                    frame.Draw(Camera, Sheet.Picture, 0);
                    front = Math.Min(front, frame.Front);
                }
            }
            canvas.Target(Sheet.Camera, Sheet.Camera, false);
            if (NeedsPicture) shown[0].Composite(Camera, linear, front);
            foreach (PlayerFrame frame in shown) if (!IsExact(frame)) frame.Draw(Camera, Sheet.Camera, linear);
        }

        /// <summary>Meshes blend with what lies under them in one colour space only.</summary>
        private static bool IsExact(PlayerFrame frame) => frame.Exact || frame.HasMeshes;
    }
}
