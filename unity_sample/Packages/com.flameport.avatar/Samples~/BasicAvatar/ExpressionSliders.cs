using System.Collections.Generic;
using UnityEngine;

namespace Flameport.Samples
{
    /// <summary>A time line and a slider for each of ARKit's weights, over whatever clip the avatar plays.</summary>
    [RequireComponent(typeof(AvatarPlayer))]
    public sealed class ExpressionSliders : MonoBehaviour
    {
        private readonly Dictionary<string, float> weights = new Dictionary<string, float>();
        private readonly List<string>[] parts = FaceRegions.Sorted(Arkit.Names);
        private int part = 3;
        private Vector2 place;

        private void OnGUI()
        {
            AvatarPlayer player = GetComponent<AvatarPlayer>();
            GUILayout.BeginArea(new Rect(10, 10, 280, Screen.height - 20), GUI.skin.box);

            // An avatar that cannot be shown says why in one line.
            if (player.Error.Length > 0) GUILayout.Label(player.Error);

            bool runs = GUILayout.Toggle(player.IsPlaying, $"Play  {player.Time:0.0} of {player.Duration:0.0} s");
            if (runs && !player.IsPlaying) player.Play();
            if (!runs && player.IsPlaying) player.Pause();
            float seconds = (float)player.Time, moved = GUILayout.HorizontalSlider(seconds, 0, (float)player.Duration);
            if (moved != seconds) player.Seek(moved);
            player.Idle = GUILayout.Toggle(player.Idle, "Blink and sway by itself");

            part = GUILayout.SelectionGrid(part, FaceRegions.Names, 2);
            place = GUILayout.BeginScrollView(place);
            foreach (string name in parts[part]) Slider(player, name);
            GUILayout.EndScrollView();

            if (GUILayout.Button("Put all to 0"))
            {
                weights.Clear();
                player.ClearArkit();
            }
            GUILayout.EndArea();
        }

        private void Slider(AvatarPlayer player, string name)
        {
            weights.TryGetValue(name, out float before);
            GUILayout.Label(name);
            float weight = GUILayout.HorizontalSlider(before, 0, 1);
            if (weight == before) return;
            weights[name] = weight;
            // Added to what the clip says. SetExpression would take the clip's place.
            player.SetArkit(name, weight);
        }
    }
}
