#nullable disable
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;

namespace Flameport.Headless
{
    /// <summary>
    /// What a card would have been told: one JSON object a line in `trace.jsonl`, bytes in `trace.bin`. While
    /// <see cref="Silent"/> nothing is written and nothing allocated, so that what the player allocates can be counted.
    /// </summary>
    public static class Trace
    {
        private static readonly StringBuilder line = new StringBuilder();
        private static TextWriter text;
        private static Stream data;
        private static long at;

        public static bool Silent = true;

        /// <summary>Begin to write into a folder.</summary>
        public static void Open(string folder)
        {
            text = new StreamWriter(Path.Combine(folder, "trace.jsonl"), false, new UTF8Encoding(false));
            data = File.Create(Path.Combine(folder, "trace.bin"));
            at = 0;
            Silent = false;
        }

        public static void Close()
        {
            text?.Dispose();
            data?.Dispose();
            text = null;
            data = null;
            Silent = true;
        }

        /// <summary>Write a line; values are numbers, truths, texts, or sequences and dictionaries of them.</summary>
        public static void Write(string op, params (string key, object value)[] fields)
        {
            if (Silent) return;
            line.Clear().Append("{\"op\":\"").Append(op).Append('"');
            foreach ((string key, object value) in fields)
            {
                line.Append(",\"").Append(key).Append("\":");
                Append(value);
            }
            text.WriteLine(line.Append('}').ToString());
        }

        /// <summary>Keep bytes; return where they begin.</summary>
        public static long Keep(ReadOnlySpan<byte> bytes)
        {
            long begin = at;
            if (Silent) return begin;
            data.Write(bytes.ToArray(), 0, bytes.Length);
            at += bytes.Length;
            return begin;
        }

        private static void Append(object value)
        {
            switch (value)
            {
                case null: line.Append("null"); break;
                case bool truth: line.Append(truth ? "true" : "false"); break;
                case string words:
                    line.Append('"').Append(words.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n")).Append('"');
                    break;
                case float number: line.Append(number.ToString("R", CultureInfo.InvariantCulture)); break;
                case IDictionary<string, object> table:
                    line.Append('{');
                    bool second = false;
                    foreach (KeyValuePair<string, object> one in table)
                    {
                        line.Append(second ? ",\"" : "\"").Append(one.Key).Append("\":");
                        Append(one.Value);
                        second = true;
                    }
                    line.Append('}');
                    break;
                case System.Collections.IEnumerable many:
                    line.Append('[');
                    bool next = false;
                    foreach (object one in many)
                    {
                        if (next) line.Append(',');
                        Append(one);
                        next = true;
                    }
                    line.Append(']');
                    break;
                default: line.Append(Convert.ToString(value, CultureInfo.InvariantCulture)); break;
            }
        }

        /// <summary>Return the bytes of elements of an array of values.</summary>
        public static byte[] BytesOf(Array values, int first, int count)
        {
            Type element = values.GetType().GetElementType();
            int size = Marshal.SizeOf(element);
            var bytes = new byte[size * count];
            GCHandle handle = GCHandle.Alloc(values, GCHandleType.Pinned);
            try { Marshal.Copy(new IntPtr(handle.AddrOfPinnedObject().ToInt64() + (long)first * size), bytes, 0, bytes.Length); }
            finally { handle.Free(); }
            return bytes;
        }
    }

    /// <summary>Work that comes back later, as read-backs do.</summary>
    internal static class AsyncWork
    {
        private static readonly List<Action> waiting = new List<Action>();
        public static void Later(Action work) => waiting.Add(work);
        public static void Finish()
        {
            if (waiting.Count == 0) return;
            Action[] now = waiting.ToArray();
            waiting.Clear();
            foreach (Action work in now) work();
        }
    }
}
