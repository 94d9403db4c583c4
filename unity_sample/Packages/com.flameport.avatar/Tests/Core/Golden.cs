using System;
using System.IO;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>Files of flameport's repository that implementations are compared with; tests are ignored where they
    /// are not.</summary>
    internal static class Golden
    {
        /// <summary>Path of a file in tests/golden.</summary>
        public static string Path(string name) => System.IO.Path.Combine(Folder("FLAMEPORT_GOLDEN", "tests/golden"), name);

        /// <summary>Path of a file that tests/unity/test_core.py makes: small assets, clips and vectors.</summary>
        public static string Made(string name) => System.IO.Path.Combine(Folder("FLAMEPORT_MADE", "tests/unity/made"), name);

        /// <summary>Path of the self-test's file.</summary>
        public static string SelfTest() => System.IO.Path.Combine(Folder("FLAMEPORT_PACKAGE",
            "unity_sample/Packages/com.flameport.avatar"), "Editor", "SelfTest", "SelfTest.bytes");

        private static string Folder(string variable, string place)
        {
            string given = Environment.GetEnvironmentVariable(variable) ?? "";
            if (given.Length > 0) return given;
            for (DirectoryInfo? at = new DirectoryInfo(Directory.GetCurrentDirectory()); at != null; at = at.Parent)
            {
                string found = System.IO.Path.Combine(at.FullName, place);
                if (Directory.Exists(found)) return found;
            }
            Assert.Ignore($"{place} is not here: these tests run in flameport's repository");
            return "";
        }

        public static byte[] Bytes(string path)
        {
            if (!File.Exists(path)) Assert.Ignore(path + " is not here");
            return File.ReadAllBytes(path);
        }

        public static JsonValue Json(string path)
        {
            byte[] data = Bytes(path);
            return JsonReader.Parse(data, 0, data.Length, path);
        }

        /// <summary>Fail with the worst difference unless every one is within the bound.</summary>
        public static void Near(double[] expected, double[] actual, double bound, string what)
        {
            Assert.AreEqual(expected.Length, actual.Length, what);
            int worst = 0;
            for (int i = 0; i < expected.Length; i++)
            {
                if (!(Math.Abs(expected[i] - actual[i]) <= Math.Abs(expected[worst] - actual[worst]))) worst = i;
            }
            if (expected.Length > 0) Assert.AreEqual(expected[worst], actual[worst], bound, $"{what}, number {worst}");
        }
    }
}
