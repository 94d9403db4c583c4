using System;
using System.IO;
using UnityEditor;
using UnityEditor.AssetImporters;
using UnityEngine;
using Object = UnityEngine.Object;

namespace Flameport.Editing
{
    /// <summary>Makes a `.flameavatar` an object that plays it, ready to be dragged into a scene. Sub-assets: `avatar` (<see
    /// cref="AvatarAsset"/>), `player` (the object), `picture`.</summary>
    [ScriptedImporter(1, "flameavatar")]
    public sealed class AvatarImporter : ScriptedImporter
    {
        internal const string Package = "Packages/com.flameport.avatar/";
        private const int PictureSize = 64;

        /// <inheritdoc/>
        public override void OnImportAsset(AssetImportContext ctx) => Import(ctx, data =>
        {
            // Shaders are imported first, also when everything is new; and this file again when one changes.
            AvatarAsset asset = Asset(data, ctx.DependsOnArtifact);
            var thing = new GameObject(Path.GetFileNameWithoutExtension(ctx.assetPath));
            thing.AddComponent<AvatarPlayer>().Avatar = asset;
            Texture2D? picture = Picture(asset.Load());
            if (picture != null) ctx.AddObjectToAsset("picture", picture);
            ctx.AddObjectToAsset("avatar", asset, picture);
            ctx.AddObjectToAsset("player", thing, picture);
            ctx.SetMainObject(thing);
        });

        /// <summary>Import a file's bytes, or say in one line why not.</summary>
        internal static void Import(AssetImportContext ctx, Action<byte[]> import)
        {
            try
            {
                import(File.ReadAllBytes(ctx.assetPath));
            }
            catch (AvatarException error)
            {
                ctx.LogImportError($"{ctx.assetPath}: {error.Message}");
            }
        }

        /// <summary>Return an asset with the package's shaders; <paramref name="using"/> is told their paths.</summary>
        internal static AvatarAsset Asset(byte[] data, Action<string> @using) => AvatarAsset.Create(data,
            Loaded<ComputeShader>("Shaders/AvatarKernels.compute", @using), Loaded<Shader>("Shaders/Avatar.shader", @using),
            Loaded<Shader>("Shaders/AvatarMesh.shader", @using), Loaded<Shader>("Shaders/AvatarComposite.shader", @using),
            Loaded<Shader>("Shaders/AvatarFallback.shader", @using));

        /// <summary>Return a file of the package.</summary>
        internal static T Loaded<T>(string name, Action<string>? @using = null) where T : Object
        {
            @using?.Invoke(Package + name);
            return AssetDatabase.LoadAssetAtPath<T>(Package + name);
        }

        private static Texture2D? Picture(Avatar avatar)
        {
            byte[]? pixels = Portrait.Draw(avatar, PictureSize);
            if (pixels == null) return null;
            var picture = new Texture2D(PictureSize, PictureSize, TextureFormat.RGBA32, false) { name = "picture" };
            picture.LoadRawTextureData(pixels);
            picture.Apply();
            return picture;
        }
    }
}
