using System;
using System.Collections.Generic;
using UnityEngine;
using UnityEngine.Rendering;
using Object = UnityEngine.Object;

namespace Flameport
{
    /// <summary>One player's frame in compute shaders: buffers of its own, and the kernels of <see cref="FramePlan"/>.</summary>
    internal sealed class GpuFrame : AvatarFrame
    {
        private static readonly int[] Names = Array.ConvertAll(FramePlan.Names, Shader.PropertyToID);
        private static readonly int RecordName = Id("_Record"), TotalName = Id("_Total"), CountName = Id("_Count");
        private static readonly int ShiftName = Id("_Shift"), OrderName = Id("_Order"), EllipsesName = Id("_EllipsesIn");
        private static readonly int PosedName = Id("_PosedIn"), CornersName = Id("_Corners"), FrameName = Id("_Frame");
        private static readonly int RecordsName = Id("_Records"), OpaqueName = Id("_Opaque");
        private static readonly int[] PictureNames = { Id("_Bases"), Id("_Features"), Id("_Alpha") };
        private static readonly int[] NoughtNames = { Id("_BaseCount"), Id("_FeatureCount"), Id("_FeatureChannels"),
            Id("_Hidden"), Id("_ViewSpace") };
        private static readonly int[] SpareNames = { Id("_Shading"), Id("_FeatureRange") };
        private static readonly int TemperatureName = Id("_Temperature");

        private readonly AvatarResources shared;
        private readonly FramePlan plan;
        private readonly MomentRows moment;
        private readonly GraphicsBuffer[] buffers;
        private readonly GraphicsBuffer[] spare = new GraphicsBuffer[2];
        private readonly ComputeShader kernels;
        private readonly int[] kernel;
        private readonly bool shortKeys;
        private readonly Material? mesh;
        private readonly CommandBuffer posing = new CommandBuffer { name = "Flameport pose" };

        /// <summary>Make it; throws <see cref="AvatarException"/> where no device could hold it.</summary>
        public GpuFrame(AvatarAsset asset, bool shortKeys) : base(asset.Splats, asset.Composite)
        {
            this.shortKeys = shortKeys;
            kernels = asset.Kernels!;
            kernel = Array.ConvertAll(Enum.GetNames(typeof(Kernel)), kernels.FindKernel);
            shared = AvatarResources.Acquire(asset.Load());
            plan = new FramePlan(shared.Tables, shortKeys);
            moment = new MomentRows(shared.Tables);
            buffers = new GraphicsBuffer[(int)Slot.Places + 1];
            for (Slot slot = 0; slot <= Slot.Places; slot++)
            {
                buffers[(int)slot] = FramePlan.IsShared(slot) ? shared.Buffers[(int)slot]
                    : new GraphicsBuffer(GraphicsBuffer.Target.Structured, plan.Count(slot), FramePlan.Stride(slot));
            }
            if (shared.Meshes.Count == 0 && shared.Head == null) return;
            mesh = Made(asset.Mesh);
            // Shaders want every buffer bound, also those of shading that no file for Unity has.
            for (int i = 0; i < 2; i++) spare[i] = new GraphicsBuffer(GraphicsBuffer.Target.Structured, 1, 4 + 4 * i);
        }

        /// <summary>Whether this device runs the kernels, and reads their buffers when it draws.</summary>
        public static bool IsSupported => SystemInfo.supportsComputeShaders && SystemInfo.maxComputeBufferInputsCompute >= 8
            && SystemInfo.maxComputeBufferInputsVertex >= 4;

        public override bool IsValid => buffers[0].IsValid() && buffers[(int)Slot.Places].IsValid();
        public override string Warning => shared.Tables.LeftOut;
        public override HeadSphere Sphere => shared.Tables.Sphere;
        public override ReadOnlySpan<double> Root => moment.Root;
        public override bool HasMeshes => shared.Meshes.Count > 0 || (ShowHead && shared.Head != null);

