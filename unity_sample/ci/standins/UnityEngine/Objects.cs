#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;

namespace UnityEngine
{
    [Flags]
    public enum HideFlags
    {
        None = 0, HideInHierarchy = 1, HideInInspector = 2, DontSaveInEditor = 4, NotEditable = 8, DontSaveInBuild = 16,
        DontUnloadUnusedAsset = 32, DontSave = 52, HideAndDontSave = 61,
    }

    // ScriptReference/UnityException
    public class UnityException : Exception { public UnityException(string message) : base(message) { } }

    public enum FindObjectsSortMode { None, InstanceID }
    public enum FindObjectsInactive { Exclude, Include }

    // ScriptReference/Object
    public class Object
    {
        internal readonly int Identity = Engine.NextIdentity();
        internal bool Destroyed;
        private string text = "";

        /// <summary>Makes a new text each time, as the engine does.</summary>
        public string name { get => new string(text.AsSpan()); set => text = value ?? ""; }
        internal string Text => text;
        public HideFlags hideFlags { get; set; }
        public int GetInstanceID() => Identity;
        public override int GetHashCode() => Identity;
        public override bool Equals(object other) => ReferenceEquals(this, other) || (other == null && Destroyed);
        public override string ToString() => $"{text} ({GetType().Name})";
        public static implicit operator bool(Object exists) => !ReferenceEquals(exists, null) && !exists.Destroyed;
        public static bool operator ==(Object x, Object y) => Same(x, y);
        public static bool operator !=(Object x, Object y) => !Same(x, y);
        private static bool Same(Object x, Object y) => ReferenceEquals(x, y) || (!x && !y);

        public static void Destroy(Object obj) => Destroy(obj, 0);
        public static void Destroy(Object obj, float t)
        {
            if (!Application.isPlaying)
            {
                throw new EngineException("Destroy may not be called from edit mode! Use DestroyImmediate.");
            }
            Engine.DestroyLater(obj);
        }
        public static void DestroyImmediate(Object obj) => Engine.Destroy(obj);
        public static void DestroyImmediate(Object obj, bool allowDestroyingAssets) => Engine.Destroy(obj);
        public static void DontDestroyOnLoad(Object target) { }
        public static T Instantiate<T>(T original) where T : Object => Engine.Copy(original);
        public static T Instantiate<T>(T original, Transform parent) where T : Object
        {
            T copy = Engine.Copy(original);
            GameObject made = copy is GameObject own ? own : (copy as Component)?.gameObject;
            if (made) made.transform.SetParent(parent, false);
            return copy;
        }
        public static T[] FindObjectsByType<T>(FindObjectsSortMode sortMode) where T : Object => Engine.Find<T>();
        public static T[] FindObjectsByType<T>(FindObjectsInactive findObjectsInactive, FindObjectsSortMode sortMode)
            where T : Object =>
            Engine.Find<T>();
        public static T FindAnyObjectByType<T>() where T : Object => FindFirstObjectByType<T>();
        public static T FindFirstObjectByType<T>() where T : Object
        {
            T[] found = Engine.Find<T>();
            return found.Length == 0 ? null : found[0];
        }
#if UNITY_6000_0_OR_NEWER
        [Obsolete("Object.FindObjectsOfType has been deprecated. Use Object.FindObjectsByType instead.", false)]
#endif
        public static T[] FindObjectsOfType<T>() where T : Object => Engine.Find<T>();
#if UNITY_6000_0_OR_NEWER
        [Obsolete("Object.FindObjectOfType has been deprecated. Use Object.FindFirstObjectByType instead.", false)]
#endif
        public static T FindObjectOfType<T>() where T : Object => FindFirstObjectByType<T>();
    }

    // ScriptReference/ScriptableObject
    public class ScriptableObject : Object
    {
        public static T CreateInstance<T>() where T : ScriptableObject => (T)CreateInstance(typeof(T));
        public static ScriptableObject CreateInstance(Type type)
        {
            var made = (ScriptableObject)Activator.CreateInstance(type);
            Engine.Register(made);
            Engine.Send(made, "Awake");
            Engine.Send(made, "OnEnable");
            return made;
        }
    }

