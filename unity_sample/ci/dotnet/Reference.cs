using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

/// <summary>
/// Compares what stand-ins declare with the engine's public C# reference, by names and parameter types: reads the files of both,
/// and writes each public member of a stand-in that the reference does not have. Symbols choose the version.
/// </summary>
internal static class Reference
{
    private static int Main(string[] arguments)
    {
        AssemblyLoadContext.Default.Resolving += (context, name) =>
        {
            string path = Path.Combine(arguments[0], name.Name + ".dll");
            return File.Exists(path) ? context.LoadFromAssemblyPath(path) : null;
        };
        return Run(arguments[1], arguments[2], arguments.Skip(3).ToArray());
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Run(string standins, string reference, string[] symbols)
    {
        var known = new Dictionary<string, HashSet<string>>();
        var bases = new Dictionary<string, HashSet<string>>();
        foreach (string path in Directory.GetFiles(reference, "*.cs", SearchOption.AllDirectories))
        {
            Collect(path, new[] { "UNITY_EDITOR", "ENABLE_UNITY_COLLECTIONS_CHECKS" }, known, bases);
        }
        int count = 0, missing = 0;
        foreach (string path in Directory.GetFiles(standins, "*.cs", SearchOption.AllDirectories))
        {
            var own = new Dictionary<string, HashSet<string>>();
            Collect(path, symbols, own, new Dictionary<string, HashSet<string>>());
            foreach (string type in own.Keys.OrderBy(name => name, StringComparer.Ordinal))
            {
                if (!known.ContainsKey(type))
                {
                    Console.WriteLine($"{Path.GetFileName(path)}\t{type}\tno such type");
                    missing++;
                    continue;
                }
                foreach (string member in own[type].OrderBy(name => name, StringComparer.Ordinal))
                {
                    count++;
                    if (Has(type, member, known, bases, 0)) continue;
                    Console.WriteLine($"{Path.GetFileName(path)}\t{type}\t{member}");
                    missing++;
                }
            }
        }
        Console.WriteLine($"total\t{count}\t{missing}");
        return 0;
    }

    private static bool Has(string type, string member, Dictionary<string, HashSet<string>> known,
        Dictionary<string, HashSet<string>> bases, int depth)
    {
        if (depth > 8 || !known.TryGetValue(type, out HashSet<string>? members)) return false;
        if (members.Contains(member)) return true;
        return bases.TryGetValue(type, out HashSet<string>? above) && above.Any(name => Has(name, member, known, bases,
            depth + 1));
    }

    private static void Collect(string path, string[] symbols, Dictionary<string, HashSet<string>> into, Dictionary<string,
        HashSet<string>> bases)
    {
        CSharpParseOptions parse =
            CSharpParseOptions.Default.WithLanguageVersion(LanguageVersion.CSharp8).WithPreprocessorSymbols(symbols);
        var root = CSharpSyntaxTree.ParseText(File.ReadAllText(path), parse).GetCompilationUnitRoot();
        foreach (BaseTypeDeclarationSyntax type in root.DescendantNodes().OfType<BaseTypeDeclarationSyntax>())
        {
            string name = Nested(type);
            if (!into.TryGetValue(name, out HashSet<string>? members)) into[name] = members = new HashSet<string>();
            if (type.BaseList != null)
            {
                if (!bases.TryGetValue(name, out HashSet<string>? above)) bases[name] = above = new HashSet<string>();
                foreach (BaseTypeSyntax one in type.BaseList.Types) above.Add(Plain(one.Type));
            }
            if (type is EnumDeclarationSyntax choices)
            {
                foreach (EnumMemberDeclarationSyntax one in choices.Members) members.Add(one.Identifier.Text);
                continue;
            }
            bool open = type is InterfaceDeclarationSyntax;
            foreach (MemberDeclarationSyntax member in ((TypeDeclarationSyntax)type).Members)
            {
                string[] words = member.Modifiers.Select(one => one.Text).ToArray();
                bool isProtected = words.Contains("protected") && !words.Contains("private");
                if (!open && !words.Contains("public") && !isProtected) continue;
                foreach (string said in Names(member)) members.Add(said);
            }
        }
        foreach (DelegateDeclarationSyntax one in root.DescendantNodes().OfType<DelegateDeclarationSyntax>())
        {
            into[(one.Parent is TypeDeclarationSyntax outer ? Nested(outer) + "."
                : "") + one.Identifier.Text] = new HashSet<string>();
        }
    }

    private static IEnumerable<string> Names(MemberDeclarationSyntax member)
    {
        string whose = member.Modifiers.Any(one => one.Text == "static" || one.Text == "const") ? "static " : "";
        switch (member)
        {
            case MethodDeclarationSyntax method:
                return Shorter($"{whose}{Plain(method.ReturnType)} {method.Identifier.Text}", method.ParameterList.Parameters);
            case ConstructorDeclarationSyntax made: return Shorter("new", made.ParameterList.Parameters);
            // What is a field there may be a property here.
            case PropertyDeclarationSyntax property: return new[] { $"{whose}{Plain(property.Type)} {property.Identifier.Text}" };
            case FieldDeclarationSyntax field: return Fields(whose, field.Declaration);
            case EventFieldDeclarationSyntax happening: return Fields(whose, happening.Declaration);
            case EventDeclarationSyntax happening: return new[] { $"{whose}{Plain(happening.Type)} {happening.Identifier.Text}" };
            default: return new string[0];
        }
    }

    private static IEnumerable<string> Fields(string whose, VariableDeclarationSyntax said) =>
        said.Variables.Select(one => $"{whose}{Plain(said.Type)} {one.Identifier.Text}");

    /// <summary>A method under its parameter types, and under fewer where the last have values of their own.</summary>
    private static IEnumerable<string> Shorter(string name, IReadOnlyList<ParameterSyntax> parameters)
    {
        int count = parameters.Count;
        do
        {
            yield return $"{name}({string.Join(", ", parameters.Take(count).Select(Said))})";
        }
        while (count-- > 0 && (parameters[count].Default != null
            || parameters[count].AttributeLists.Any(list => list.ToString().Contains("DefaultValue"))));
    }

    private static string Said(ParameterSyntax one)
    {
        string way = string.Join("", one.Modifiers.Where(word => word.Text == "ref"
            || word.Text == "out").Select(word => word.Text + " "));
        return way + Plain(one.Type!);
    }

    private static string Plain(TypeSyntax type)
    {
        switch (type)
        {
            case QualifiedNameSyntax qualified: return Plain(qualified.Right);
            case AliasQualifiedNameSyntax alias: return Plain(alias.Name);
            case NullableTypeSyntax nullable: return Plain(nullable.ElementType);
            case ArrayTypeSyntax array: return Plain(array.ElementType) + "[]";
            case GenericNameSyntax generic: return generic.Identifier.Text + "<" + string.Join(",",
                generic.TypeArgumentList.Arguments.Select(Plain)) + ">";
            default: return type.ToString().Replace("UInt32", "uint").Replace("Int32", "int");
        }
    }

    private static string Nested(BaseTypeDeclarationSyntax type)
    {
        int count = (type as TypeDeclarationSyntax)?.TypeParameterList?.Parameters.Count ?? 0;
        string own = type.Identifier.Text + (count > 0 ? "`" + count : "");
        return type.Parent is TypeDeclarationSyntax outer ? Nested(outer) + "." + own : own;
    }
}