        public override void Pose(Pose pose)
        {
            moment.Apply(pose);
            posing.Clear();
            posing.SetBufferData(buffers[(int)Slot.Moment], moment.Rows);
            Run(posing, plan.Moments);
            Graphics.ExecuteCommandBuffer(posing);
        }

        public override void Prepare(CommandBuffer commands, CameraRows camera, double[] place)
        {
            Depth = camera.Look(place, moment, Sphere, shortKeys);
            commands.SetBufferData(buffers[(int)Slot.View], camera.Rows);
            Run(commands, plan.Cameras);
        }

        private void Run(CommandBuffer commands, IReadOnlyList<Dispatch> steps)
        {
            commands.SetComputeIntParam(kernels, TotalName, plan.Total);
            commands.SetComputeIntParam(kernels, CountName, plan.Total);
            for (int i = 0; i < steps.Count; i++)
            {
                Dispatch step = steps[i];
                int number = kernel[(int)step.Kernel];
                foreach (BufferUse use in step.Uses) commands.SetComputeBufferParam(kernels, number, Names[use.Name],
                    buffers[(int)use.Slot]);
                commands.SetComputeIntParam(kernels, RecordName, step.Record);
                commands.SetComputeIntParam(kernels, ShiftName, step.Shift);
                commands.DispatchCompute(kernels, number, step.Groups, 1, 1);
            }
        }

        public override void Draw(CommandBuffer commands, CameraRows camera, in CameraTarget target,
            RenderTargetIdentifier color, float linear)
        {
            Look(camera, linear);
            if (HasMeshes) DrawMeshes(commands, target, color);
            if (plan.Total == 0) return;
            properties.SetBuffer(OrderName, buffers[(int)plan.Order]);
            properties.SetBuffer(EllipsesName, buffers[(int)Slot.Ellipses]);
            commands.DrawProcedural(Matrix4x4.identity, splats, 0, MeshTopology.Triangles, 3 * plan.Total, 1, properties);
        }

        private void DrawMeshes(CommandBuffer commands, in CameraTarget target, RenderTargetIdentifier color)
        {
            properties.SetBuffer(PosedName, buffers[(int)Slot.Posed]);
            properties.SetBuffer(FrameName, buffers[(int)Slot.View]);
            properties.SetBuffer(RecordsName, buffers[(int)Slot.Records]);
            for (int i = 0; i < 2; i++) properties.SetBuffer(SpareNames[i], spare[i]);
            foreach (int name in NoughtNames) properties.SetInteger(name, 0);
            properties.SetFloat(TemperatureName, 1);
            target.BeginMeshes(commands, color);
            if (ShowHead && shared.Head != null) DrawMesh(commands, shared.Head.Value);
            for (int i = 0; i < shared.Meshes.Count; i++) DrawMesh(commands, shared.Meshes[i]);
            target.EndMeshes(commands, color);
        }

        private void DrawMesh(CommandBuffer commands, (DrawnMesh mesh, GraphicsBuffer corners, Texture2DArray picture) drawn)
        {
            foreach (int name in PictureNames) properties.SetTexture(name, drawn.picture);
            properties.SetBuffer(CornersName, drawn.corners);
            properties.SetInteger(RecordName, drawn.mesh.Record);
            properties.SetInteger(OpaqueName, drawn.mesh.Opaque ? 1 : 0);
            commands.ClearRenderTarget(true, false, Color.clear);
            for (int pass = 0; pass < 2; pass++) commands.DrawProcedural(Matrix4x4.identity, mesh, pass,
                MeshTopology.Triangles, drawn.mesh.CornerCount, 1, properties);
        }

        public override void Dispose()
        {
            base.Dispose();
            for (Slot slot = 0; slot <= Slot.Places; slot++)
            {
                if (!FramePlan.IsShared(slot)) buffers[(int)slot].Dispose();
            }
            foreach (GraphicsBuffer? buffer in spare) buffer?.Dispose();
            if (mesh != null) Object.DestroyImmediate(mesh);
            posing.Release();
            shared.Release();
        }

        private static int Id(string name) => Shader.PropertyToID(name);
    }
}
