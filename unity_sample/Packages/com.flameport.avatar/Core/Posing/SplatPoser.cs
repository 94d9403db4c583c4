using System;

namespace Flameport
{
    /// <summary>Gaussians of one layer in world space, at one moment; what the processor gives where there are no
    /// compute shaders.</summary>
    public abstract class GaussianPoser
    {
        protected GaussianPoser(int count)
        {
            Means = new double[3 * count];
            Quats = new double[4 * count];
            Scales = new double[3 * count];
            Opacities = new double[count];
            Rgb = new double[3 * count];
        }

        /// <summary>N * 3, metres.</summary>
        public double[] Means { get; }
        /// <summary>N * 4, wxyz, unit.</summary>
        public double[] Quats { get; }
        /// <summary>N * 3, linear, metres.</summary>
        public double[] Scales { get; }
        /// <summary>0..1.</summary>
        public double[] Opacities { get; }
        /// <summary>N * 3: 0.5 + 0.2821 DC, display sRGB, not clipped; higher degrees are the layer's own.</summary>
        public double[] Rgb { get; }
        public int Count => Opacities.Length;

        /// <summary>Pose the layer; the head was posed before.</summary>
        public abstract void Apply(Pose pose);
    }

    /// <summary>Poses a splat layer as `formats.deform.deform_splats` says.</summary>
    public sealed class SplatPoser : GaussianPoser, IDisposable
    {
        private readonly SplatLayer layer;
        private readonly FacePoser? faces;
        private readonly SkinPoser? skin;
        private readonly IDeltas? dynamics;
        private readonly double[] local;
        private readonly double[] rotvecs;
        private readonly double[] sizes;
        private readonly double[] logits;

        public SplatPoser(SplatLayer layer, HeadPoser head) : base(layer.Count)
        {
            this.layer = layer;
            if (layer.Binding is FaceBinding binding) faces = new FacePoser(binding, head);
            else skin = new SkinPoser((SkinBinding)layer.Binding, head);
            if (layer.Network != null) dynamics = new NetworkPoser(layer);
            else if (layer.Dynamics != null) dynamics = new DynamicsPoser(layer.Dynamics);
            bool moves = dynamics != null;
            local = new double[3 * Count];
            rotvecs = new double[moves ? 3 * Count : 0];
            sizes = new double[moves ? 3 * Count : 0];
            logits = new double[moves ? Count : 0];
        }

        /// <summary>Coefficients of its dynamics at the last pose; none without.</summary>
        public double[] Coefficients => dynamics is DynamicsPoser linear ? linear.Coefficients : new double[0];

        /// <summary>What should be known of what moves it; empty for nothing.</summary>
        public string Warning => dynamics == null ? "" : dynamics.Warning;

        public void Dispose() => dynamics?.Dispose();

        public override void Apply(Pose pose)
        {
            for (int i = 0; i < local.Length; i++)
            {
                local[i] = layer.Means[i];
                Scales[i] = layer.Scales[i];
            }
            for (int i = 0; i < Quats.Length; i++) Quats[i] = layer.Quats[i];
            for (int i = 0; i < Count; i++)
            {
                Opacities[i] = layer.Opacities[i];
                for (int c = 0; c < 3; c++) Rgb[3 * i + c] = 0.5 + SphericalHarmonics.C0 * layer.Sh[i * layer.ShNumbers + c];
            }
            bool posed = dynamics != null && dynamics.Posed;
            if (!posed) dynamics?.Drive(pose, null);
            if (dynamics != null && !posed) Move(dynamics, local, false);
            if (faces != null) OnFaces();
            else skin!.Apply(pose, local, Means, Quats);
            if (posed) dynamics!.Drive(pose, Means);
            if (posed) Move(dynamics!, Means, true);
            if (dynamics != null) Color(dynamics);
            for (int i = 0; i < Count; i++) Rotations.Normalize(Quats.AsSpan(4 * i, 4));
        }

        private void OnFaces()
        {
            faces!.Prepare();
            Array.Copy(local, Means, local.Length);
            for (int i = 0; i < Count; i++) faces.Place(i, Means.AsSpan(3 * i, 3), Quats.AsSpan(4 * i, 4),
                Scales.AsSpan(3 * i, 3));
        }

        private void Move(IDeltas moving, double[] means, bool before)
        {
            moving.Add(Channel.Means, means);
            if (moving.Has(Channel.Rotvecs)) Turn(moving, before);
            if (!moving.Has(Channel.LogScales)) return;
            Array.Clear(sizes, 0, sizes.Length);
            moving.Add(Channel.LogScales, sizes);
            for (int i = 0; i < sizes.Length; i++) Scales[i] *= Math.Exp(sizes[i]);
        }

        private void Turn(IDeltas moving, bool before)
        {
            Array.Clear(rotvecs, 0, rotvecs.Length);
            moving.Add(Channel.Rotvecs, rotvecs);
            Span<double> turn = stackalloc double[4];
            for (int i = 0; i < Count; i++)
            {
                Rotations.AxisAngleToQuat(rotvecs[3 * i], rotvecs[3 * i + 1], rotvecs[3 * i + 2], turn);
                Span<double> q = Quats.AsSpan(4 * i, 4);
                if (before) Rotations.Multiply(turn, q, q);
                else Rotations.Multiply(q, turn, q);
            }
        }

        private void Color(IDeltas moving)
        {
            moving.Add(Channel.Rgb, Rgb);
            if (!moving.Has(Channel.OpacityLogits)) return;
            Array.Clear(logits, 0, logits.Length);
            moving.Add(Channel.OpacityLogits, logits);
            for (int i = 0; i < Count; i++)
            {
                double inside = Math.Min(Math.Max(Opacities[i], 1e-7), 1 - 1e-7);
                Opacities[i] = 1 / (1 + Math.Exp(-(Math.Log(inside / (1 - inside)) + logits[i])));
            }
        }
    }
}