    // ScriptReference/Component
    public class Component : Object
    {
        internal GameObject Owner;
        public GameObject gameObject => Owner;
        public Transform transform => Owner.transform;
        public string tag { get => "Untagged"; set { } }
        public T GetComponent<T>() => Owner.GetComponent<T>();
        public bool TryGetComponent<T>(out T component) => Owner.TryGetComponent(out component);
        public T[] GetComponents<T>() => Owner.GetComponents<T>();
        public void GetComponents<T>(List<T> results) => Owner.GetComponents(results);
        public T GetComponentInParent<T>() => Owner.GetComponentInParent<T>();
        public T GetComponentInChildren<T>() => Owner.GetComponentInChildren<T>();
        public T[] GetComponentsInChildren<T>() => Owner.GetComponentsInChildren<T>();
    }

    // ScriptReference/Behaviour
    public class Behaviour : Component
    {
        private bool on = true;
        internal bool Awoken, Running, Started;
        public bool enabled
        {
            get => on;
            set
            {
                on = value;
                Engine.Settle(this);
            }
        }
        public bool isActiveAndEnabled => Running;
    }

    // ScriptReference/MonoBehaviour
    public class MonoBehaviour : Behaviour
    {
        public bool useGUILayout { get; set; } = true;
        public static void print(object message) => Debug.Log(message);
        public Coroutine StartCoroutine(System.Collections.IEnumerator routine) => Engine.Start(this, routine);
        public void StopAllCoroutines() => Engine.StopRoutines(this);
        public void CancelInvoke() { }
    }

    public class YieldInstruction { }
    public sealed class Coroutine : YieldInstruction { }
    public sealed class WaitForEndOfFrame : YieldInstruction { }
    public sealed class WaitForSeconds : YieldInstruction { public WaitForSeconds(float seconds) { Seconds = seconds;
        } internal float Seconds; }

    // ScriptReference/Transform: position, rotation and scale of its own, and a parent.
    public class Transform : Component, System.Collections.IEnumerable
    {
        private readonly List<Transform> children = new List<Transform>();
        private Transform above;
        public Vector3 localPosition { get; set; }
        public Quaternion localRotation { get; set; } = Quaternion.identity;
        public Vector3 localScale { get; set; } = Vector3.one;
        public Transform parent { get => above; set => SetParent(value); }
        public int childCount => children.Count;
        public Transform GetChild(int index) => children[index];
        public System.Collections.IEnumerator GetEnumerator() => children.GetEnumerator();
        public void SetParent(Transform p) => SetParent(p, true);
        public void SetParent(Transform parent, bool worldPositionStays)
        {
            Vector3 place = position;
            Quaternion turn = rotation;
            if (above) above.children.Remove(this);
            above = parent;
            if (parent) parent.children.Add(this);
            if (!worldPositionStays) return;
            position = place;
            rotation = turn;
        }
        public Matrix4x4 localToWorldMatrix
        {
            get
            {
                Matrix4x4 own = Matrix4x4.TRS(localPosition, localRotation, localScale);
                return above ? above.localToWorldMatrix * own : own;
            }
        }
        public Matrix4x4 worldToLocalMatrix => localToWorldMatrix.inverse;
        public Vector3 position
        {
            get => localToWorldMatrix.GetColumn(3);
            set => localPosition = above ? above.worldToLocalMatrix.MultiplyPoint3x4(value) : value;
        }
        public Quaternion rotation
        {
            get => above ? above.rotation * localRotation : localRotation;
            set => localRotation = above ? Quaternion.Inverse(above.rotation) * value : value;
        }
        public Vector3 eulerAngles { set => rotation = Quaternion.Euler(value); }
        public Vector3 localEulerAngles { set => localRotation = Quaternion.Euler(value); }
        public Vector3 lossyScale => above ? Vector3.Scale(above.lossyScale, localScale) : localScale;
        public Vector3 forward => rotation * Vector3.forward;
        public Vector3 up => rotation * Vector3.up;
        public Vector3 right => rotation * Vector3.right;
        public Vector3 TransformPoint(Vector3 position) => localToWorldMatrix.MultiplyPoint3x4(position);
        public Vector3 TransformPoint(float x, float y, float z) => TransformPoint(new Vector3(x, y, z));
        public Vector3 InverseTransformPoint(Vector3 position) => worldToLocalMatrix.MultiplyPoint3x4(position);
        public Vector3 TransformDirection(Vector3 direction) => rotation * direction;
        public Vector3 TransformVector(Vector3 vector) => localToWorldMatrix.MultiplyVector(vector);
        public void SetPositionAndRotation(Vector3 position, Quaternion rotation)
        {
            this.position = position;
            this.rotation = rotation;
        }
        public void SetLocalPositionAndRotation(Vector3 localPosition, Quaternion localRotation)
        {
            this.localPosition = localPosition;
            this.localRotation = localRotation;
        }
        public void LookAt(Transform target) => LookAt(target.position);
        public void LookAt(Vector3 worldPosition) => LookAt(worldPosition, Vector3.up);
        public void LookAt(Vector3 worldPosition, Vector3 worldUp) =>
            rotation = Quaternion.LookRotation(worldPosition - position, worldUp);
        public void Translate(Vector3 translation) => position += rotation * translation;
        public void RotateAround(Vector3 point, Vector3 axis, float angle)
        {
            Quaternion turn = Quaternion.AngleAxis(angle, axis);
            position = point + turn * (position - point);
            rotation = turn * rotation;
        }
        public bool hasChanged { get; set; }
    }

