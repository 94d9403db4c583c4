using System;

namespace Flameport
{
    /// <summary>A player's frame in compute shaders: buffers of its own, and the kernels of <see cref="FramePlan"/>.</summary>
    public sealed class KernelFrame : PlayerFrame
    {
        private static readonly Property[] Pictures = { Property.Bases, Property.Features, Property.Alpha };
        private static readonly Property[] Noughts = { Property.BaseCount, Property.FeatureCount, Property.FeatureChannels,
            Property.Hidden, Property.ViewSpace };

        private readonly SharedFrame shared;
        private readonly FramePlan plan;
        private readonly MomentRows moment;
        private readonly object[] buffers = new object[(int)Slot.Places + 1];
        private readonly object? shading, ranges;
        private readonly bool shortKeys;

        /// <summary>Make it; throws <see cref="AvatarFormatException"/> where no device could hold it.</summary>
        public KernelFrame(Avatar avatar, ICanvas canvas, bool shortKeys) : base(canvas)
        {
            this.shortKeys = shortKeys;
            shared = SharedFrame.Acquire(avatar, canvas);
            plan = new FramePlan(shared.Tables, shortKeys);
            moment = new MomentRows(shared.Tables);
            for (Slot slot = 0; slot <= Slot.Places; slot++)
            {
                buffers[(int)slot] = FramePlan.IsShared(slot) ? shared.Buffer(slot)
                    : canvas.CreateBuffer(plan.Count(slot), FramePlan.Stride(slot), null);
            }
            if (shared.Meshes.Count == 0) return;
            // Shaders want every buffer bound, also those of shading by networks, which no file for Unity has.
            shading = canvas.CreateBuffer(1, 4, null);
            ranges = canvas.CreateBuffer(1, 8, null);
        }

        public override bool IsAlive => Canvas.IsAlive(buffers[0]) && Canvas.IsAlive(buffers[(int)Slot.Places]);
        public override string Warning => shared.Tables.LeftOut + moment.Warning;
        public override HeadSphere Sphere => shared.Tables.Sphere;
        public override ReadOnlySpan<double> Root => moment.Root;
        public override bool HasMeshes => shared.Tables.Meshes.Count > 0 || (ShowHead && shared.Tables.HeadMesh != null);

        public override void Pose(Pose pose)
        {
            moment.Apply(pose);
            Canvas.Upload(buffers[(int)Slot.Moment], moment.Rows);
            for (int i = 0; i < plan.Moments.Count; i++) Run(plan.Moments[i]);
        }

        public override void Prepare(CameraRows camera, ReadOnlySpan<double> place)
        {
            Depth = camera.Look(place, moment, Sphere, shortKeys);
            Front = HasMeshes ? Depth - camera.Radius : 0;
            Canvas.Upload(buffers[(int)Slot.View], camera.Rows);
            for (int i = 0; i < plan.Cameras.Count; i++) Run(plan.Cameras[i]);
        }

        private void Run(Dispatch step)
        {
            foreach (BufferUse use in step.Uses) Canvas.Bind(step.Kernel, use.Name, buffers[(int)use.Slot]);
            Canvas.SetConstant(Property.Total, plan.Total);
            Canvas.SetConstant(Property.Count, plan.Total);
            Canvas.SetConstant(Property.Record, step.Record);
            Canvas.SetConstant(Property.Shift, step.Shift);
            Canvas.Dispatch(step.Kernel, step.Groups);
        }

        public override void Draw(CameraRows camera, Sheet color, float linear)
        {
            Look(camera, linear);
            if (HasMeshes) DrawMeshes(color);
            if (plan.Total == 0) return;
            Canvas.Set(Property.Order, buffers[(int)plan.Order]);
            Canvas.Set(Property.EllipsesIn, buffers[(int)Slot.Ellipses]);
            Canvas.Draw(Program.Splats, 0, 3 * plan.Total);
        }

        private void DrawMeshes(Sheet color)
        {
            Canvas.Set(Property.PosedIn, buffers[(int)Slot.Posed]);
            Canvas.Set(Property.Frame, buffers[(int)Slot.View]);
            Canvas.Set(Property.Records, buffers[(int)Slot.Records]);
            Canvas.Set(Property.Shading, shading!);
            Canvas.Set(Property.FeatureRange, ranges!);
            foreach (Property name in Noughts) Canvas.Set(name, 0);
            Canvas.Set(Property.Temperature, 1f);
            Canvas.Target(color, Sheet.MeshDepth, false);
            int layers = shared.Tables.Meshes.Count;
            if (ShowHead && shared.Meshes.Count > layers) DrawMesh(shared.Meshes[layers]);
            for (int i = 0; i < layers; i++) DrawMesh(shared.Meshes[i]);
            Canvas.Target(color, Sheet.Camera, false);
        }

        private void DrawMesh((DrawnMesh mesh, object corners, object picture) drawn)
        {
            foreach (Property name in Pictures) Canvas.Set(name, drawn.picture);
            Canvas.Set(Property.Corners, drawn.corners);
            Canvas.Set(Property.Record, drawn.mesh.Record);
            Canvas.Set(Property.Opaque, drawn.mesh.Opaque ? 1 : 0);
            Canvas.ClearDepth();
            for (int pass = 0; pass < 2; pass++) Canvas.Draw(Program.Mesh, pass, drawn.mesh.CornerCount);
        }

        public override void Dispose()
        {
            for (Slot slot = 0; slot <= Slot.Places; slot++)
            {
                if (!FramePlan.IsShared(slot)) Canvas.Destroy(buffers[(int)slot]);
            }
            if (shading != null) Canvas.Destroy(shading);
            if (ranges != null) Canvas.Destroy(ranges);
            moment.Dispose();
            shared.Release(Canvas);
        }
    }
}
