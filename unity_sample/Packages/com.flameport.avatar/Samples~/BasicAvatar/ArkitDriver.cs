using UnityEngine;

namespace Flameport.Samples
{
    /// <summary>
    /// Drives a face from code, as a phone's face tracking would: a few of ARKit's weights each frame. Put your own source
    /// in the place of the waves.
    /// </summary>
    [RequireComponent(typeof(AvatarPlayer))]
    public sealed class ArkitDriver : MonoBehaviour
    {
        [Range(0, 2)] public float amount = 1;

        private void OnEnable() => GetComponent<AvatarPlayer>().Posing += Nod;

        private void OnDisable() => GetComponent<AvatarPlayer>().Posing -= Nod;

        private void Update()
        {
            AvatarPlayer player = GetComponent<AvatarPlayer>();
            float smile = amount * Wave(0.23f), open = amount * 0.5f * Wave(0.9f) * Wave(0.31f);
            player.SetArkit("mouthSmileLeft", smile);
            player.SetArkit("mouthSmileRight", smile);
            player.SetArkit("jawOpen", open);
            player.SetArkit("browInnerUp", amount * Wave(0.17f));
        }

        /// <summary>Called with each pose before it is shown: the place for what weights cannot say.</summary>
        private void Nod(Pose pose, double seconds)
        {
            // Radians about the avatar's own axes: x nods, y turns, z tilts.
            pose.Neck[0] += 0.06 * amount * Mathf.Sin(1.3f * Time.time);
        }

        private static float Wave(float hertz) => Mathf.Max(0, Mathf.Sin(2 * Mathf.PI * hertz * Time.time));
    }
}
