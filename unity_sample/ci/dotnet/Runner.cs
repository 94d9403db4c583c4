using System;
using System.IO;
using System.Linq;
using System.Reflection;

/// <summary>
/// Runs NUnit tests without NUnit's own runner: [Test] and [TestCase], one line of outcome, name and message each.
/// Stack traces go with failures.
/// </summary>
internal static class Runner
{
    private static int Main(string[] arguments)
    {
        Assembly tests = Assembly.LoadFrom(Path.GetFullPath(arguments[0]));
        foreach (Type type in tests.GetTypes().OrderBy(type => type.FullName, StringComparer.Ordinal))
        {
            foreach (MethodInfo method in type.GetMethods().OrderBy(method => method.Name, StringComparer.Ordinal))
            {
                foreach (object attribute in method.GetCustomAttributes(false))
                {
                    string kind = attribute.GetType().FullName ?? "";
                    if (kind == "NUnit.Framework.TestAttribute") Run(type, method, new object[0]);
                    if (kind != "NUnit.Framework.TestCaseAttribute") continue;
                    PropertyInfo given = attribute.GetType().GetProperty(
                        "Arguments") ?? throw new MissingMemberException(kind);
                    Run(type, method, (object[])(given.GetValue(attribute) ?? new object[0]));
                }
            }
        }
        return 0;
    }

    private static void Run(Type type, MethodInfo method, object[] arguments)
    {
        string name = type.Name + "." + method.Name + (arguments.Length == 0 ? ""
            : "(" + string.Join(", ", arguments) + ")");
        string outcome = "passed", message = "";
        try
        {
            method.Invoke(Activator.CreateInstance(type), arguments);
        }
        catch (TargetInvocationException thrown)
        {
            Exception error = thrown.InnerException ?? thrown;
            outcome = error.GetType().Name == "IgnoreException" ? "skipped"
                : error.GetType().Name == "SuccessException" ? "passed" : "failed";
            message = outcome == "failed" ? error.ToString() : error.Message;
        }
        Console.WriteLine(outcome + "\t" + name + "\t" + message.Replace("\\", "\\\\").Replace("\n",
            "\\n").Replace("\r", "").Replace("\t", " "));
    }
}
