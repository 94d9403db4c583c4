using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;

/// <summary>
/// Compiles many assemblies in one process: what starting a compiler takes is taken once. Reads a plan, lines of a word and
/// a value (`unit` name, then `source`, `define`, `reference` a file, `uses` a unit, `nullable`, `program`, `out`), and writes
/// a line `unit`, tab, message for each error; warnings are errors. C# 8, Unity's language.
/// </summary>
internal static class Compiler
{
    private static int Main(string[] arguments)
    {
        string roslyn = arguments[0];
        AssemblyLoadContext.Default.Resolving += (context, name) =>
        {
            string path = Path.Combine(roslyn, name.Name + ".dll");
            return File.Exists(path) ? context.LoadFromAssemblyPath(path) : null;
        };
        Run(File.ReadAllLines(arguments[1]));
        return 0;
    }

    private sealed class Unit
    {
        public string Name = "";
        public bool Nullable, Program;
        public readonly List<string> Sources = new List<string>(), Defines = new List<string>(), References = new List<string>(),
            Uses = new List<string>(), Outs = new List<string>();
        public CSharpCompilation? Made;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Run(string[] lines)
    {
        var units = new List<Unit>();
        foreach (string line in lines)
        {
            string[] said = line.Split(new[] { ' ' }, 2);
            if (said[0] == "unit") units.Add(new Unit { Name = said[1] });
            Unit now = units[units.Count - 1];
            if (said[0] == "source") now.Sources.Add(said[1]);
            if (said[0] == "define") now.Defines.Add(said[1]);
            if (said[0] == "reference") now.References.Add(said[1]);
            if (said[0] == "uses") now.Uses.Add(said[1]);
            if (said[0] == "nullable") now.Nullable = said[1] == "enable";
            if (said[0] == "program") now.Program = true;
            if (said[0] == "out") now.Outs.Add(said[1]);
        }
        var files = new Dictionary<string, MetadataReference>();
        var made = new Dictionary<string, Unit>();
        var trees = new Dictionary<(string, string), SyntaxTree>();
        foreach (Unit unit in units)
        {
            CSharpParseOptions parse = CSharpParseOptions.Default.WithLanguageVersion(LanguageVersion.CSharp8)
                .WithPreprocessorSymbols(unit.Defines);
            string symbols = string.Join(" ", unit.Defines);
            foreach (string path in unit.Sources.Where(path => !trees.ContainsKey((path, symbols))))
            {
                trees[(path, symbols)] = CSharpSyntaxTree.ParseText(SourceText.From(File.ReadAllText(path)), parse, path);
            }
            foreach (string path in unit.References.Where(path => !files.ContainsKey(path)))
            {
                files[path] = MetadataReference.CreateFromFile(path);
            }
            var options = new CSharpCompilationOptions(
                unit.Program ? OutputKind.ConsoleApplication : OutputKind.DynamicallyLinkedLibrary,
                    optimizationLevel: OptimizationLevel.Release,
                generalDiagnosticOption: ReportDiagnostic.Error, warningLevel: 4, concurrentBuild: false,
                nullableContextOptions: unit.Nullable ? NullableContextOptions.Enable : NullableContextOptions.Disable);
            IEnumerable<MetadataReference> references = unit.References.Select(path => files[path]).Concat(
                unit.Uses.Select(name => (MetadataReference)made[name].Made!.ToMetadataReference()));
            unit.Made = CSharpCompilation.Create(unit.Name.Split('@')[0], unit.Sources.Select(path => trees[(path,
                symbols)]), references,
                options);
            made[unit.Name] = unit;
        }
        var errors = new string[units.Count];
        Parallel.For(0, units.Count, i =>
        {
            Unit unit = units[i];
            // Without a place to go, checking is enough.
            var bytes = new MemoryStream();
            ImmutableArray<Diagnostic> found = unit.Outs.Count == 0 ? unit.Made!.GetDiagnostics()
                : unit.Made!.Emit(bytes).Diagnostics;
            var bad = found.Where(one => one.Severity == DiagnosticSeverity.Error).ToList();
            foreach (string path in unit.Outs) if (bad.Count == 0) File.WriteAllBytes(path, bytes.ToArray());
            errors[i] = string.Join("\n", bad.Select(one => unit.Name + "\t" + one.ToString().Replace("\n", " ")));
        });
        foreach (string error in errors.Where(error => error != "")) Console.WriteLine(error);
    }
}
