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
    [ExecuteAlways, DisallowMultipleComponent, AddComponentMenu("Flameport/Avatar Player")]
    public sealed class AvatarPlayer : MonoBehaviour
    {
        [SerializeField] private AvatarAsset? avatar;
        [SerializeField] private SequenceAsset? clip;
        [SerializeField] private TextAsset? clipText;
        [SerializeField] private bool playOnAwake = true, loop = true;
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
        public string Warning => Frame?.Warning ?? "";
        /// <summary>Whether the clip runs.</summary>
        public bool IsPlaying => Ready?.IsPlaying ?? false;
        /// <summary>Seconds into the clip.</summary>
        public double Time => Ready?.Time ?? 0;
        /// <summary>Seconds of the clip; 0 without one.</summary>
        public double Duration => Ready?.Duration ?? 0;
        /// <summary>The avatar that is shown; null where there is none.</summary>
        public Avatar? Loaded => Ready == null ? null : loaded;

        /// <summary>A box around the head, in the world.</summary>
        public Bounds Bounds
        {
            get
            {
                if (Frame == null) return new Bounds(transform.position, Vector3.zero);
                (float x, float y, float z) = Frame.Middle();
                Vector3 scale = transform.lossyScale;
                float most = Mathf.Max(Mathf.Abs(scale.x), Mathf.Max(Mathf.Abs(scale.y), Mathf.Abs(scale.z)));
                return new Bounds(transform.TransformPoint(x, y, z), Vector3.one * (2 * most * (float)Frame.Sphere.Radius));
            }
        }

        /// <summary>What is on the graphics card; null where nothing is.</summary>
        internal PlayerFrame? Frame { get; private set; }

        private UnityCanvas? canvas;
        private Playback? playback;
        private Avatar? loaded;
        private Sequence? tried;
        private readonly Parsed<Sequence> text = new Parsed<Sequence>(SequenceFile.Read);
        private (AvatarAsset asset, Avatar avatar, bool shortKeys, int most) built;
        private bool starts;

        /// <summary>The clip and its settings, of the avatar that is set now; null where there is none.</summary>
        private Playback? Ready
        {
            get
            {
                Refresh();
                return playback;
            }
        }

        /// <summary>Let the clip run.</summary>
        public void Play() => Run(true);

        /// <summary>Hold it.</summary>
        public void Pause() => Run(false);

        private void Run(bool runs)
        {
            starts = runs;
            if (Ready != null) playback!.IsPlaying = runs;
        }

        /// <summary>Go to a moment of the clip, in seconds, and show it; also while the game does not run.</summary>
        public void Seek(double seconds)
        {
            Ready?.Seek(seconds);
            if (!Application.isPlaying && isActiveAndEnabled) Show();
        }

        /// <summary>Set an expression of the head in place of the clip's; false where it has none of that name.</summary>
        public bool SetExpression(string name, double value) => Ready?.SetExpression(name, value) ?? false;

        /// <summary>Leave all expressions to the clip.</summary>
        public void ClearExpressions() => Ready?.ClearExpressions();

        /// <summary>Add one of ARKit's weights, 0..1, to what the clip says; false where the head does not follow
        /// it.</summary>
        public bool SetArkit(string name, double weight) => Ready?.SetArkit(name, weight) ?? false;

        /// <summary>Put all of ARKit's weights to 0.</summary>
        public void ClearArkit() => Ready?.ClearArkit();

        /// <summary>Set a field of the pose in place of the clip's: radians (axis-angle, the avatar's right-handed axes),
        /// metres, weights; no numbers leave it to the clip.</summary>
        public void SetPose(PoseField field, params double[] values) => Ready?.SetOrClearField(field, values);

        private void Awake() => starts = playOnAwake && Application.isPlaying;

        private void OnEnable() => CameraHooks.Add(this);

        /// <summary>Also when scripts are compiled again and when the object is destroyed.</summary>
        private void OnDisable()
        {
            CameraHooks.Remove(this);
            Drop();
        }

        private void LateUpdate()
        {
            Ready?.Advance(Application.isPlaying ? UnityEngine.Time.deltaTime : 0);
            Show();
        }

        /// <summary>Bring the clip up to what is set.</summary>
        private void Refresh()
        {
            try
            {
                Avatar? wanted = avatar != null ? avatar.Load() : null;
                if (wanted != loaded)
                {
                    (loaded, tried, Error) = (wanted, null, "");
                    playback = wanted == null ? null : new Playback(wanted.Head) { IsPlaying = starts };
                }
                if (wanted == null) return;
                playback!.Adjust(speed, loop, idle ? idleSeed : (int?)null);
                Sequence? next = clip != null ? clip.Load() : clipText != null ? text.Of(clipText, it => it.bytes) : wanted.Clip;
                if (next == tried) return;
                (tried, playback.Clip, Error, built) = (next, null, "", default);
                playback.Clip = next;
            }
            catch (AvatarException error)
            {
                Fail(error.Message);
            }
        }

        /// <summary>Bring what is on the graphics card up to the pose.</summary>
        private void Show()
        {
            if (loaded == null) Drop();
            if (loaded == null || avatar == null) return;
            try
            {
                bool fresh = Build(avatar, loaded);
                if (Frame == null) return;
                Frame.Exact = quality == AvatarQuality.Exact
                    && SystemInfo.SupportsRenderTextureFormat(RenderTextureFormat.ARGBHalf);
                Frame.ShowHead = showHead;
                if (!playback!.TakeChange() && !fresh && Posing == null) return;
                Pose pose = playback.Sample();
                Posing?.Invoke(pose, playback.Time);
                canvas!.Pose(Frame, pose);
            }
            catch (AvatarException error)
            {
                // Not tried again before something else is set.
                (AvatarAsset, Avatar, bool, int) with = built;
                Drop();
                built = with;
                Fail(error.Message);
            }
        }

        /// <summary>Make the frame where there is none for these settings yet; true where it was made.</summary>
        private bool Build(AvatarAsset asset, Avatar now)
        {
            var wanted = (asset, now, shortKeys, mostOnProcessor);
            if (built.Equals(wanted) && (Frame == null || Frame.IsAlive)) return false;
            Drop();
            built = wanted;
            canvas = new UnityCanvas(asset);
            Frame = PlayerFrame.Of(now, canvas, UnityCanvas.HasKernels, shortKeys, mostOnProcessor);
            if (Warning.Length > 0) Debug.LogWarning($"{name}: {Warning}", this);
            return true;
        }

        private void Drop()
        {
            Frame?.Dispose();
            canvas?.Dispose();
            (Frame, canvas, built) = (null, null, default);
        }

        private void Fail(string message)
        {
            if (message == Error) return;
            Error = message;
            Debug.LogError($"{name}: {message}", this);
            Failed?.Invoke(message);
        }
    }
}
