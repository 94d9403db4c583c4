using System;
using System.Collections.Generic;
using System.Diagnostics;

namespace Flameport
{
    /// <summary>A buffer of the self-test: what it holds before the first step.</summary>
    public sealed class SelfTestBuffer
    {
        public string Name = "";
        /// <summary>Bytes of an element, and how many elements.</summary>
        public int Stride, Count;
        /// <summary>Its bytes; null where it starts with zeros.</summary>
        public byte[]? Data;

        /// <summary>Return what it holds in words, for an upload.</summary>
        public uint[] Words()
        {
            var words = new uint[Count * Stride / 4];
            if (Data != null) Buffer.BlockCopy(Data, 0, words, 0, Data.Length);
            return words;
        }
    }

    /// <summary>A dispatch of the self-test.</summary>
    public sealed class SelfTestStep
    {
        public string Kernel = "";
        public int Groups;
        /// <summary>Names in HLSL, and which of the file's buffers they are.</summary>
        public KeyValuePair<string, int>[] Buffers = new KeyValuePair<string, int>[0];
        /// <summary>Names in HLSL, and values.</summary>
        public KeyValuePair<string, int>[] Constants = new KeyValuePair<string, int>[0];
    }

    /// <summary>
    /// What the self-test runs on a card and what should come out: tables, dispatches and numbers of the reference
    /// implementation. `unity_sample/ci/self_test.py` in flameport's repository makes it, and runs it on a processor.
    /// </summary>
    public sealed class SelfTestFile
    {
        private const int Repeats = 20;
        private readonly SmallFile file;

        private SelfTestFile(SmallFile file)
        {
            this.file = file;
            JsonValue json = file.Json;
            json["grade"].Choice("grade", "self-test");
            Buffers = Array.ConvertAll(Entries(json["buffers"]), BufferOf);
            var places = new Dictionary<string, int>();
            for (int i = 0; i < Buffers.Length; i++) places[Buffers[i].Name] = i;
            Steps = Array.ConvertAll(Entries(json["steps"]), entry => StepOf(entry, places));
            Checks = Array.ConvertAll(Entries(json["checks"]), entry => CheckOf(entry, places));
            Picture = new SelfTestPicture(json["picture"], Chunk(json["picture"]["chunk"].Text("")));
            Order = places[json["picture"]["order"].Text("")];
            Ellipses = places[json["picture"]["ellipses"].Text("")];
            Total = json["picture"]["total"].Integer("picture.total");
            Player = new SelfTestPlayer(json["player"], Picture.Height, Chunk(json["player"]["chunk"].Text("")));
        }

        public SelfTestBuffer[] Buffers { get; }
        public SelfTestStep[] Steps { get; }
        public SelfTestCheck[] Checks { get; }
        /// <summary>What the buffers <see cref="Order"/> and <see cref="Ellipses"/> draw, and what a player
        /// shows.</summary>
        public SelfTestPicture Picture { get; }
        public int Order { get; }
        public int Ellipses { get; }
        /// <summary>Gaussians that are drawn.</summary>
        public int Total { get; }
        /// <summary>An avatar and a camera for a player that should show the same.</summary>
        public SelfTestPlayer Player { get; }

        /// <summary>Run the largest step of each kernel again and again, and tell the report how long one takes.</summary>
        /// <param name="report">Is told.</param>
        /// <param name="dispatch">Starts a step.</param>
        /// <param name="wait">Waits until the card has done what was started, by reading a buffer.</param>
        public void Time(SelfTestReport report, Action<SelfTestStep> dispatch, Action<int> wait)
        {
            var largest = new Dictionary<string, SelfTestStep>();
            foreach (SelfTestStep step in Steps)
            {
                bool known = largest.TryGetValue(step.Kernel, out SelfTestStep other);
                if (!known || step.Groups > other.Groups) largest[step.Kernel] = step;
            }
            foreach (SelfTestStep step in largest.Values)
            {
                double Milliseconds(int times)
                {
                    Stopwatch watch = Stopwatch.StartNew();
                    for (int i = 0; i < times; i++) dispatch(step);
                    wait(step.Buffers[0].Value);
                    return watch.Elapsed.TotalMilliseconds;
                }
                // What starting and reading back take is in both.
                double one = Milliseconds(1), many = Milliseconds(1 + Repeats);
                report.Time($"{step.Kernel}, {step.Groups} groups", (many - one) / Repeats);
            }
        }

        /// <summary>Return the self-test in a file's bytes; throws <see cref="AvatarFormatException"/>.</summary>
        public static SelfTestFile Read(byte[] data)
        {
            try
            {
                return new SelfTestFile(SmallFile.Parse(data));
            }
            catch (KeyNotFoundException)
            {
                throw new AvatarFormatException("The self-test names a buffer that it does not have. Install the "
                    + "package again.");
            }
        }

        private static JsonValue[] Entries(JsonValue list)
        {
            var found = new JsonValue[list.Count];
            for (int i = 0; i < found.Length; i++) found[i] = list.At(i);
            return found;
        }

        private byte[] Chunk(string name) => file.Chunk(name) ?? throw new AvatarFormatException($"The self-test's "
            + $"chunk '{name}' is missing. Install the package again.");

        private SelfTestBuffer BufferOf(JsonValue entry)
        {
            var buffer = new SelfTestBuffer
            {
                Name = entry["name"].Text(""),
                Stride = entry["stride"].Integer("stride", 2048),
                Count = entry["rows"].Integer("rows", 1 << 24),
            };
            if (entry["pattern"].Exists) buffer.Data = SelfTestCheck.KeyBytes(buffer.Count);
            if (entry["chunk"].Exists) buffer.Data = Chunk(entry["chunk"].Text(""));
            if (entry["inside"].Exists) buffer.Data = SmallFile.Parse(buffer.Data!).Chunk(entry["inside"].Text(""));
            if (buffer.Data != null && buffer.Data.Length != buffer.Stride * buffer.Count)
            {
                throw new AvatarFormatException($"The self-test's buffer '{buffer.Name}' has {buffer.Data.Length} bytes, "
                    + $"expected {buffer.Stride * buffer.Count}. Install the package again.");
            }
            return buffer;
        }

        private static SelfTestStep StepOf(JsonValue entry, Dictionary<string, int> places)
        {
            var buffers = new List<KeyValuePair<string, int>>();
            foreach (var each in entry["buffers"].Members)
            {
                buffers.Add(new KeyValuePair<string, int>(each.Key, places[each.Value.Text("")]));
            }
            var constants = new List<KeyValuePair<string, int>>();
            foreach (var each in entry["constants"].Members)
            {
                constants.Add(new KeyValuePair<string, int>(each.Key, each.Value.Integer(each.Key)));
            }
            return new SelfTestStep
            {
                Kernel = entry["kernel"].Text(""),
                Groups = entry["groups"].Integer("groups", 65535),
                Buffers = buffers.ToArray(),
                Constants = constants.ToArray(),
            };
        }

        private SelfTestCheck CheckOf(JsonValue entry, Dictionary<string, int> places)
        {
            byte[] expected = entry["chunk"].Exists ? Chunk(entry["chunk"].Text("")) : new byte[0];
            int buffer = places[entry["buffer"].Text("")];
            return new SelfTestCheck(entry, buffer, Buffers[buffer].Count, expected);
        }
    }
}
