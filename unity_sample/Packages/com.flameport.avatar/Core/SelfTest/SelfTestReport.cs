using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Flameport
{
    /// <summary>What the self-test found, as text that a user can send.</summary>
    public sealed class SelfTestReport
    {
        private readonly List<KeyValuePair<string, string>> facts = new List<KeyValuePair<string, string>>();
        private readonly List<KeyValuePair<string, double>> times = new List<KeyValuePair<string, double>>();
        private readonly List<SelfTestResult> results = new List<SelfTestResult>();

        public IReadOnlyList<SelfTestResult> Results => results;

        /// <summary>Every check was done and held.</summary>
        public bool Passed => results.Count > 0 && results.TrueForAll(each => each.Passed);

        /// <summary>Say something about the machine: a name, a value, and so on.</summary>
        public void Facts(params string[] said)
        {
            for (int i = 0; i + 1 < said.Length; i += 2) facts.Add(new KeyValuePair<string, string>(said[i], said[i + 1]));
        }

        /// <summary>Say how long a kernel takes.</summary>
        public void Time(string kernel, double milliseconds) => times.Add(new KeyValuePair<string, double>(kernel,
            milliseconds));

        /// <summary>Add what came of a check.</summary>
        public void Add(SelfTestResult result) => results.Add(result);

        /// <summary>Add a check that could not be done.</summary>
        public void Fail(string name, string why) => results.Add(new SelfTestResult(name, "", 0, 0, false, why));

        /// <summary>Run a part of the test; one that throws is a check that failed.</summary>
        public void Attempt(string name, Action part)
        {
            try
            {
                part();
            }
            catch (Exception error) when (!(error is OutOfMemoryException))
            {
                Fail(name, error.Message);
            }
        }

        /// <summary>Return one line for people.</summary>
        public string Summary()
        {
            int good = results.FindAll(each => each.Passed).Count;
            return good == results.Count ? $"All {good} checks held." : $"{results.Count - good} of {results.Count} checks "
                + "failed. Please send the report.";
        }

        /// <summary>Return the report as JSON.</summary>
        public string ToJson()
        {
            var text = new StringBuilder("{\n  \"format\": \"flameport.selftest/1\",\n");
            text.Append("  \"passed\": ").Append(Passed ? "true" : "false").Append(",\n");
            foreach (var fact in facts) text.Append($"  {Quoted(fact.Key)}: {Quoted(fact.Value)},\n");
            text.Append("  \"milliseconds\": {");
            text.Append(string.Join(", ", times.ConvertAll(each => $"{Quoted(each.Key)}: {Number(each.Value)}")));
            text.Append("},\n  \"checks\": [\n    ");
            text.Append(string.Join(",\n    ", results.ConvertAll(each => $"{{\"name\": {Quoted(each.Name)}, "
                + $"\"kernel\": {Quoted(each.Kernel)}, \"error\": {Number(each.Error)}, \"bound\": {Number(each.Bound)}, "
                + $"\"passed\": {(each.Passed ? "true" : "false")}, \"note\": {Quoted(each.Note)}}}")));
            return text.Append("\n  ]\n}\n").ToString();
        }

        private static string Number(double value) => double.IsNaN(value) || double.IsInfinity(value) ? "null"
            : value.ToString("G6", CultureInfo.InvariantCulture);

        private static string Quoted(string text)
        {
            var quoted = new StringBuilder("\"");
            foreach (char c in text)
            {
                if (c == '"' || c == '\\') quoted.Append('\\').Append(c);
                else if (c < ' ') quoted.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
                else quoted.Append(c);
            }
            return quoted.Append('"').ToString();
        }
    }
}
