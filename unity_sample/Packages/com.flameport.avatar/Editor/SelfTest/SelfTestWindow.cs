using System.IO;
using UnityEditor;
using UnityEngine;

namespace Flameport.Editing
{
    /// <summary>`Window > Flameport > Self-test`.</summary>
    internal sealed class SelfTestWindow : EditorWindow
    {
        private SelfTestReport? report;
        private Vector2 place;

        [MenuItem("Window/Flameport/Self-test")]
        private static void Open() => GetWindow<SelfTestWindow>("Flameport self-test");

        private void OnGUI()
        {
            if (GUILayout.Button("Run every kernel and a player on this machine")) report = SelfTest.Run();
            if (report == null) return;
            EditorGUILayout.HelpBox(report.Summary(), report.Passed ? MessageType.Info : MessageType.Error);
            if (GUILayout.Button("Save report..."))
            {
                string path = EditorUtility.SaveFilePanel("Save report", "", "flameport-self-test", "json");
                if (path.Length > 0) File.WriteAllText(path, report.ToJson());
            }
            place = EditorGUILayout.BeginScrollView(place);
            EditorGUILayout.TextArea(report.ToJson());
            EditorGUILayout.EndScrollView();
        }
    }
}
