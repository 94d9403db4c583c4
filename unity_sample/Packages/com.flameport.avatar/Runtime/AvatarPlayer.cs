using System;
using UnityEngine;

namespace Flameport
{
    /// <summary>How an avatar gets onto the camera's picture (`Shaders/README.md`, "Two ways to draw").</summary>
    public enum AvatarQuality
    {
        /// <summary>Blended as it was trained, then put onto the picture.</summary>
        Exact,
        /// <summary>Straight onto the picture; in projects with linear colours, soft edges look otherwise.</summary>
        Direct,
    }

    /// <summary>Plays an avatar in a scene.</summary>
    [ExecuteAlways]
    [DisallowMultipleComponent]
    [AddComponentMenu("Flameport/Avatar Player")]
    public sealed class AvatarPlayer : MonoBehaviour
    {
        [SerializeField] private AvatarAsset? avatar;
        [SerializeField] private SequenceAsset? clip;
        [SerializeField] private TextAsset? clipText;
        [SerializeField] private bool playOnAwake = true;
        [SerializeField] private bool loop = true;
        [SerializeField] private float speed = 1;
        [SerializeField] private bool idle;
        [SerializeField] private int idleSeed = 1;
        [SerializeField] private AvatarQuality quality = AvatarQuality.Exact;
        [SerializeField, Tooltip("Order by 16 bits of depth: faster, and further from the definition.")] private bool shortKeys;
        [SerializeField, Tooltip("Draw the textured head too, where the file has one.")] private bool showHead;
        [SerializeField, Tooltip("Gaussians at most where there are no compute shaders.")] private int mostOnProcessor = 20000;

        /// <summary>What is played.</summary>
        public AvatarAsset? Avatar { get => avatar; set => avatar = value; }
        /// <summary>The clip; null: <see cref="ClipText"/>, or else the avatar's own.</summary>
        public SequenceAsset? Clip { get => clip; set => clip = value; }
        /// <summary>A clip that is a JSON file as Unity imports it by itself.</summary>
        public TextAsset? ClipText { get => clipText; set => clipText = value; }
        /// <summary>Start by itself when the game starts.</summary>
        public bool PlayOnAwake { get => playOnAwake; set => playOnAwake = value; }
        /// <summary>Begin again at the end.</summary>
        public bool Loop { get => loop; set => loop = value; }
        /// <summary>Seconds of the clip in a second; backwards when negative.</summary>
        public float Speed { get => speed; set => speed = value; }
        /// <summary>Blink, sway and look around, over whatever else it does.</summary>
        public bool Idle { get => idle; set => idle = value; }
        /// <summary>Avatars with other seeds blink at other times.</summary>
        public int IdleSeed { get => idleSeed; set => idleSeed = value; }
        /// <summary>How it gets onto the picture.</summary>
        public AvatarQuality Quality { get => quality; set => quality = value; }
        /// <summary>Order by 16 bits of depth in two passes instead of 32 in four.</summary>
        public bool ShortKeys { get => shortKeys; set => shortKeys = value; }
        /// <summary>Draw the textured head, under the Gaussians.</summary>
        public bool ShowHead { get => showHead; set => showHead = value; }
        /// <summary>Gaussians at most where there are no compute shaders.</summary>
        public int MostOnProcessor { get => mostOnProcessor; set => mostOnProcessor = value; }

        /// <summary>Called with each pose before it is shown, and the seconds of the clip; what it changes is
        /// shown.</summary>
        public event Action<Pose, double>? Posing;
        /// <summary>Called with a line that says what went wrong and what to do.</summary>
        public event Action<string>? Failed;

        /// <summary>Why nothing is shown; empty when all is well.</summary>
        public string Error { get; private set; } = "";
        /// <summary>What else should be known, such as how many Gaussians were left out; empty for nothing.</summary>
        public string Warning { get; private set; } = "";
        /// <summary>Whether the clip runs.</summary>
        public bool IsPlaying => throw new NotImplementedException();
        /// <summary>Seconds into the clip.</summary>
        public double Time => throw new NotImplementedException();
        /// <summary>Seconds of the clip; 0 without one.</summary>
        public double Duration => throw new NotImplementedException();
        /// <summary>A box around the head, in the world.</summary>
        public Bounds Bounds => throw new NotImplementedException();
        /// <summary>The avatar that is shown; null where there is none.</summary>
        public Avatar? Loaded => throw new NotImplementedException();

        /// <summary>Let the clip run.</summary>
        public void Play() => throw new NotImplementedException();
        /// <summary>Hold it.</summary>
        public void Pause() => throw new NotImplementedException();
        /// <summary>Go to a moment of the clip, in seconds, and show it; also while the game does not run.</summary>
        public void Seek(double seconds) => throw new NotImplementedException();
        /// <summary>Set an expression of the head in place of the clip's; false where it has none of that name.</summary>
        public bool SetExpression(string name, double value) => throw new NotImplementedException();
        /// <summary>Leave all expressions to the clip.</summary>
        public void ClearExpressions() => throw new NotImplementedException();
        /// <summary>Add one of ARKit's weights, 0..1, to what the clip says; false where the head does not follow
        /// it.</summary>
        public bool SetArkit(string name, double weight) => throw new NotImplementedException();
        /// <summary>Put all of ARKit's weights to 0.</summary>
        public void ClearArkit() => throw new NotImplementedException();
        /// <summary>Set a field of the pose in place of the clip's: radians (axis-angle, the avatar's right-handed axes),
        /// metres, weights; no numbers leave it to the clip.</summary>
        public void SetPose(PoseField field, params double[] values) => throw new NotImplementedException();
    }
}
