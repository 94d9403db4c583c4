using System;
using System.Collections.Generic;
using UnityEditor;
using UnityEngine;
using UnityEngine.Rendering;

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
            RenderPipelineAsset pipeline = GraphicsSettings.currentRenderPipeline;
            if (Player.Error.Length > 0) EditorGUILayout.HelpBox(Player.Error, MessageType.Error);
            if (Player.Warning.Length > 0) EditorGUILayout.HelpBox(Player.Warning, MessageType.Warning);
            foreach (string line in Advice.On(SystemInfo.supportsComputeShaders,
                QualitySettings.activeColorSpace == ColorSpace.Linear, Player.Quality == AvatarQuality.Direct,
                pipeline == null ? "" : pipeline.GetType().Name)) EditorGUILayout.HelpBox(line, MessageType.Warning);
            Avatar? avatar = Player.Loaded;
            if (avatar == null) return;
            foreach (string notice in avatar.Meta.LicenseNotices) EditorGUILayout.HelpBox(notice, MessageType.Info);
            TimeLine();
            Group("Expressions", avatar.Head.ExpressionNames, -1, (name, value) => Player.SetExpression(name, value));
            Group("ARKit weights", Arkit.Names, 0, (name, value) => Player.SetArkit(name, value));
            if (!GUILayout.Button("Leave everything to the clip")) return;
            weights.Clear();
            Player.ClearExpressions();
            Player.ClearArkit();
            EditorApplication.QueuePlayerLoopUpdate();
        }

        private void TimeLine()
        {
            if (Player.Duration <= 0) return;
            bool runs = GUILayout.Toggle(Player.IsPlaying, "Play");
            if (runs && !Player.IsPlaying) Player.Play();
            if (!runs && Player.IsPlaying) Player.Pause();
            float at = (float)Player.Time, end = (float)Player.Duration;
            if (Changed(ref at, value => EditorGUILayout.Slider("Seconds", value, 0, end))) Player.Seek(at);
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
                    weights.TryGetValue(title + name, out float now);
                    bool moved = Changed(ref now, value => EditorGUILayout.Slider(name, value, least, 1));
                    if (moved) set(name, weights[title + name] = now);
                }
            }
        }

        private bool Opened(string key, string label)
        {
            bool now = EditorGUILayout.Foldout(open.Contains(key), label, true);
            return now ? open.Add(key) || now : open.Remove(key) && now;
        }

        /// <summary>Draw a control, and tell whether the user moved it; the scene is drawn again then.</summary>
        private static bool Changed(ref float value, Func<float, float> drawn)
        {
            float before = value;
            value = drawn(before);
            if (value != before) EditorApplication.QueuePlayerLoopUpdate();
            return value != before;
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
