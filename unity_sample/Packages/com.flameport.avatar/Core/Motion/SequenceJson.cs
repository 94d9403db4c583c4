using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>Clips in JSON: ours, frame by frame, and ARKit tracks of names and weights.</summary>
    internal static class SequenceJson
    {
        internal static void CheckFormat(JsonValue json)
        {
            string format = json["format"].Text("");
            if (!format.StartsWith("flameport.sequence/",
                StringComparison.Ordinal)) throw new SequenceException("This is no flameport.sequence/1 clip.");
            if (format.Substring(19).Split('.')[0] != "1") throw new SequenceException($"The clip is '{format}'; "
                + $"this package reads flameport.sequence/1.");
        }

        /// <summary>Return a clip of zeros with what a header says.</summary>
        internal static Sequence Begin(JsonValue header, int frames, int expressions)
        {
            var clip = new Sequence(frames, header["fps"].Number("fps"), expressions)
            {
                Basis = header["basis"].Text(""),
                Edition = header["edition"].Text(""),
                ExpressionNames = header["expr_names"].Texts("expr_names"),
            };
            foreach (string name in header["joints"].Texts("joints")) clip.Joints[name] = clip.Column(3);
            foreach (KeyValuePair<string, JsonValue> driver in header["drivers"].Members)
            {
                clip.Drivers[driver.Key] = clip.Column(driver.Value.Integer("drivers", 1 << 20));
            }
            clip.ReadRanges(header["ranges"]);
            return clip;
        }

        internal static Sequence Read(JsonValue json)
        {
            CheckFormat(json);
            JsonValue frames = json["frames"].List("frames");
            if (frames.Count == 0) throw new SequenceException("The clip has no frames.");
            if (json["frame_count"].Exists && json["frame_count"].Integer("frame_count") != frames.Count)
            {
                throw new SequenceException($"The clip says it has {json["frame_count"].Integer("frame_count")} "
                    + $"frames, and holds {frames.Count}. Was it cut off?");
            }
            int names = json["expr_names"].Count, longest = 0;
            for (int i = 0; i < frames.Count; i++) longest = Math.Max(longest, frames.At(i)["expr"].Count);
            int width = json["expr_count"].Exists ? json["expr_count"].Integer("expr_count", 1 << 20) : names > 0
                ? names : longest;
            Sequence clip = Begin(json, frames.Count, width);
            for (int i = 0; i < frames.Count; i++) Frame(clip, frames.At(i), i);
            return clip;
        }

        private static void Frame(Sequence clip, JsonValue frame, int i)
        {
            if (frame.Kind != JsonKind.Object) throw new SequenceException($"frame {i}: expected an object.");
            for (int f = 0; f < Pose.FieldNames.Length; f++)
            {
                JsonValue values = frame[Pose.FieldNames[f]];
                if (values.Exists) Put(clip.Fields[f], values, i, Pose.FieldNames[f]);
            }
            foreach (KeyValuePair<string, JsonValue> joint in frame["joints"].Members) Put(Named(clip, clip.Joints,
                joint.Key, 3), joint.Value, i, joint.Key);
            foreach (KeyValuePair<string, JsonValue> driver in frame["drivers"].Members)
            {
                Put(Named(clip, clip.Drivers, driver.Key, driver.Value.Count), driver.Value, i, driver.Key);
            }
        }

        private static SequenceColumn Named(Sequence clip, Dictionary<string, SequenceColumn> group, string name, int width)
        {
            if (!group.TryGetValue(name, out SequenceColumn column)) group[name] = column = clip.Column(width);
            return column;
        }

        private static void Put(SequenceColumn column, JsonValue values, int i, string name) =>
            values.Numbers($"frame {i}, {name}", column.Width).CopyTo(column.Values, i * column.Width);

        /// <summary>Return an ARKit track as a clip of weights, basis `arkit`.</summary>
        internal static Sequence ReadArkit(JsonValue json)
        {
            JsonValue frames = json["frames"];
            string[] names = json["names"].Texts("names");
            if (names.Length == 0 || frames.Count == 0)
            {
                throw new SequenceException("This JSON is neither a flameport.sequence/1 clip nor an ARKit track "
                    + "(names, frames of weights).");
            }
            JsonValue fps = json["fps"].Exists ? json["fps"] : json["metadata"]["fps"];
            var clip = new Sequence(frames.Count, fps.Exists ? fps.Number("fps") : 30, names.Length) { Basis = "arkit",
                ExpressionNames = names };
            for (int i = 0; i < frames.Count; i++)
            {
                JsonValue frame = frames.At(i);
                Put(clip.Fields[0], frame["weights"].Exists ? frame["weights"] : frame, i, "weights");
            }
            return clip;
        }
    }
}
