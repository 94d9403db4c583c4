"""The stand-ins beside the engine's public C# reference: every public member they declare has to be there, in both versions.

    python unity_sample/ci/reference.py CHECKOUT      a clone of github.com/Unity-Technologies/UnityCsReference, with its branches

Names, types, parameter types and `static` are compared (dotnet/Reference.cs). The reference may be read, not copied, so it is no part of
this repository and of no test; run this when the stand-ins grow. Render pipelines' packages are not in it: those were read.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import assemblies
import dotnet_tools

BRANCHES = {"2022.3": ["UNITY_2022_3"], "6000.0": ["UNITY_6000_0_OR_NEWER"]}
OURS = {"PropertySheet", "ShaderValue", "Pixels", "Command", "Doing", "Imported", "Project"}
"""Types of the recorder's own, which are in no engine."""
READ = {("NativeArray`1", "IEnumerator<T> GetEnumerator()"), ("RenderPipelineAsset", "void Headless(ScriptableRenderContext, Camera)"),
        ("Editor", "Object target"), ("Editor", "Object[] targets"), ("EditorGUIUtility", "static void PingObject(Object)"),
        ("Editor", "Texture2D RenderStaticPreview(string, Object[], int, int)"), ("Editor", "static Editor CreateEditor(Object)"),
        ("SerializedProperty", "Object objectReferenceValue")}
"""Read by a person: the reference spells their types in another way, or they are the recorder's own door."""


def compare(checkout: Path) -> list[str]:
    """Return what the stand-ins declare and the reference does not, a line each."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        program = work / "Reference.dll"
        said = dotnet_tools.compile_cs([assemblies.CI / "dotnet" / "Reference.cs"], program, program=True, framework=True)
        assert not said, said
        for branch, symbols in BRANCHES.items():
            folder = work / branch
            folder.mkdir()
            archive = subprocess.run(["git", "-C", str(checkout), "archive", branch, "Runtime", "Editor/Mono", "Modules"],
                                     check=True, capture_output=True).stdout
            subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
            for part in ("UnityEngine", "UnityEditor"):
                lines = dotnet_tools.run_program(program, str(dotnet_tools.FOLDER / dotnet_tools.ROSLYN),
                                                 str(assemblies.CI / "standins" / part), str(folder), *symbols,
                                                 LD_LIBRARY_PATH=str(dotnet_tools.FOLDER / "openssl")).splitlines()
                for _, owner, member in (line.split("\t") for line in lines[:-1]):
                    if owner not in OURS and (owner, member) not in READ:
                        found.append(f"{branch} {part}: {owner}: {member}")
                print(f"{branch} {part}: {lines[-1].split()[1]} members")
    return found


if __name__ == "__main__":
    problems = compare(Path(sys.argv[1]))
    print("\n".join(problems))
    sys.exit(bool(problems))
