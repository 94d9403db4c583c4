using System;
using System.Collections.Generic;

namespace Flameport
{
    /// <summary>From a GLB with the extension `FLAMEPORT_avatar` (`exporter/GLB.md`) to an avatar.</summary>
    public static class GlbAvatar
    {
        private static readonly string[] Known = { Glb.Extension, Glb.Splats, "KHR_materials_unlit",
            "KHR_mesh_quantization" };

        /// <summary>Return the avatar; throws <see cref="AvatarFormatException"/>.</summary>
        public static Avatar Read(byte[] data)
        {
            Glb glb = Glb.Parse(data);
            var accessors = new GlbAccessors(glb);
            JsonValue root = glb.Json["extensions"][Glb.Extension];
            if (!root.Exists) throw new AvatarFormatException("This GLB holds no flameport avatar. Make one with "
                + "'flameport export X.avatar unity'.");
            string version = root["version"].Text("");
            if (version.Split('.')[0] != "1") throw new AvatarFormatException($"The avatar has version {version}; "
                + $"this package reads 1. Update it.");
            foreach (string name in glb.Json["extensionsRequired"].Texts("extensionsRequired"))
            {
                if (Array.IndexOf(Known, name) < 0)
                {
                    throw new AvatarFormatException($"The GLB needs {name}, which Unity does not read; use "
                        + $"'flameport export X.avatar unity'.");
                }
            }
            if (root["decoder"].Exists)
            {
                throw new AvatarFormatException("The avatar's picture is made by a network, and this package runs "
                    + "none; export it with --allow-loss.");
            }
            Head head = new GlbHead(glb, accessors).Read(root["head"]);
            return new Avatar
            {
                Grade = root["grade"].Text(""),
                Meta = Meta(root["meta"]),
                Head = head,
                Layers = Layers(glb, accessors, root, head),
                Clip = root["clip"].Exists ? new GlbClip(glb, accessors, head, root["head"]).Read(root["clip"]) : null,
            };
        }

        internal static AvatarMeta Meta(JsonValue meta) => new AvatarMeta
        {
            Name = meta["name"].Text("avatar"),
            System = meta["system"].Text(""),
            Source = meta["source"].Text(""),
            Paper = meta["paper"].Text(""),
            Tool = meta["tool"].Text(""),
            LicenseNotices = meta["licenseNotices"].Texts("meta.licenseNotices"),
        };

        private static Layer[] Layers(Glb glb, GlbAccessors accessors, JsonValue root, Head head)
        {
            JsonValue entries = root["layers"].List("layers");
            var layers = new List<Layer>();
            for (int i = 0; i < entries.Count; i++)
            {
                JsonValue entry = entries.At(i);
                string where = $"layers[{i}]";
                switch (entry["kind"].Choice(where + ".kind", "splats", "strands", "mesh"))
                {
                    case "splats": layers.Add(new GlbSplats(glb, accessors, head).Read(entry, where)); break;
                    case "strands": layers.Add(new GlbSplats(glb, accessors, head).ReadStrands(entry, where)); break;
                    default: layers.Add(new GlbHead(glb, accessors).ReadLayer(entry, root["head"], head, where)); break;
                }
            }
            return layers.ToArray();
        }
    }
}
