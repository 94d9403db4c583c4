using System;
using System.IO;
using System.Reflection;
using Flameport;
using Flameport.Headless;

/// <summary>
/// Networks through the package's Inference assembly, against the processor's own: reads a file of one network a line (name,
/// ONNX in base64, inputs, outputs; ports as `name:3,4;other:5`), and answers each with the largest difference, relative to
/// the largest number, over two runs; or with `none` where the engine leaves it to the processor.
/// </summary>
internal static class Networks
{
    private static int Main(string[] arguments)
    {
        Engine.Begin(Assembly.Load("Flameport.Runtime.Inference"));
        foreach (string line in File.ReadAllLines(arguments[0]))
        {
            string[] parts = line.Split('\t');
            byte[] onnx = Convert.FromBase64String(parts[1]);
            var network = new AvatarNetwork(parts[0], onnx, Ports(parts[2]), Ports(parts[3]), false);
            Console.WriteLine(parts[0] + "\t" + Compare(network));
        }
        Engine.Compute = false;
        Console.WriteLine("no compute\t" + (NetworkRunners.Engine!(new AvatarNetwork("", new byte[0], new NetworkPort[0],
            new NetworkPort[0], false)) == null ? "none" : "some"));
        return 0;
    }

    private static string Compare(AvatarNetwork network)
    {
        INetworkRunner? engine;
        try { engine = NetworkRunners.Engine!(network); }
        catch (AvatarFormatException error) { return "none\t" + error.Message; }
        var program = new NetworkProgram(network);
        var random = new Random(3);
        double worst = 0;
        for (int run = 0; run < 2; run++)
        {
            for (int i = 0; i < network.Inputs.Length; i++)
            {
                for (int k = 0; k < network.Inputs[i].Count; k++)
                {
                    program.Input(i)[k] = engine!.Input(i)[k] = (float)(4 * random.NextDouble() - 2);
                }
            }
            program.Run();
            engine!.Run();
            for (int i = 0; i < network.Outputs.Length; i++)
            {
                float[] one = program.Output(i), two = engine.Output(i);
                if (one.Length != two.Length) return "another length";
                double most = 1;
                foreach (float value in one) most = Math.Max(most, Math.Abs(value));
                for (int k = 0; k < one.Length; k++) worst = Math.Max(worst, Math.Abs(one[k] - two[k]) / most);
            }
        }
        engine!.Dispose();
        return worst.ToString("R");
    }

    private static NetworkPort[] Ports(string text) => Array.ConvertAll(text.Split(';'), port =>
    {
        string[] parts = port.Split(':');
        return new NetworkPort(parts[0], parts[1].Length == 0 ? new int[0] : Array.ConvertAll(parts[1].Split(','), int.Parse));
    });
}
