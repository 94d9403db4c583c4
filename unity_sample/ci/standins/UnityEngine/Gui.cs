#nullable disable
using System;

namespace UnityEngine
{
    // ScriptReference/GUIContent, GUIStyle, GUISkin, GUILayoutOption
    public class GUIContent
    {
        public static GUIContent none = new GUIContent("");
        public GUIContent() { }
        public GUIContent(string text) { this.text = text; }
        public GUIContent(string text, string tooltip) { this.text = text; this.tooltip = tooltip; }
        public GUIContent(string text, Texture image, string tooltip) : this(text, tooltip) { this.image = image; }
        public string text { get; set; }
        public string tooltip { get; set; }
        public Texture image { get; set; }
    }
    public enum TextAnchor { UpperLeft, UpperCenter, UpperRight, MiddleLeft, MiddleCenter, MiddleRight, LowerLeft,
        LowerCenter, LowerRight }
    public enum FontStyle { Normal, Bold, Italic, BoldAndItalic }
    public enum ScaleMode { StretchToFill, ScaleAndCrop, ScaleToFit }
    public enum EventType { MouseDown, MouseUp, MouseMove, MouseDrag, KeyDown, KeyUp, ScrollWheel, Repaint, Layout, Used = 12 }
    public sealed class GUIStyle
    {
        public GUIStyle() { }
        public GUIStyle(GUIStyle other) { }
        public static implicit operator GUIStyle(string str) => new GUIStyle();
        public bool wordWrap { get; set; }
        public bool richText { get; set; }
        public int fontSize { get; set; }
        public FontStyle fontStyle { get; set; }
        public TextAnchor alignment { get; set; }
    }
    public sealed class GUISkin : ScriptableObject
    {
        public GUIStyle box { get; set; } = new GUIStyle();
        public GUIStyle label { get; set; } = new GUIStyle();
        public GUIStyle button { get; set; } = new GUIStyle();
    }
    public sealed class GUILayoutOption { internal GUILayoutOption() { } }

    public sealed class Event
    {
        public static Event current { get; set; } = new Event();
        public EventType type { get; set; } = EventType.Repaint;
        public Vector2 mousePosition { get; set; }
        public Vector2 delta { get; set; }
        public int button { get; set; }
        public KeyCode keyCode { get; set; }
        public void Use() => type = EventType.Used;
    }

    // ScriptReference/GUI: nobody clicks here, so values stay as they are.
    public class GUI
    {
        public static bool enabled { get; set; } = true;
        public static bool changed { get; set; }
        public static Color color { get; set; } = Color.white;
        public static Color backgroundColor { get; set; } = Color.white;
        public static GUISkin skin { get; set; } = new GUISkin();
        public static int depth { get; set; }
        public static void Label(Rect position, string text) { }
        public static void Label(Rect position, GUIContent content) { }
        public static void Label(Rect position, string text, GUIStyle style) { }
        public static void Box(Rect position, string text) { }
        public static void DrawTexture(Rect position, Texture image) { }
        public static void DrawTexture(Rect position, Texture image, ScaleMode scaleMode) { }
        public static bool Button(Rect position, string text) => false;
        public static bool Toggle(Rect position, bool value, string text) => value;
        public static float HorizontalSlider(Rect position, float value, float leftValue, float rightValue) => value;
        public abstract class Scope : IDisposable { public void Dispose() { } }
        public static void BeginGroup(Rect position) { }
        public static void EndGroup() { }
    }

    // ScriptReference/GUILayout
    public class GUILayout
    {
        public static void Label(string text, params GUILayoutOption[] options) { }
        public static void Label(string text, GUIStyle style, params GUILayoutOption[] options) { }
        public static void Label(GUIContent content, params GUILayoutOption[] options) { }
        public static void Label(Texture image, params GUILayoutOption[] options) { }
        public static void Box(string text, params GUILayoutOption[] options) { }
        public static bool Button(string text, params GUILayoutOption[] options) => false;
        public static bool Button(string text, GUIStyle style, params GUILayoutOption[] options) => false;
        public static bool Button(GUIContent content, params GUILayoutOption[] options) => false;
        public static bool Toggle(bool value, string text, params GUILayoutOption[] options) => value;
        public static bool Toggle(bool value, string text, GUIStyle style, params GUILayoutOption[] options) => value;
        public static string TextField(string text, params GUILayoutOption[] options) => text;
        public static string TextArea(string text, params GUILayoutOption[] options) => text;
        public static int Toolbar(int selected, string[] texts, params GUILayoutOption[] options) => selected;
        public static int SelectionGrid(int selected, string[] texts, int xCount, params GUILayoutOption[] options) => selected;
        public static float HorizontalSlider(float value, float leftValue, float rightValue,
            params GUILayoutOption[] options) => value;
        public static void Space(float pixels) { }
        public static void FlexibleSpace() { }
        public static void BeginHorizontal(params GUILayoutOption[] options) { }
        public static void BeginHorizontal(GUIStyle style, params GUILayoutOption[] options) { }
        public static void EndHorizontal() { }
        public static void BeginVertical(params GUILayoutOption[] options) { }
        public static void BeginVertical(GUIStyle style, params GUILayoutOption[] options) { }
        public static void EndVertical() { }
        public static void BeginArea(Rect screenRect) { }
        public static void BeginArea(Rect screenRect, GUIStyle style) { }
        public static void EndArea() { }
        public static Vector2 BeginScrollView(Vector2 scrollPosition, params GUILayoutOption[] options) => scrollPosition;
        public static void EndScrollView() { }
        public static GUILayoutOption Width(float width) => new GUILayoutOption();
        public static GUILayoutOption Height(float height) => new GUILayoutOption();
        public static GUILayoutOption MinWidth(float minWidth) => new GUILayoutOption();
        public static GUILayoutOption MaxWidth(float maxWidth) => new GUILayoutOption();
        public static GUILayoutOption MinHeight(float minHeight) => new GUILayoutOption();
        public static GUILayoutOption MaxHeight(float maxHeight) => new GUILayoutOption();
        public static GUILayoutOption ExpandWidth(bool expand) => new GUILayoutOption();
        public static GUILayoutOption ExpandHeight(bool expand) => new GUILayoutOption();
        public class HorizontalScope : GUI.Scope { public HorizontalScope(params GUILayoutOption[] options) { } }
        public class VerticalScope : GUI.Scope { public VerticalScope(params GUILayoutOption[] options) { } }
    }
    

    public class GUILayoutUtility
    {
        public static Rect GetRect(float width, float height, params GUILayoutOption[] options) => new Rect(0, 0, width, height);
        public static Rect GetRect(float width, float height) => new Rect(0, 0, width, height);
        public static Rect GetLastRect() => new Rect(0, 0, 100, 16);
        public static Rect GetAspectRect(float aspect, params GUILayoutOption[] options) => new Rect(0, 0, 100, 100 / aspect);
    }
}
