#nullable disable
using System;
using System.Collections.Generic;
using System.IO;
using System.Text.RegularExpressions;
using UnityEngine;

namespace Flameport.Headless
{
    /// <summary>Shaders as files of the package: kernels and passes by the names that stand in them.</summary>
    public static class Shaders
    {
        private static readonly Dictionary<string, Shader> byName = new Dictionary<string, Shader>();
        private static readonly Dictionary<string, string> texts = new Dictionary<string, string>();

        /// <summary>Load every shader of a folder; return kernels by file name.</summary>
        public static Dictionary<string, ComputeShader> Load(string folder)
        {
            var found = new Dictionary<string, ComputeShader>();
            foreach (string path in Directory.GetFiles(folder, "*.shader"))
            {
                string text = File.ReadAllText(path);
                var passes = new List<string>();
                foreach (Match one in Regex.Matches(text, "^\\s*Name \"(\\w+)\"",
                    RegexOptions.Multiline)) passes.Add(one.Groups[1].Value);
                string name = Regex.Match(text, "^Shader \"([^\"]+)\"", RegexOptions.Multiline).Groups[1].Value;
                byName[name] = new Shader(Path.GetFileName(path), passes.ToArray()) { name = name };
            }
            foreach (string path in Directory.GetFiles(folder, "*.compute"))
            {
                string text = File.ReadAllText(path), file = Path.GetFileName(path);
                texts[file] = text;
                var kernels = new List<string>();
                foreach (Match one in Regex.Matches(text, "^#pragma kernel (\\w+)",
                    RegexOptions.Multiline)) kernels.Add(one.Groups[1].Value);
                found[file] = new ComputeShader(file, kernels.ToArray()) { name = Path.GetFileNameWithoutExtension(path) };
            }
            return found;
        }

        /// <summary>Return a shader by the name in its file; null where there is none.</summary>
        public static Shader Find(string name) => byName.TryGetValue(name, out Shader found) ? found : null;

        internal static (uint, uint, uint) GroupSize(string file, string kernel)
        {
            // The package's wrappers name sizes by constants of the files they include, in one dimension.
            Match found = Regex.Match(texts[file], "\\[numthreads\\((\\w+), 1, 1\\)\\]\\s*void " + kernel + "\\(");
            if (!found.Success) throw new EngineException($"{kernel}: the stand-in reads one-dimensional groups only");
            return (found.Groups[1].Value == "THREADS" ? 64u : 256u, 1, 1);
        }
    }
}
