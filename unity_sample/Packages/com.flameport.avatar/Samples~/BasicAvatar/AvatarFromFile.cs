using System.IO;
using UnityEngine;

namespace Flameport.Samples
{
    /// <summary>Loads an avatar while the game runs, from a path or a download, with the shaders of one that is in the
    /// project. Not used by the scene; add it beside a player to try it.</summary>
    [RequireComponent(typeof(AvatarPlayer))]
    public sealed class AvatarFromFile : MonoBehaviour
    {
        public string path = "";

        private void Start()
        {
            AvatarPlayer player = GetComponent<AvatarPlayer>();
            if (path.Length == 0 || player.Avatar == null) return;
            try
            {
                player.Avatar = player.Avatar.CreateAlike(File.ReadAllBytes(path));
                player.Play();
            }
            catch (AvatarException error)
            {
                // One line: what is wrong with the file, and what to do.
                Debug.LogError($"{path}: {error.Message}", this);
            }
        }
    }
}
