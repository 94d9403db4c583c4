using UnityEditor.AssetImporters;

namespace Flameport.Editing
{
    /// <summary>Makes a `.flameseq`, which is JSON, or a `.fpsq`, its binary twin, a clip for players.</summary>
    [ScriptedImporter(1, new[] { "flameseq", "fpsq" })]
    public sealed class SequenceImporter : ScriptedImporter
    {
        /// <inheritdoc/>
        public override void OnImportAsset(AssetImportContext ctx) => AvatarImporter.Import(ctx, data =>
        {
            SequenceAsset clip = SequenceAsset.Create(data);
            ctx.AddObjectToAsset("clip", clip);
            ctx.SetMainObject(clip);
        });
    }
}