    // ScriptReference/GameObject
    public sealed class GameObject : Object
    {
        internal readonly List<Component> Parts = new List<Component>();
        private bool active = true;
        public GameObject() : this("New Game Object") { }
        public GameObject(string name)
        {
            this.name = name;
            transform = new Transform { Owner = this };
            Parts.Add(transform);
            Engine.Register(this);
        }
        public GameObject(string name, params Type[] components) : this(name)
        {
            foreach (Type type in components) AddComponent(type);
        }
        public Transform transform { get; }
        public GameObject gameObject => this;
        public int layer { get; set; }
        public string tag { get => "Untagged"; set { } }
        public bool activeSelf => active;
        public bool activeInHierarchy => active && (!transform.parent || transform.parent.gameObject.activeInHierarchy);
        public SceneManagement.Scene scene => default;
        public void SetActive(bool value)
        {
            active = value;
            Settle();
        }
        internal void Settle()
        {
            foreach (Component part in Parts.ToArray()) if (part is Behaviour own) Engine.Settle(own);
            for (int i = 0; i < transform.childCount; i++) transform.GetChild(i).gameObject.Settle();
        }
        public T AddComponent<T>() where T : Component => (T)AddComponent(typeof(T));
        public Component AddComponent(Type componentType)
        {
            foreach (RequireComponent needed in componentType.GetCustomAttributes(typeof(RequireComponent), true))
            {
                if (Part(needed.m_Type0) == null) AddComponent(needed.m_Type0);
            }
            if (componentType.IsDefined(typeof(DisallowMultipleComponent), true) && Part(componentType) != null)
            {
                throw new EngineException($"{Text}: has a {componentType.Name} already");
            }
            var part = (Component)Activator.CreateInstance(componentType);
            part.Owner = this;
            part.name = Text;
            Parts.Add(part);
            Engine.Register(part);
            if (part is Behaviour own) Engine.Settle(own);
            return part;
        }
        private Component Part(Type type)
        {
            foreach (Component part in Parts) if (type.IsInstanceOfType(part) && !part.Destroyed) return part;
            return null;
        }
        public T GetComponent<T>() => (T)(object)Part(typeof(T));
        public Component GetComponent(Type type) => Part(type);
        public bool TryGetComponent<T>(out T component)
        {
            component = GetComponent<T>();
            return component != null;
        }
        public T[] GetComponents<T>()
        {
            var found = new List<T>();
            GetComponents(found);
            return found.ToArray();
        }
        public void GetComponents<T>(List<T> results)
        {
            results.Clear();
            foreach (Component part in Parts) if (part is T own) results.Add(own);
        }
        public T GetComponentInParent<T>()
        {
            for (Transform at = transform; at; at = at.parent)
            {
                T found = at.gameObject.GetComponent<T>();
                if (found != null) return found;
            }
            return default;
        }
        public T GetComponentInChildren<T>()
        {
            T[] found = GetComponentsInChildren<T>();
            return found.Length == 0 ? default : found[0];
        }
        public T[] GetComponentsInChildren<T>()
        {
            var found = new List<T>(GetComponents<T>());
            for (int i = 0; i < transform.childCount;
                i++) found.AddRange(transform.GetChild(i).gameObject.GetComponentsInChildren<T>());
            return found.ToArray();
        }
    }

    // ScriptReference/TextAsset
    public class TextAsset : Object
    {
        private readonly byte[] data;
        public TextAsset() : this("") { }
        public TextAsset(string text) { data = System.Text.Encoding.UTF8.GetBytes(text); }
        internal TextAsset(byte[] bytes) { data = bytes; }
        public byte[] bytes => (byte[])data.Clone();
        public string text => System.Text.Encoding.UTF8.GetString(data);
        public long dataSize => data.Length;
    }
}

namespace UnityEngine.SceneManagement
{
    public struct Scene { public bool IsValid() => true; public string name => "scene"; }
    public static class SceneManager { public static Scene GetActiveScene() => default; }
}
