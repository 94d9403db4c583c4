using System;
using System.Collections.Generic;
using UnityEditor;
using UnityEngine;

namespace Flameport.Editing
{
    /// <summary>A player's settings, its time line, and sliders for trying it out; those are not saved.</summary>
    [CustomEditor(typeof(AvatarPlayer))]
    internal sealed class AvatarPlayerEditor : Editor
    {
        private readonly Dictionary<string, float> weights = new Dictionary<string, float>();
        private readonly HashSet<string> open = new HashSet<string>();
        private double before;

        private AvatarPlayer Player => (AvatarPlayer)target;

        private void OnEnable() => EditorApplication.update += Tick;

        private void OnDisable() => EditorApplication.update -= Tick;

        /// <inheritdoc/>
        public override void OnInspectorGUI()
        {
            DrawDefaultInspector();
            Advice.Show(Player);
            Avatar? avatar = Player.Loaded;
            if (avatar == null) return;
            foreach (string notice in avatar.Meta.LicenseNotices) EditorGUILayout.HelpBox(notice, MessageType.Info);
            TimeLine();
            Group("Expressions", avatar.Head.ExpressionNames, -1, (name, value) => Player.SetExpression(name, value));
            Group("ARKit weights", Arkit.Names, 0, (name, value) => Player.SetArkit(name, value));
            foreach (PoseField field in new[] { PoseField.Rotation, PoseField.Neck, PoseField.Jaw }) Turn(field);
            if (!GUILayout.Button("Leave everything to the clip")) return;
            weights.Clear();
            Player.ClearExpressions();
            Player.ClearArkit();
            foreach (PoseField field in Enum.GetValues(typeof(PoseField))) Player.SetPose(field);
            EditorApplication.QueuePlayerLoopUpdate();
        }

        private void TimeLine()
        {
            if (Player.Duration <= 0) return;
            bool runs = GUILayout.Toggle(Player.IsPlaying, "Play");
            if (runs && !Player.IsPlaying) Player.Play();
            if (!runs && Player.IsPlaying) Player.Pause();
            float at = (float)Player.Time;
            if (Changed(() => at = EditorGUILayout.Slider("Seconds", at, 0, (float)Player.Duration))) Player.Seek(at);
        }

        private void Group(string title, string[] names, float least, Action<string, float> set)
        {
            if (!Opened(title, title)) return;
            List<string>[] regions = FaceRegions.Sorted(names);
            for (int i = 0; i < regions.Length; i++)
            {
                if (regions[i].Count == 0 || !Opened(title + i, "    " + FaceRegions.Names[i])) continue;
                foreach (string name in regions[i])
                {
                    float value = Weight(title + name);
                    if (Changed(() => value = EditorGUILayout.Slider(name, value, least, 1))) set(name,
                        weights[title + name] = value);
                }
            }
        }

        private void Turn(PoseField field)
        {
            var now = new Vector3(Weight(field + "x"), Weight(field + "y"), Weight(field + "z"));
            if (!Changed(() => now = EditorGUILayout.Vector3Field(field + " (degrees)", now))) return;
            (weights[field + "x"], weights[field + "y"], weights[field + "z"]) = (now.x, now.y, now.z);
            Vector3 turn = now * Mathf.Deg2Rad;
            Player.SetPose(field, turn.x, turn.y, turn.z);
        }

        private float Weight(string key) => weights.TryGetValue(key, out float value) ? value : 0;

        private bool Opened(string key, string label)
        {
            bool now = EditorGUILayout.Foldout(open.Contains(key), label, true);
            return now ? open.Add(key) || now : open.Remove(key) && now;
        }

        /// <summary>Draw a control, and tell whether the user moved it; the scene is drawn again then.</summary>
        private static bool Changed(Action draw)
        {
            EditorGUI.BeginChangeCheck();
            draw();
            bool changed = EditorGUI.EndChangeCheck();
            if (changed) EditorApplication.QueuePlayerLoopUpdate();
            return changed;
        }

        /// <summary>Let the clip run while the game does not.</summary>
        private void Tick()
        {
            double passed = EditorApplication.timeSinceStartup - before;
            before += passed;
            if (Application.isPlaying || Player == null || !Player.IsPlaying) return;
            Player.Seek(Player.Time + passed * Player.Speed);
            EditorApplication.QueuePlayerLoopUpdate();
            Repaint();
        }
    }
}
