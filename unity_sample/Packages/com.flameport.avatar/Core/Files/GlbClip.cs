using System;

namespace Flameport
{
    /// <summary>The clip that a GLB's animation holds (`exporter/GLB.md`, 2), as a sequence.</summary>
    internal sealed class GlbClip
    {
        private readonly Glb glb;
        private readonly GlbAccessors accessors;
        private readonly Head head;
        private readonly JsonValue spec;

        public GlbClip(Glb glb, GlbAccessors accessors, Head head, JsonValue spec)
        {
            this.glb = glb;
            this.accessors = accessors;
            this.head = head;
            this.spec = spec;
        }

        public Sequence Read(JsonValue clip)
        {
            int frames = clip["frames"].Integer("clip.frames", Sequence.MostFrames);
            var found = new Sequence(frames, clip["fps"].Number("clip.fps"), head.Expressions.Length) { Basis =
                head.Edition };
            found.ReadRanges(clip["ranges"]);
            JsonValue joints = glb.Item("skins", spec["skin"])["joints"];
            JsonValue animation = glb.Item("animations", clip["animation"]);
            JsonValue channels = animation["channels"], samplers = animation["samplers"];
            float[]? place = null, turn = null;
            for (int i = 0; i < channels.Count; i++)
            {
                JsonValue target = channels.At(i)["target"];
                double node = target["node"].Number("animation.node");
                JsonValue output = samplers.At(channels.At(i)["sampler"].Integer("animation.sampler", samplers.Count
                    - 1))["output"];
                string path = target["path"].Text("");
                if (path == "weights" && node == spec["node"].Number("head.node")) Weights(found, output);
                int joint = IndexOf(joints, node);
                if (joint < 0) continue;
                if (path == "rotation")
                {
                    float[] quats = accessors.Floats(output, 4, frames);
                    if (joint == 0) turn = quats;
                    Rotate(found, joint, quats);
                }
                else if (path == "translation" && joint == 0)
                {
                    place = accessors.Floats(output, 3, frames);
                }
            }
            if (place != null) Translate(found, place, turn);
            foreach (var entry in clip["drivers"].Members)
            {
                float[] values = accessors.Floats(entry.Value, 1);
                if (values.Length % frames != 0) throw new SequenceException($"The clip's driver '{entry.Key}' does "
                    + $"not fit its frames.");
                found.Drivers[entry.Key] = new SequenceColumn(values.Length / frames,
                    Array.ConvertAll(values, x => (double)x));
            }
            return found;
        }

        private static int IndexOf(JsonValue joints, double node)
        {
            for (int j = 0; j < joints.Count; j++)
            {
                if (joints.At(j).Number("skin.joints") == node) return j;
            }
            return -1;
        }

        private void Weights(Sequence found, JsonValue output)
        {
            int e = head.Expressions.Length, lids = head.Eyelids.Length, all = e + lids + head.Correctives.Length;
            if (all == 0) return;
            float[] values = accessors.Floats(output, 1, checked(found.Frames * all));
            for (int i = 0; i < found.Frames; i++)
            {
                for (int k = 0; k < e; k++) found.Fields[0].Values[i * e + k] = values[i * all + k];
                for (int k = 0; k < lids; k++) found.Fields[(int)PoseField.Eyelids].Values[2 * i + k] =
                    values[i * all + e + k];
            }
        }

        private void Rotate(Sequence found, int joint, float[] quats)
        {
            SequenceColumn column;
            int at = 0, role = Array.IndexOf(head.Roles, joint);
            if (role >= (int)JointRole.LeftEye)
            {
                column = found.Fields[(int)PoseField.Eyes];
                at = role == (int)JointRole.LeftEye ? 0 : 3;
            }
            else if (role >= 0)
            {
                column = found.Fields[(int)PoseField.Rotation + role];
            }
            else
            {
                column = new SequenceColumn(3, new double[3 * found.Frames]);
                found.Joints[head.JointNames[joint]] = column;
            }
            Span<double> q = stackalloc double[4];
            for (int i = 0; i < found.Frames; i++)
            {
                Wxyz(quats, i, q);
                Rotations.QuatToAxisAngle(q, column.Values.AsSpan(column.Width * i + at, 3));
            }
        }

        private static void Wxyz(float[] quats, int i, Span<double> q)
        {
            q[0] = quats[4 * i + 3];
            for (int c = 0; c < 3; c++) q[c + 1] = quats[4 * i + c];
            Rotations.Normalize(q);
        }

        /// <summary>Joint 0's node stands at x = rest + m - R m + translation, with m its motion by expression and R
        /// its rotation.</summary>
        private void Translate(Sequence found, float[] place, float[]? turn)
        {
            int e = head.Expressions.Length;
            double[] translation = found.Fields[(int)PoseField.Translation].Values;
            Span<double> moved = stackalloc double[3];
            Span<double> q = stackalloc double[4];
            Span<double> m = stackalloc double[9];
            for (int i = 0; i < found.Frames; i++)
            {
                moved.Clear();
                for (int k = 0; head.JointExpressions != null && k < e; k++)
                {
                    for (int c = 0; c < 3; c++) moved[c] += head.JointExpressions[3 * k + c]
                        * found.Fields[0].Values[i * e + k];
                }
                q.Clear();
                q[0] = 1;
                if (turn != null) Wxyz(turn, i, q);
                Rotations.QuatToMatrix(q, m);
                for (int c = 0; c < 3; c++)
                {
                    double turned = m[3 * c] * moved[0] + m[3 * c + 1] * moved[1] + m[3 * c + 2] * moved[2];
                    translation[3 * i + c] = place[3 * i + c] - head.RestJoints[c] - moved[c] + turned;
                }
            }
        }
    }
}
