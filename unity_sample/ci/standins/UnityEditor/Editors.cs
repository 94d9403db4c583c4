#nullable disable
using System;
using System.Collections.Generic;
using System.Reflection;
using Flameport.Headless;
using UnityEngine;
using Object = UnityEngine.Object;

namespace UnityEditor
{
    // ScriptReference/Editor
    public class Editor : ScriptableObject
    {
        public Object target { get; set; }
        public Object[] targets => new[] { target };
        public SerializedObject serializedObject => new SerializedObject(target);
        public bool DrawDefaultInspector() => false;
        public virtual void OnInspectorGUI() { }
        public virtual bool HasPreviewGUI() => false;
        public virtual bool RequiresConstantRepaint() => false;
        public virtual Texture2D RenderStaticPreview(string assetPath, Object[] subAssets, int width, int height) => null;
        public void Repaint() { }
        public static Editor CreateEditor(Object targetObject)
        {
            foreach (Assembly assembly in AppDomain.CurrentDomain.GetAssemblies())
            {
                if (assembly.GetName().Name != "Flameport.Editor") continue;
                foreach (Type type in assembly.GetTypes())
                {
                    CustomEditor said = type.GetCustomAttribute<CustomEditor>();
                    if (said == null || said.Inspected != targetObject.GetType()) continue;
                    var made = (Editor)Activator.CreateInstance(type, true);
                    made.target = targetObject;
                    Engine.Register(made);
                    Engine.Send(made, "OnEnable");
                    return made;
                }
            }
            return null;
        }
    }

    // ScriptReference/EditorWindow
    public class EditorWindow : ScriptableObject
    {
        public GUIContent titleContent { get; set; }
        public Rect position { get; set; }
        public Vector2 minSize { get; set; }
        public static T GetWindow<T>() where T : EditorWindow => CreateInstance<T>();
        public static T GetWindow<T>(string title) where T : EditorWindow => CreateInstance<T>();
        public static T GetWindow<T>(bool utility, string title) where T : EditorWindow => CreateInstance<T>();
        public void Show() { }
        public void Close() { }
        public void Repaint() { }
        public void ShowNotification(GUIContent notification) { }
    }

