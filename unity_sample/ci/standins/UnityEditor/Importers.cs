#nullable disable
using System;
using System.Collections.Generic;
using Flameport.Headless;
using UnityEngine;
using Object = UnityEngine.Object;

namespace UnityEditor
{
    // ScriptReference/AssetImporter
    public class AssetImporter : Object
    {
        public string assetPath { get; internal set; } = "";
        public string userData { get; set; }
        public void SaveAndReimport() { }
        public static AssetImporter GetAtPath(string path) => null;
    }

    public struct GUID { public GUID(string hexRepresentation) { } }
    public enum BuildTarget { StandaloneWindows64 = 19, StandaloneLinux64 = 24 }
}

namespace UnityEditor.AssetImporters
{
    // ScriptReference/AssetImporters.ScriptedImporter
    public abstract class ScriptedImporter : AssetImporter
    {
        public abstract void OnImportAsset(AssetImportContext ctx);
    }

    [AttributeUsage(AttributeTargets.Class, Inherited = false)]
    public class ScriptedImporterAttribute : Attribute
    {
        public ScriptedImporterAttribute(int version, string ext) : this(version, new[] { ext }) { }
        public ScriptedImporterAttribute(int version, string ext, int importQueueOffset) : this(version, new[] { ext }) { }
        public ScriptedImporterAttribute(int version, string[] exts) { this.version = version; fileExtensions = exts; }
        public ScriptedImporterAttribute(int version, string[] exts, string[] overrideExts) : this(version, exts) { }
        public int version { get; }
        public int importQueuePriority => 0;
        public string[] fileExtensions { get; }
        public string[] overrideFileExtensions => null;
        public bool AutoSelect = true;
        public bool AllowCaching = false;
    }

    // ScriptReference/AssetImporters.AssetImportContext, with the errors that importing gives.
    public class AssetImportContext
    {
        /// <summary>What the importer gave and said.</summary>
        internal readonly Dictionary<string, Object> Given = new Dictionary<string, Object>();
        internal readonly Dictionary<Object, Texture2D> Thumbnails = new Dictionary<Object, Texture2D>();
        internal readonly List<string> Depends = new List<string>(), Errors = new List<string>(), Warnings = new List<string>();
        internal AssetImportContext(string path) { assetPath = path; }
        public string assetPath { get; }
        public BuildTarget selectedBuildTarget => BuildTarget.StandaloneLinux64;
        public Object mainObject { get; private set; }
        public void AddObjectToAsset(string identifier, Object obj) => AddObjectToAsset(identifier, obj, null);
        public void AddObjectToAsset(string identifier, Object obj, Texture2D thumbnail)
        {
            if (!obj) throw new ArgumentNullException(nameof(obj));
            if (string.IsNullOrEmpty(identifier)) throw new EngineException("AddObjectToAsset: identifiers are not empty");
            if (obj is Component) throw new EngineException("AddObjectToAsset: components come with their object");
            foreach (Object one in Given.Values) if (ReferenceEquals(one,
                obj)) throw new EngineException("AddObjectToAsset: the object is in the asset already");
            if (Given.ContainsKey(identifier))
            {
                throw new EngineException($"AddObjectToAsset: identifier '{identifier}' is not unique");
            }
            Given[identifier] = obj;
            if (thumbnail) Thumbnails[obj] = thumbnail;
        }
        public void SetMainObject(Object obj)
        {
            bool known = false;
            foreach (Object one in Given.Values) known |= ReferenceEquals(one, obj);
            if (!known) throw new EngineException("SetMainObject: the object was not added to the asset");
            mainObject = obj;
        }
        public void GetObjects(List<Object> objects) => objects.AddRange(Given.Values);
        public void DependsOnSourceAsset(string path) => Depends.Add(path);
        public void DependsOnSourceAsset(GUID guid) { }
        public void DependsOnArtifact(string path) => Depends.Add(path);
        public void DependsOnArtifact(GUID guid) { }
        public void DependsOnCustomDependency(string dependency) { }
        public void LogImportError(string msg, Object obj = null) => Errors.Add(msg);
        public void LogImportWarning(string msg, Object obj = null) => Warnings.Add(msg);
    }

    // ScriptReference/AssetImporters.ScriptedImporterEditor
    public class ScriptedImporterEditor : Editor
    {
        protected void ApplyRevertGUI() { }
    }
}

namespace Flameport.Headless
{
    /// <summary>Imports a file as the editor would, and checks what any import has to give.</summary>
    public sealed class Imported
    {
        public readonly Dictionary<string, Object> Objects;
        public readonly Dictionary<Object, Texture2D> Thumbnails;
        public readonly List<string> Errors, Warnings, Depends;
        public readonly Object Main;

        public Imported(UnityEditor.AssetImporters.ScriptedImporter importer, string path)
        {
            importer.assetPath = path;
            var context = new UnityEditor.AssetImporters.AssetImportContext(path);
            importer.OnImportAsset(context);
            (Objects, Thumbnails, Errors, Warnings) = (context.Given, context.Thumbnails, context.Errors, context.Warnings);
            (Depends, Main) = (context.Depends, context.mainObject);
            // What was made for the import leaves the scene; the project keeps its fields.
            foreach (Object one in Objects.Values) if (one is GameObject thing) Engine.LeaveScene(thing);
            if (Errors.Count == 0 && !Main) throw new EngineException($"{path}: imported without a main object");
        }
    }
}
