#nullable disable
using System;
using System.Collections;
using System.Collections.Generic;
using System.Reflection;
using UnityEngine;
using Object = UnityEngine.Object;

namespace Flameport.Headless
{
    /// <summary>Something that Unity would refuse, warn about, or do nothing about: a mistake of the caller.</summary>
    public sealed class EngineException : Exception
    {
        public EngineException(string message) : base(message) { }
    }

    /// <summary>The objects of a headless engine, their lives and messages. Not Unity's: a recorder with its rules.</summary>
    public static class Engine
    {
        private static readonly List<Object> objects = new List<Object>();
        private static readonly List<Object> doomed = new List<Object>();
        private static readonly Dictionary<Behaviour, Messages> messages = new Dictionary<Behaviour, Messages>();
        private static readonly List<Behaviour> running = new List<Behaviour>();
        private static readonly List<(Object owner, IEnumerator routine)> routines = new List<(Object, IEnumerator)>();
        private static int identities;

        /// <summary>What the machine and the project are.</summary>
        public static bool Playing = true, Compute = true, ReversedZ = true, UvStartsAtTop = true, Linear, Hdr;
        public static int ScreenWidth = 256, ScreenHeight = 256;
        /// <summary>Called for each line that goes to the console.</summary>
        public static readonly List<string> Console = new List<string>();

        private sealed class Messages
        {
            public Action Start, Update, LateUpdate;
        }

        internal static int NextIdentity() => ++identities;

        internal static void Register(Object made) => objects.Add(made);

        internal static T[] Find<T>() where T : Object
        {
            var found = new List<T>();
            foreach (Object one in objects)
            {
                if (one is T own && !one.Destroyed && !(one is Component part
                    && !part.gameObject.activeInHierarchy)) found.Add(own);
            }
            return found.ToArray();
        }

        /// <summary>Return what is alive of a type, whatever its state.</summary>
        public static List<T> Alive<T>() where T : class
        {
            var found = new List<T>();
            foreach (Object one in objects) if (one is T own && !one.Destroyed) found.Add(own);
            return found;
        }

        internal static MethodInfo Method(Type type, string name)
        {
            const BindingFlags all =
                BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
            for (Type at = type; at != null && at != typeof(Object); at = at.BaseType)
            {
                MethodInfo found = at.GetMethod(name, all, null, Type.EmptyTypes, null);
                if (found != null) return found;
            }
            return null;
        }

        internal static Action Bound(Object target, string name)
        {
            MethodInfo found = Method(target.GetType(), name);
            if (found == null) return null;
            if (found.ReturnType != typeof(void))
            {
                throw new EngineException($"{target.GetType().Name}.{name}: messages return nothing");
            }
            return (Action)found.CreateDelegate(typeof(Action), target);
        }

        internal static void Send(Object target, string name) => Bound(target, name)?.Invoke();

        /// <summary>Does a behaviour get messages: always in play mode, else only where it says so.</summary>
        private static bool Listens(Behaviour part) =>
            part is MonoBehaviour && (Playing || part.GetType().IsDefined(typeof(ExecuteAlways), true));

        /// <summary>Awake, OnEnable or OnDisable, whichever its state asks for.</summary>
        internal static void Settle(Behaviour part)
        {
            bool wanted = part.enabled && part.gameObject.activeInHierarchy && !part.Destroyed;
            if (!part.Destroyed && part.gameObject.activeInHierarchy && !part.Awoken)
            {
                part.Awoken = true;
                if (Listens(part))
                {
                    messages[part] = new Messages
                    {
                        Start = Bound(part, "Start"), Update = Bound(part, "Update"), LateUpdate = Bound(part, "LateUpdate"),
                    };
                    Send(part, "Awake");
                }
            }
            if (wanted == part.Running) return;
            part.Running = wanted;
            if (wanted) running.Add(part);
            else running.Remove(part);
            if (Listens(part)) Send(part, wanted ? "OnEnable" : "OnDisable");
        }

        internal static void DestroyLater(Object one)
        {
            if (one) doomed.Add(one);
        }

        private static void SwitchOff(Behaviour one)
        {
            if (!one.Running) return;
            one.Running = false;
            running.Remove(one);
            if (Listens(one)) Send(one, "OnDisable");
        }

        internal static void Destroy(Object one)
        {
            if (!one) return;
            if (one is Transform) throw new EngineException("A Transform goes with its GameObject");
            if (one is GameObject thing)
            {
                while (thing.transform.childCount > 0) Destroy(thing.transform.GetChild(0).gameObject);
                // First all of them are switched off, while each still finds the others.
                foreach (Component part in thing.Parts.ToArray()) if (part is Behaviour each) SwitchOff(each);
                foreach (Component part in thing.Parts.ToArray()) if (!(part is Transform)) Destroy(part);
                thing.transform.SetParent(null, false);
                thing.transform.Destroyed = true;
            }
            if (one is Behaviour own) SwitchOff(own);
            if (one is ScriptableObject) Send(one, "OnDisable");
            if ((one is Behaviour known && known.Awoken && Listens(known)) || one is ScriptableObject) Send(one, "OnDestroy");
            if (one is Component last) last.Owner.Parts.Remove(last);
            if (one is Texture texture) texture.Free();
            one.Destroyed = true;
            objects.Remove(one);
        }

        /// <summary>Take an object out of the scene and keep what it is: a prefab.</summary>
        internal static void LeaveScene(GameObject thing)
        {
            foreach (Component part in thing.Parts.ToArray())
            {
                if (part is Behaviour own) SwitchOff(own);
                objects.Remove(part);
            }
            objects.Remove(thing);
            for (int i = 0; i < thing.transform.childCount; i++) LeaveScene(thing.transform.GetChild(i).gameObject);
        }

