using UnityEditor.AssetImporters;

namespace Flameport.Editing
{
    /// <summary>Makes a `.flameseq`, a sequence as JSON or as bytes under that ending, a clip for players.</summary>
    [ScriptedImporter(1, "flameseq")]
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
