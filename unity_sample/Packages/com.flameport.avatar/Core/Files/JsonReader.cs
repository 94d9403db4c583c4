using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Flameport
{
    /// <summary>Reads JSON strictly: bounded depth and number of values, no NaN, no key twice, nothing after the
    /// end.</summary>
    public sealed class JsonReader
    {
        private const int DeepestLevel = 64;
        /// <summary>Values other than numbers in a list of numbers; each takes about a hundred bytes.</summary>
        private const int MostValues = 1 << 22;

        private readonly byte[] data;
        private readonly int end;
        private readonly string where;
        private int at;
        private int values;

        private JsonReader(byte[] data, int start, int length, string where)
        {
            this.data = data;
            this.where = where;
            at = start;
            end = start + length;
        }

        /// <summary>
        /// Return what UTF-8 bytes say; throws <see cref="AvatarFormatException"/>, naming <paramref name="where"/>,
        /// unless they are
        /// one JSON value.
        /// </summary>
        public static JsonValue Parse(byte[] data, int start, int length, string where)
        {
            var reader = new JsonReader(data, start, length, where);
            if (length >= 3 && data[start] == 0xEF && data[start + 1] == 0xBB && data[start + 2] == 0xBF) reader.at += 3;
            JsonValue value = reader.Value(0);
            reader.Space();
            if (reader.at != reader.end) throw reader.Fail("something follows its end");
            return value;
        }

        private AvatarFormatException Fail(string what) =>
            new AvatarFormatException($"{where}: is no JSON at byte {at}: {what}. It is damaged; copy it again.");

        private void Space()
        {
            while (at < end && (data[at] == ' ' || data[at] == '\n' || data[at] == '\r' || data[at] == '\t')) at++;
        }

        private byte Next()
        {
            Space();
            return at < end ? data[at] : throw Fail("it ends too early");
        }

        private JsonValue Value(int level)
        {
            if (level > DeepestLevel) throw Fail("it is nested too deeply");
            if (++values > MostValues) throw Fail("it holds too many values");
            byte first = Next();
            switch (first)
            {
                case (byte)'{': return Members(level);
                case (byte)'[': return Items(level);
                case (byte)'"': return new JsonValue(JsonKind.Text) { TextValue = Text() };
                case (byte)'t': Word("true"); return new JsonValue(JsonKind.Boolean) { BooleanValue = true };
                case (byte)'f': Word("false"); return new JsonValue(JsonKind.Boolean);
                case (byte)'n': Word("null"); return JsonValue.Missing;
                default: return new JsonValue(JsonKind.Number) { NumberValue = Number() };
            }
        }

        private void Word(string word)
        {
            foreach (char c in word)
            {
                if (at >= end || data[at++] != c) throw Fail("an unknown word");
            }
        }

        private JsonValue Members(int level)
        {
            var found = new Dictionary<string, JsonValue>();
            at++;
            if (Next() == '}')
            {
                at++;
                return new JsonValue(JsonKind.Object) { MemberValues = found };
            }
            while (true)
            {
                if (Next() != '"') throw Fail("expected a key");
                string key = Text();
                if (Next() != ':') throw Fail("expected a colon");
                at++;
                if (!found.TryAdd(key, Value(level + 1))) throw Fail($"the key '{key}' is there twice");
                byte next = Next();
                at++;
                if (next == '}') return new JsonValue(JsonKind.Object) { MemberValues = found };
                if (next != ',') throw Fail("expected a comma");
            }
        }

        private JsonValue Items(int level)
        {
            at++;
            if (Next() == ']')
            {
                at++;
                return new JsonValue(JsonKind.List) { ItemValues = new JsonValue[0] };
            }
            List<JsonValue>? items = null;
            List<double>? numbers = null;
            while (true)
            {
                byte first = Next();
                bool isNumber = first == '-' || (first >= '0' && first <= '9');
                if (isNumber && items == null)
                {
                    if (numbers == null) numbers = new List<double>();
                    numbers.Add(Number());
                }
                else
                {
                    if (items == null) items = Boxed(numbers);
                    items.Add(Value(level + 1));
                }
                byte next = Next();
                at++;
                if (next == ']') break;
                if (next != ',') throw Fail("expected a comma");
            }
            return new JsonValue(JsonKind.List) { ItemValues = items?.ToArray(), NumberValues = items == null
                ? numbers!.ToArray() : null };
        }

        private List<JsonValue> Boxed(List<double>? numbers)
        {
            var items = new List<JsonValue>();
            if (numbers == null) return items;
            values += numbers.Count;
            if (values > MostValues) throw Fail("it holds too many values");
            foreach (double number in numbers) items.Add(new JsonValue(JsonKind.Number) { NumberValue = number });
            return items;
        }

        private double Number()
        {
            int start = at;
            while (at < end && (data[at] == '-' || data[at] == '+' || data[at] == '.' || data[at] == 'e' || data[at] == 'E'
                || (data[at] >= '0' && data[at] <= '9')))
            {
                at++;
            }
            if (at == start || at - start > 512 || data[start] == '+' || data[start] == '.') throw Fail("expected a value");
            Span<char> text = stackalloc char[at - start];
            for (int i = 0; i < text.Length; i++) text[i] = (char)data[start + i];
            bool good = double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value);
            if (!good || double.IsInfinity(value) || double.IsNaN(value)) throw Fail("a number that is none");
            return value;
        }

        private string Text()
        {
            int start = ++at;
            bool plain = true;
            while (at < end && data[at] != '"')
            {
                if (data[at] == '\\')
                {
                    plain = false;
                    at++;
                }
                at++;
            }
            if (at >= end) throw Fail("a text without an end");
            string raw;
            try
            {
                raw = new UTF8Encoding(false, true).GetString(data, start, at - start);
            }
            catch (ArgumentException)
            {
                throw Fail("a text that is no UTF-8");
            }
            at++;
            return plain ? raw : Unescaped(raw);
        }

        private string Unescaped(string raw)
        {
            var text = new StringBuilder(raw.Length);
            for (int i = 0; i < raw.Length; i++)
            {
                if (raw[i] != '\\')
                {
                    text.Append(raw[i]);
                    continue;
                }
                if (++i >= raw.Length) throw Fail("an escape without an end");
                switch (raw[i])
                {
                    case 'n': text.Append('\n'); break;
                    case 't': text.Append('\t'); break;
                    case 'r': text.Append('\r'); break;
                    case 'b': text.Append('\b'); break;
                    case 'f': text.Append('\f'); break;
                    case '"': case '\\': case '/': text.Append(raw[i]); break;
                    case 'u':
                        ushort code = 0;
                        bool good = i + 4 < raw.Length && ushort.TryParse(raw.AsSpan(i + 1, 4),
                            NumberStyles.AllowHexSpecifier,
                            CultureInfo.InvariantCulture, out code);
                        if (!good) throw Fail("an escape that is none");
                        text.Append((char)code);
                        i += 4;
                        break;
                    default: throw Fail("an escape that is none");
                }
            }
            return text.ToString();
        }
    }
}