    [AttributeUsage(AttributeTargets.Class)]
    public class CustomEditor : Attribute
    {
        internal readonly Type Inspected;
        public CustomEditor(Type inspectedType) { Inspected = inspectedType; }
        public CustomEditor(Type inspectedType, bool editorForChildClasses) { Inspected = inspectedType; }
    }
    [AttributeUsage(AttributeTargets.Class)]
    public sealed class CanEditMultipleObjects : Attribute { }
    [AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
    public sealed class MenuItem : Attribute
    {
        public MenuItem(string itemName) { }
        public MenuItem(string itemName, bool isValidateFunction) { }
        public MenuItem(string itemName, bool isValidateFunction, int priority) { }
    }
    [AttributeUsage(AttributeTargets.Class)]
    public class InitializeOnLoadAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Method)]
    public class InitializeOnLoadMethodAttribute : Attribute { }
    public sealed class MenuCommand { public Object context; public MenuCommand(Object inContext) { context = inContext; } }
    public enum MessageType { None, Info, Warning, Error }

    // ScriptReference/SerializedObject, SerializedProperty: serialised fields by name.
    public class SerializedObject : IDisposable
    {
        private readonly Object what;
        public SerializedObject(Object obj) { what = obj; }
        public Object targetObject => what;
        public SerializedProperty FindProperty(string propertyPath)
        {
            foreach (FieldInfo field in Engine.SerialisedFields(what.GetType()))
            {
                if (field.Name == propertyPath) return new SerializedProperty(what, field);
            }
            return null;
        }
        public void Update() { }
        public bool ApplyModifiedProperties() => true;
        public bool ApplyModifiedPropertiesWithoutUndo() => true;
        public void Dispose() { }
    }

    public class SerializedProperty
    {
        private readonly Object what;
        private readonly FieldInfo field;
        internal SerializedProperty(Object what, FieldInfo field) { this.what = what; this.field = field; }
        public string name => field.Name;
        public bool boolValue { get => (bool)field.GetValue(what); set => field.SetValue(what, value); }
        public int intValue { get => (int)field.GetValue(what); set => field.SetValue(what, value); }
        public float floatValue { get => (float)field.GetValue(what); set => field.SetValue(what, value); }
        public string stringValue { get => (string)field.GetValue(what); set => field.SetValue(what, value); }
        public int enumValueIndex { get => (int)field.GetValue(what); set => field.SetValue(what,
            Enum.ToObject(field.FieldType, value)); }
        public Object objectReferenceValue { get => (Object)field.GetValue(what); set => field.SetValue(what, value); }
        private System.Collections.IList List => (System.Collections.IList)field.GetValue(what);
        public int arraySize { get => List.Count; set { while (List.Count < value) List.Add(null); } }
        public SerializedProperty GetArrayElementAtIndex(int index) => this;
        public void InsertArrayElementAtIndex(int index) => List.Insert(index, null);
    }

    // ScriptReference/AssetDatabase: the package's own files.
    public class AssetDatabase
    {
        /// <summary>Assets by path; the runner fills it.</summary>
        internal static readonly Dictionary<string, Object> Known = new Dictionary<string, Object>();
        public static T LoadAssetAtPath<T>(string assetPath) where T : Object =>
            Known.TryGetValue(assetPath, out Object found) ? found as T : null;
        public static Object LoadAssetAtPath(string assetPath, Type type) => LoadAssetAtPath<Object>(assetPath);
        public static Object LoadMainAssetAtPath(string assetPath) => LoadAssetAtPath<Object>(assetPath);
        public static Object[] LoadAllAssetsAtPath(string assetPath) => new[] { LoadAssetAtPath<Object>(assetPath) };
        public static string GetAssetPath(Object assetObject) => "";
        public static string GUIDToAssetPath(string guid) => "";
        public static string AssetPathToGUID(string path) => "";
        public static string[] FindAssets(string filter) => new string[0];
        public static string[] FindAssets(string filter, string[] searchInFolders) => new string[0];
        public static void AddObjectToAsset(Object objectToAdd, Object assetObject) { }
        public static void CreateAsset(Object asset, string path) => Known[path] = asset;
        public static bool DeleteAsset(string path) => Known.Remove(path);
        public static string CreateFolder(string parentFolder, string newFolderName) => "";
        public static void SaveAssets() { }
        public static void SaveAssetIfDirty(Object obj) { }
        public static void Refresh() { }
        public static void ImportAsset(string path) { }
        public static void ImportAsset(string path, ImportAssetOptions options) { }
        public static string GenerateUniqueAssetPath(string path) => path;
        public static bool IsValidFolder(string path) => true;
        public static bool Contains(Object obj) => false;
        public static bool TryGetGUIDAndLocalFileIdentifier(Object obj, out string guid, out long localId)
        {
            guid = "";
            localId = 1;
            return true;
        }
    }

    [Flags]
    public enum ImportAssetOptions { Default = 0, ForceUpdate = 1, ForceSynchronousImport = 8 }

    public sealed class Selection
    {
        public static Object activeObject { get; set; }
        public static GameObject activeGameObject { get; set; }
        public static Object[] objects { get; set; }
    }

    public sealed class GameObjectUtility
    {
        public static void SetParentAndAlign(GameObject child, GameObject parent)
        {
            if (parent) child.transform.SetParent(parent.transform, false);
        }
        public static void EnsureUniqueNameForSibling(GameObject self) { }
    }

    public class Undo
    {
        public static void RegisterCreatedObjectUndo(Object objectToUndo, string name) { }
        public static void RecordObject(Object objectToUndo, string name) { }
    }

    public class EditorUtility
    {
        public static void SetDirty(Object target) { }
        public static string SaveFilePanel(string title, string directory, string defaultName, string extension) => "";
        public static string OpenFilePanel(string title, string directory, string extension) => "";
        public static bool DisplayDialog(string title, string message, string ok) => true;
        public static bool DisplayDialog(string title, string message, string ok, string cancel) => true;
        public static void DisplayProgressBar(string title, string info, float progress) { }
        public static void ClearProgressBar() { }
        public static void RevealInFinder(string path) { }
    }

    public sealed class EditorApplication
    {
        public delegate void CallbackFunction();
        public static CallbackFunction update;
        public static CallbackFunction delayCall;
        public static bool isPlaying { get => Application.isPlaying; set { } }
        public static bool isPlayingOrWillChangePlaymode => Application.isPlaying;
        public static bool isCompiling => false;
        public static double timeSinceStartup => Time.realtimeSinceStartupAsDouble;
        public static event Action<PlayModeStateChange> playModeStateChanged { add { } remove { } }
        public static void QueuePlayerLoopUpdate() { }
        public static void Exit(int returnValue) { }
    }

    public enum PlayModeStateChange { EnteredEditMode, ExitingEditMode, EnteredPlayMode, ExitingPlayMode }
    public sealed class AssemblyReloadEvents
    {
        public delegate void AssemblyReloadCallback();
        public static event AssemblyReloadCallback beforeAssemblyReload { add { } remove { } }
        public static event AssemblyReloadCallback afterAssemblyReload { add { } remove { } }
    }

    public class SceneView : EditorWindow
    {
        public static SceneView lastActiveSceneView => null;
        public Camera camera => null;
        public static void RepaintAll() { }
    }

    public class HandleUtility { public static void Repaint() { } }
    public sealed class PlayerSettings { public static ColorSpace colorSpace { get; set; } }
    public sealed class EditorGUIUtility
    {
        public static float labelWidth { get; set; }
        public static float singleLineHeight => 18;
        public static void PingObject(Object obj) { }
        public static string systemCopyBuffer { get; set; }
        public static GUIContent IconContent(string name) => new GUIContent();
    }
    public sealed class EditorStyles
    {
        public static GUIStyle boldLabel => new GUIStyle();
        public static GUIStyle label => new GUIStyle();
        public static GUIStyle helpBox => new GUIStyle();
        public static GUIStyle miniLabel => new GUIStyle();
        public static GUIStyle wordWrappedLabel => new GUIStyle();
        public static GUIStyle foldout => new GUIStyle();
    }

    // ScriptReference/EditorGUI, EditorGUILayout: nobody edits here.
    public sealed class EditorGUI
    {
        public static int indentLevel { get; set; }
        public static void BeginChangeCheck() { }
        public static bool EndChangeCheck() => false;
        public static void BeginDisabledGroup(bool disabled) { }
        public static void EndDisabledGroup() { }
        public static void ProgressBar(Rect position, float value, string text) { }
        public static void DrawRect(Rect rect, Color color) { }
        public static void DrawPreviewTexture(Rect position, Texture image) { }
        public class DisabledScope : GUI.Scope { public DisabledScope(bool disabled) { } }
        public class ChangeCheckScope : GUI.Scope { public bool changed => false; }
        public class IndentLevelScope : GUI.Scope { public IndentLevelScope() { } public IndentLevelScope(int increment) { } }
    }

    public sealed class EditorGUILayout
    {
        public static void HelpBox(string message, MessageType type) { }
        public static void LabelField(string label, params GUILayoutOption[] options) { }
        public static void LabelField(string label, string label2, params GUILayoutOption[] options) { }
        public static void LabelField(string label, GUIStyle style, params GUILayoutOption[] options) { }
        public static float Slider(float value, float leftValue, float rightValue, params GUILayoutOption[] options) => value;
        public static float Slider(string label, float value, float leftValue, float rightValue,
            params GUILayoutOption[] options) => value;
        public static int IntSlider(string label, int value, int leftValue, int rightValue,
            params GUILayoutOption[] options) => value;
        public static bool Foldout(bool foldout, string content) => true;
        public static bool Foldout(bool foldout, string content, bool toggleOnLabelClick) => true;
        public static bool BeginFoldoutHeaderGroup(bool foldout, string content) => true;
        public static void EndFoldoutHeaderGroup() { }
        public static bool Toggle(string label, bool value, params GUILayoutOption[] options) => value;
        public static float FloatField(string label, float value, params GUILayoutOption[] options) => value;
        public static int IntField(string label, int value, params GUILayoutOption[] options) => value;
        public static Vector3 Vector3Field(string label, Vector3 value, params GUILayoutOption[] options) => value;
        public static Object ObjectField(string label, Object obj, Type objType, bool allowSceneObjects,
            params GUILayoutOption[] options) => obj;
        public static string TextField(string label, string text, params GUILayoutOption[] options) => text;
        public static string TextArea(string text, params GUILayoutOption[] options) => text;
        public static bool PropertyField(SerializedProperty property, params GUILayoutOption[] options) => false;
        public static bool PropertyField(SerializedProperty property, bool includeChildren,
            params GUILayoutOption[] options) => false;
        public static void Space() { }
        public static void Space(float width) { }
        public static Rect BeginHorizontal(params GUILayoutOption[] options) => default;
        public static void EndHorizontal() { }
        public static Rect BeginVertical(params GUILayoutOption[] options) => default;
        public static void EndVertical() { }
        public static Vector2 BeginScrollView(Vector2 scrollPosition, params GUILayoutOption[] options) => scrollPosition;
        public static void EndScrollView() { }
        public static Rect GetControlRect(params GUILayoutOption[] options) => default;
        public static Rect GetControlRect(bool hasLabel, float height, params GUILayoutOption[] options) => default;
        public class HorizontalScope : GUI.Scope { public HorizontalScope(params GUILayoutOption[] options) { } }
        public class VerticalScope : GUI.Scope { public VerticalScope(params GUILayoutOption[] options) { } }
    }
}

namespace Flameport.Headless
{
    /// <summary>What the project's files are, for editor code.</summary>
    public static class Project
    {
        public static void Add(string path, Object asset) => UnityEditor.AssetDatabase.Known[path] = asset;

        /// <summary>Return a file that the editor imports as bytes.</summary>
        public static Object Bytes(byte[] data) => new TextAsset(data);
    }
}
