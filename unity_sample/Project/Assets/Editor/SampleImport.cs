using System.Linq;
using UnityEditor;
using UnityEditor.PackageManager.UI;
using UnityEditor.SceneManagement;

namespace Flameport.Project
{
    /// <summary>Copies the package's sample into this project when it is opened for the first time, as the package manager's
    /// Import button does, and opens the scene that uses it.</summary>
    internal static class SampleImport
    {
        private const string Scene = "Assets/Scenes/Avatar.unity";

        [InitializeOnLoadMethod]
        private static void Start() => EditorApplication.delayCall += () =>
        {
            foreach (Sample sample in Sample.FindByPackage("com.flameport.avatar", null).Where(each => !each.isImported))
            {
                if (!sample.Import()) continue;
                AssetDatabase.Refresh();
                if (EditorSceneManager.GetActiveScene().path.Length == 0) EditorSceneManager.OpenScene(Scene);
            }
        };
    }
}
