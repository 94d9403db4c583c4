using UnityEditor;
using UnityEngine;
using UnityEngine.Rendering;

namespace Flameport.Editing
{
    /// <summary>What of a project keeps avatars from looking as they should.</summary>
    internal static class Advice
    {
        /// <summary>Show it for a player, with what to do.</summary>
        public static void Show(AvatarPlayer player)
        {
            Say(player.Error, MessageType.Error);
            Say(player.Warning, MessageType.Warning);
            if (!SystemInfo.supportsComputeShaders) Say("This graphics API has no compute shaders: the avatar is posed on the "
                + "processor. Project Settings > Player > Graphics APIs has others.", MessageType.Warning);
            if (player.Quality == AvatarQuality.Direct && QualitySettings.activeColorSpace == ColorSpace.Linear) Say(
                "Direct drawing in linear colours: soft edges look otherwise than trained. Exact does not.", MessageType.Info);
            RenderPipelineAsset? pipeline = GraphicsSettings.currentRenderPipeline;
            if (pipeline != null && pipeline.GetType().Name.StartsWith("HD")) Say("HDRP is experimental, "
                + "and needs a Custom Pass Volume at After Post Process with an Avatar Custom Pass.", MessageType.Info);
        }

        private static void Say(string text, MessageType kind)
        {
            if (text.Length > 0) EditorGUILayout.HelpBox(text, kind);
        }
    }
}
