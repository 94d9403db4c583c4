using UnityEditor;
using UnityEngine;

namespace Flameport.Editing
{
    /// <summary>`GameObject > Flameport > Avatar`: an object that plays the selected avatar, or none yet.</summary>
    internal static class AvatarMenu
    {
        [MenuItem("GameObject/Flameport/Avatar", false, 10)]
        private static void Create(MenuCommand command)
        {
            AvatarAsset? asset = Selection.activeObject as AvatarAsset;
            var thing = new GameObject(asset == null ? "Avatar" : asset.Title);
            GameObjectUtility.SetParentAndAlign(thing, command.context as GameObject);
            thing.AddComponent<AvatarPlayer>().Avatar = asset;
            Undo.RegisterCreatedObjectUndo(thing, "Create avatar");
            Selection.activeObject = thing;
        }
    }
}
