using System;
using System.IO;
using System.Linq;
using Flameport;
using Flameport.Editing;
using Flameport.Headless;
using UnityEditor;
using UnityEngine;
using Object = UnityEngine.Object;

/// <summary>What only the editor does: imports files, draws inspectors, runs the self-test.</summary>
internal static partial class Stage
{
    private const string Package = "Packages/com.flameport.avatar/";

    static partial void DoInEditor(string word, ref bool done)
    {
        done = true;
        switch (word)
        {
            case "project": Open(Text("package")); break;
            case "import": Import(Text("file")); break;
            case "inspect":
                Editor inspector = Editor.CreateEditor(players[Text("name")]);
                Console.WriteLine("inspector\t" + inspector.GetType().Name);
                inspector.OnInspectorGUI();
                Object.DestroyImmediate(inspector);
                break;
            case "selftest":
                if (Text("answers") != "") Readbacks.Load(Text("answers"));
                SelfTestReport report = SelfTest.Run();
                Console.WriteLine("selftest\t" + report.ToJson().Replace("\n", " "));
                break;
            default: done = false; break;
        }
    }

    /// <summary>Put the package's files where the project's are.</summary>
    private static void Open(string package)
    {
        Project.Add(Package + "Shaders/AvatarKernels.compute", kernels!);
        foreach (string path in Directory.GetFiles(Path.Combine(package, "Shaders"), "*.shader"))
        {
            Project.Add(Package + "Shaders/" + Path.GetFileName(path),
                Shaders.Find("Flameport/" + Path.GetFileNameWithoutExtension(path))!);
        }
        string bytes = Path.Combine(package, "Editor", "SelfTest", "SelfTest.bytes");
        Project.Add(Package + "Editor/SelfTest/SelfTest.bytes", Project.Bytes(File.ReadAllBytes(bytes)));
    }

    private static void Import(string file)
    {
        Imported imported = file.EndsWith(".flameseq") ? new Imported(new SequenceImporter(), file)
            : new Imported(new AvatarImporter(), file);
        foreach (string line in imported.Errors) Console.WriteLine("error\t" + line);
        foreach (string line in imported.Warnings) Console.WriteLine("warning\t" + line);
        foreach (string path in imported.Depends) Console.WriteLine("depends\t" + path);
        foreach (string name in imported.Objects.Keys)
        {
            Object one = imported.Objects[name];
            Console.WriteLine($"object\t{name}\t{one.GetType().Name}\t{imported.Thumbnails.ContainsKey(one)}");
        }
        if (!imported.Main) return;
        Console.WriteLine("main\t" + imported.Main.GetType().Name);
        made.AddRange(imported.Objects.Values.Where(one => !(one is GameObject)));
        if (!(imported.Main is GameObject thing)) return;
        // Dragged into the scene.
        GameObject copy = Object.Instantiate(thing);
        players[Text("name", "imported")] = copy.GetComponent<AvatarPlayer>();
    }
}