        /// <summary>A copy with its serialised fields: what prefabs and Instantiate need.</summary>
        internal static T Copy<T>(T original) where T : Object
        {
            if (original is GameObject thing) return (T)(Object)CopyThing(thing);
            if (original is Component part)
            {
                GameObject copy = CopyThing(part.gameObject);
                return (T)(Object)copy.GetComponent(part.GetType());
            }
            if (original is Material material) return (T)(Object)new Material(material);
            if (original is ScriptableObject asset)
            {
                ScriptableObject made = ScriptableObject.CreateInstance(asset.GetType());
                CopyFields(asset, made);
                return (T)(Object)made;
            }
            throw new EngineException($"the stand-in does not copy a {original.GetType().Name}");
        }

        private static GameObject CopyThing(GameObject thing)
        {
            var copy = new GameObject(thing.name + "(Clone)");
            copy.SetActive(false);
            foreach (Component part in thing.Parts.ToArray())
            {
                if (part is Transform from)
                {
                    copy.transform.localPosition = from.localPosition;
                    copy.transform.localRotation = from.localRotation;
                    copy.transform.localScale = from.localScale;
                    continue;
                }
                Component made = copy.GetComponent(part.GetType()) ?? copy.AddComponent(part.GetType());
                CopyFields(part, made);
                if (part is Behaviour own) ((Behaviour)made).enabled = own.enabled;
            }
            for (int i = 0; i < thing.transform.childCount; i++)
            {
                CopyThing(thing.transform.GetChild(i).gameObject).transform.SetParent(copy.transform, false);
            }
            copy.SetActive(thing.activeSelf);
            return copy;
        }

        internal static bool IsSerialised(FieldInfo field) => !field.IsInitOnly && !field.IsStatic
            && !field.IsDefined(typeof(NonSerializedAttribute), false)
            && (field.IsPublic || field.IsDefined(typeof(SerializeField), false)
                || field.IsDefined(typeof(SerializeReference), false));

        /// <summary>Return the fields that Unity would keep in a file.</summary>
        public static List<FieldInfo> SerialisedFields(Type type)
        {
            var found = new List<FieldInfo>();
            const BindingFlags all =
                BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
            for (Type at = type; at != null && at != typeof(MonoBehaviour) && at != typeof(ScriptableObject); at = at.BaseType)
            {
                foreach (FieldInfo field in at.GetFields(all)) if (IsSerialised(field)) found.Add(field);
            }
            return found;
        }

        private static void CopyFields(Object from, Object to)
        {
            foreach (FieldInfo field in SerialisedFields(from.GetType())) field.SetValue(to, field.GetValue(from));
        }

        internal static Coroutine Start(MonoBehaviour owner, IEnumerator routine)
        {
            if (routine.MoveNext()) routines.Add((owner, routine));
            return new Coroutine();
        }

        internal static void StopRoutines(MonoBehaviour owner) => routines.RemoveAll(one => ReferenceEquals(one.owner, owner));

        /// <summary>One turn of the player loop without drawing: starts, updates, late updates, destructions.</summary>
        public static void Frame(float seconds)
        {
            Time.Advance(seconds);
            for (int i = 0; i < running.Count; i++)
            {
                Behaviour one = running[i];
                if (one.Started || !messages.TryGetValue(one, out Messages own)) continue;
                one.Started = true;
                own.Start?.Invoke();
            }
            for (int i = 0; i < running.Count; i++) if (messages.TryGetValue(running[i], out Messages own)) own.Update?.Invoke();
            for (int i = routines.Count - 1; i >= 0; i--) if (!routines[i].routine.MoveNext()) routines.RemoveAt(i);
            for (int i = 0; i < running.Count; i++) if (messages.TryGetValue(running[i],
                out Messages own)) own.LateUpdate?.Invoke();
            AsyncWork.Finish();
            foreach (Object one in doomed) Destroy(one);
            doomed.Clear();
        }

        /// <summary>Run what an assembly wants to run before a game's first scene.</summary>
        public static void Begin(Assembly assembly)
        {
            foreach (Type type in assembly.GetTypes())
            {
                const BindingFlags all =
                    BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
                foreach (MethodInfo method in type.GetMethods(all))
                {
                    if (method.IsDefined(typeof(RuntimeInitializeOnLoadMethodAttribute), false)) method.Invoke(null, null);
                }
            }
        }

        /// <summary>Let everything that runs draw its controls, twice as the engine does: to lay out, and to paint.</summary>
        public static void Gui()
        {
            foreach (EventType type in new[] { EventType.Layout, EventType.Repaint })
            {
                Event.current.type = type;
                foreach (Behaviour one in running.ToArray()) if (Listens(one)) Send(one, "OnGUI");
            }
        }

        /// <summary>Take every buffer and picture away under their owners, as a lost device does.</summary>
        public static void LoseBuffers() => GpuMemory.LoseBuffers();

        /// <summary>Destroy every game object: what the end of a scene does.</summary>
        public static void CloseScene()
        {
            foreach (GameObject one in Alive<GameObject>()) Destroy(one);
        }

        /// <summary>Fail with the names of card memory that nobody freed.</summary>
        public static void CheckLeaks()
        {
            List<string> left = GpuMemory.Alive();
            if (left.Count > 0) throw new EngineException($"{left.Count} left on the card: {string.Join("; ", left)}");
        }
    }
}
