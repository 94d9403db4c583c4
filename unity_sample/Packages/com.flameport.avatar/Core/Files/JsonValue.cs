using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>What kind of thing a <see cref="JsonValue"/> is.</summary>
    public enum JsonKind { Null, Boolean, Number, Text, List, Object }

    /// <summary>
    /// A value of JSON from a stranger, read field by field with messages that name the field. Lists of numbers are one
    /// array.
    /// </summary>
    public sealed class JsonValue
    {
        /// <summary>What is not there.</summary>
        public static readonly JsonValue Missing = new JsonValue(JsonKind.Null);

        private static readonly JsonValue[] NoItems = new JsonValue[0];
        private static readonly Dictionary<string, JsonValue> NoMembers = new Dictionary<string, JsonValue>();

        internal JsonValue(JsonKind kind) { Kind = kind; }

        public JsonKind Kind { get; }
        internal double NumberValue;
        internal bool BooleanValue;
        internal string TextValue = "";
        internal JsonValue[]? ItemValues;
        internal double[]? NumberValues;
        internal Dictionary<string, JsonValue>? MemberValues;

        /// <summary>It is there and not null.</summary>
        public bool Exists => Kind != JsonKind.Null;

        /// <summary>The member of an object; <see cref="Missing"/> where there is none.</summary>
        public JsonValue this[string name] =>
            MemberValues != null && MemberValues.TryGetValue(name, out JsonValue found) ? found : Missing;

        /// <summary>Members of an object, in no order; none of anything else.</summary>
        public IReadOnlyDictionary<string, JsonValue> Members => MemberValues ?? NoMembers;

        /// <summary>How many entries a list has; 0 of anything else.</summary>
        public int Count => NumberValues != null ? NumberValues.Length : ItemValues != null ? ItemValues.Length : 0;

        /// <summary>Entry of a list.</summary>
        public JsonValue At(int index)
        {
            if (NumberValues != null)
            {
                return new JsonValue(JsonKind.Number) { NumberValue = NumberValues[index] };
            }
            return (ItemValues ?? NoItems)[index];
        }

        /// <summary>Text, or the fallback where it is something else.</summary>
        public string Text(string fallback) => Kind == JsonKind.Text ? TextValue : fallback;

        /// <summary>True only where it says so.</summary>
        public bool IsTrue => Kind == JsonKind.Boolean && BooleanValue;

        /// <summary>A number that any double can be; fails otherwise.</summary>
        public double Number(string field) => Kind == JsonKind.Number ? NumberValue : throw Fail(field, "a number");

        /// <summary>A whole number of 0 to <paramref name="high"/>; fails otherwise.</summary>
        public int Integer(string field, int high = int.MaxValue)
        {
            bool good = Kind == JsonKind.Number && NumberValue >= 0 && NumberValue <= high
                && NumberValue == Math.Floor(NumberValue);
            return good ? (int)NumberValue : throw Fail(field, "a whole number up to " + high);
        }

        /// <summary>A text of some; fails with their names otherwise.</summary>
        public string Choice(string field, params string[] allowed)
        {
            if (Kind == JsonKind.Text && Array.IndexOf(allowed, TextValue) >= 0) return TextValue;
            throw Fail(field, "one of " + string.Join(", ", allowed));
        }

        /// <summary>Itself, when it is a list; fails otherwise.</summary>
        public JsonValue List(string field) => Kind == JsonKind.List ? this : throw Fail(field, "a list");

        /// <summary>Texts of a list; none where it is not there.</summary>
        public string[] Texts(string field)
        {
            if (!Exists) return new string[0];
            List(field);
            var texts = new string[Count];
            for (int i = 0; i < texts.Length; i++)
            {
                JsonValue item = At(i);
                texts[i] = item.Kind == JsonKind.Text ? item.TextValue : throw Fail(field, "texts");
            }
            return texts;
        }

        /// <summary>Numbers of a list, <paramref name="count"/> of them where that is not negative; fails
        /// otherwise.</summary>
        public double[] Numbers(string field, int count = -1)
        {
            double[]? found = Kind != JsonKind.List ? null : NumberValues ?? (Count == 0 ? new double[0] : null);
            if (found == null || (count >= 0 && found.Length != count))
            {
                throw Fail(field, count < 0 ? "numbers" : count + " numbers");
            }
            return found;
        }

        private static AvatarFormatException Fail(string field, string expected) =>
            new AvatarFormatException($"'{field}' is missing or wrong: expected {expected}. Export the avatar again.");
    }
}
