"""What can be said of the Unity package without compiling it: manifests, assemblies, meta files, names it must not use."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from formats.avatar import SplatLayer
from formats.codecs import sequence_json, unity_avatar
from formats.standin.head import standin_head
from unity_sample.ci import meta, sample
from unity_sample.ci.unity_ids import SCRIPT, imported, xxh64

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "unity_sample" / "Packages" / "com.flameport.avatar"

PROJECT = ROOT / "unity_sample" / "Project"
SAMPLE = PACKAGE / "Samples~" / "BasicAvatar"
SOURCES = sorted(PACKAGE.rglob("*.cs"))
FACING = [path for path in SOURCES if path.relative_to(PACKAGE).parts[0] in ("Runtime", "Editor")]
"""What touches the engine in users' projects."""
MOST_FACING = 599
"""Lines of code of it: neither empty, comments nor braces alone."""
CORE = [path for path in SOURCES if path.is_relative_to(PACKAGE / "Core")]
FORBIDDEN = {
    r"\bUnity(Engine|Editor)\b": "the core knows no engine", r"\bConsole\.|\bDebug\.": "libraries do not print",
    r"System\.Linq": "it allocates each frame", r"\bdynamic\b|System\.Reflection": "IL2CPP strips what only names find",
    r"\bunsafe\b|DllImport|\bMarshal\b": "spans do", r"BinaryFormatter|JsonUtility": "strangers' files are read with bounds",
    r"\bFile\.|\bEnvironment\.|\bProcess\b|System\.Net": "it is given bytes, and asks for nothing",
    r"\bThread\b|\basync\b|\bTask\b": "players decide where it runs"}
TOO_NEW = {
    r"=\s*new\s*\(": "target-typed new", r"\bis not\b": "pattern 'is not'", r"\bis \w+ or \b": "pattern 'or'",
    r"\b(?:public|internal|sealed|partial) record\s+\w+": "record", r"\binit;": "init accessor",
    r"^namespace [\w.]+;": "file-scoped namespace",
    r"^global using": "global using", r"\brequired\b \w+ \w+": "required member"}


def _code(path: Path) -> str:
    """Return a source without comments and what stands in texts."""
    text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
    return re.sub(r'\$?"(?:[^"\\\n]|\\.)*"', '""', text)


def test_the_package_says_what_it_is() -> None:
    said = json.loads((PACKAGE / "package.json").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert said["name"] == PACKAGE.name and said["version"] == version and said["unity"] == "2022.3"
    needed = [name for name in said["dependencies"] if not name.startswith("com.unity.modules.")]
    assert needed == [] and said["license"] == "Apache-2.0" and len(said["description"]) > 40
    assert (PACKAGE / "LICENSE.md").read_text() == (ROOT / "LICENSE").read_text()
    assert f"## {version}" in (PACKAGE / "CHANGELOG.md").read_text()
    for each in said["samples"]:
        assert list((PACKAGE / each["path"]).glob("*.unity")) and each["displayName"] and each["description"]


def test_assemblies_name_themselves_and_what_they_use() -> None:
    found = {path: json.loads(path.read_text()) for path in PACKAGE.rglob("*.asmdef")}
    names = {said["name"] for said in found.values()}
    assert len(names) == len(found) and "Flameport.Core" in names
    for path, said in found.items():
        assert path.stem == said["name"]
        own = [name for name in said["references"] if not name.startswith(("Unity.", "UnityEngine.", "UnityEditor."))]
        assert set(own) <= names, path
        if "Core" in path.parts and "Tests" not in path.parts:
            assert said["noEngineReferences"] and not said["references"] and not said["allowUnsafeCode"]
    for path in SOURCES:
        above = [folder for folder in path.parents if any(folder.glob("*.asmdef"))]
        assert above and above[0].is_relative_to(PACKAGE), f"{path.name} is in no assembly"


def test_every_asset_has_its_meta_file() -> None:
    assert [line for root in meta.roots() for line in meta.problems(root)] == []
    assert len(meta.roots()) == 2


def test_meta_files_are_made_and_missed(tmp_path: Path) -> None:
    package = tmp_path / "com.a.b"
    (package / "Core").mkdir(parents=True)
    (package / "Samples~").mkdir()
    (package / "Core" / "A.cs").write_text("class A { }")
    (package / "Samples~" / "B.cs").write_text("class B { }")
    assert len(meta.problems(package)) == 2
    made = meta.write(package)
    assert [path.name for path in made] == ["Core.meta", "A.cs.meta"] and meta.problems(package) == []
    assert "MonoImporter" in made[1].read_text() and "folderAsset: yes" in made[0].read_text()
    assert meta.write(package) == []
    basic = package / "Samples~" / "Basic"
    basic.mkdir()
    (basic / "a.flameavatar").write_bytes(b"")
    (made_one,) = meta.write(package)
    assert made_one == basic / "a.flameavatar.meta" and meta.problems(package) == []
    assert f"guid: {meta.guid_of(PACKAGE, PACKAGE / 'Editor' / 'AvatarImporter.cs')}" in made_one.read_text()
    shutil.copy(made[1], package / "Core" / "C.cs.meta")
    assert "belongs to nothing" in meta.problems(package)[0]
    (package / "Core" / "C.cs").write_text("class C { }")
    assert "expected" in meta.problems(package)[0]


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_uses_nothing_that_it_must_not(path: Path) -> None:
    code = _code(path)
    assert {why: re.search(name, code) for name, why in FORBIDDEN.items() if re.search(name, code)} == {}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_sources_are_of_the_house(path: Path) -> None:
    text, code = path.read_text(encoding="utf-8"), _code(path)
    assert {why for name, why in TOO_NEW.items() if re.search(name, code, re.MULTILINE)} == set()
    long = [line for line in text.splitlines() if len(line) > 130 and "[TestCase(" not in line]
    assert long == [] and "\t" not in text and "\r" not in text and text.endswith(("}\n", "]\n"))
    assert len(text.splitlines()) <= 420, "split it"
    assert "/// <summary>" in text


def _lines_of_code(path: Path) -> int:
    """Return lines that hold more than comments, braces, `using` and `namespace`."""
    lines = [line.strip() for line in _code(path).splitlines()]
    return sum(1 for line in lines if re.search(r"\w", line) and not re.match(r"using [\w.= ]+;|namespace |#", line))


def test_what_faces_the_engine_is_small() -> None:
    counts = {path.relative_to(PACKAGE).as_posix(): _lines_of_code(path) for path in FACING}
    assert len(counts) > 8
    assert sum(counts.values()) <= MOST_FACING, counts


@pytest.mark.parametrize("path", FACING, ids=lambda path: path.stem)
def test_what_faces_the_engine_keeps_to_what_every_pipeline_has(path: Path) -> None:
    code = _code(path)
    forbidden = {
        r"System\.Linq": "it allocates each frame", r"\bunsafe\b|DllImport|\bMarshal\b": "spans do",
        r"\bWave\w+": "no wave operations", r"BinaryFormatter|JsonUtility": "the core reads files, with bounds",
        r"\bResources\.Load|\bGameObject\.Find\b": "assets are referred to, not looked for by name"}
    parts = path.relative_to(PACKAGE).parts
    if parts[0] == "Runtime":
        forbidden[r"\bFile\.|\bProcess\b|System\.Net|\bThread\b"] = "it is given bytes"
    if parts[:2] != ("Runtime", "URP"):
        forbidden[r"Rendering\.Universal"] = "URP is its own assembly's"
    if parts[:2] != ("Runtime", "HDRP"):
        forbidden[r"Rendering\.HighDefinition"] = "HDRP is its own assembly's"
    assert {why for name, why in forbidden.items() if re.search(name, code)} == set()


def test_public_members_are_documented() -> None:
    """Also what an interface of the engine's prescribes: `inheritdoc` says so."""
    missing = []
    for path in FACING:
        lines = path.read_text(encoding="utf-8").splitlines()
        for i, line in enumerate(lines):
            if not re.match(r"\s+public (?!override string ToString)", line):
                continue
            above = i - 1
            while lines[above].strip().startswith(("[", "#")):
                above -= 1
            inner = any(re.match(r"\s*(internal|private) (sealed |static |abstract )*(class|struct)", each) for each in lines[:i])
            if not lines[above].strip().startswith("///") and not inner:
                missing.append(f"{path.name}:{i + 1}")
    assert missing == []


def test_ids_of_imported_objects_are_unitys() -> None:
    """The numbers of Shader Graph's shaders and the Input System's assets, as thousands of projects have them."""
    assert imported("Shader", "MainAsset") == -6465566751694194690
    assert imported("MonoBehaviour", "<root>") == -944628639613478452
    assert xxh64(b"Nobody inspects the spammish repetition") == 0xFBCEA83C8A378BF1
    assert f"{imported('MonoBehaviour', 'avatar')}L" in (PACKAGE / "Tests/Editor/ImportTests.cs").read_text()
    importers = "".join((PACKAGE / "Editor" / f"{name}Importer.cs").read_text() for name in ("Avatar", "Sequence"))
    assert 'AddObjectToAsset("avatar", asset' in importers and 'AddObjectToAsset("clip", clip' in importers


CLASSES = {1: "GameObject", 4: "Transform", 20: "Camera", 29: "OcclusionCullingSettings", 104: "RenderSettings",
           114: "MonoBehaviour", 157: "LightmapSettings", 196: "NavMeshSettings", 1660057539: "SceneRoots"}
"""Of Unity's class numbers, those in our scenes."""
SCENES = [SAMPLE / "BasicAvatar.unity", PROJECT / "Assets" / "Scenes" / "Avatar.unity"]


@pytest.mark.parametrize("path", SCENES, ids=lambda path: path.stem)
def test_scenes_refer_to_what_is_there(path: Path) -> None:
    parts = re.split(r"^--- !u!(\d+) &(\d+)\n", path.read_text(), flags=re.MULTILINE)
    assert parts[0].startswith("%YAML 1.1")
    objects = dict(zip(map(int, parts[2::3]), zip(map(int, parts[1::3]), parts[3::3], strict=True), strict=True))
    assert len(objects) == len(parts) // 3, "a number is there twice"
    by_guid = {meta.guid_of(root, each): each for root in meta.roots() for each in meta.assets(root)}
    seen, scripts = set(), set()
    for number, (kind, text) in objects.items():
        assert text.startswith(f"{CLASSES[kind]}:\n"), f"{number} is of class {kind}"
        for name, other in re.findall(r"(\w+): \{fileID: (-?\d+)\}", text):
            assert other == "0" or int(other) in objects, f"{number}: {name} refers to {other}"
        for name, other, guid, type_ in re.findall(r"(\w+): \{fileID: (-?\d+), guid: (\w+), type: (\d)\}", text):
            assert guid in by_guid and type_ == "3", f"{number}: {name} refers to a file that is not there"
            target = by_guid[guid]
            scripts |= {target} if name == "m_Script" else set()
            wanted = {".cs": SCRIPT, ".flameavatar": imported("MonoBehaviour", "avatar"),
                      ".flameseq": imported("MonoBehaviour", "clip")}[target.suffix]
            assert int(other) == wanted, f"{number}: {name}"
            seen.add(target.suffix)
        if kind == 114:
            script = by_guid[re.findall(r"m_Script: \{fileID: \d+, guid: (\w+)", text)[0]].read_text()
            for field in re.findall(r"^  (?!m_)([a-z]\w*): ", text, re.MULTILINE):
                assert re.search(rf"\b{field}\b", script), f"{number}: its script has no field '{field}'"
    players = [text for kind, text in objects.values() if kind == 114 and "  avatar: {fileID: " in text]
    assert players and ".flameavatar" in seen and PACKAGE / "Runtime" / "AvatarPlayer.cs" in scripts
    # Every component is listed by its object, and every root by the scene.
    roots = {int(each) for each in re.findall(r"fileID: (\d+)", objects[9223372036854775807][1])}
    assert roots == {number for number, (kind, _) in objects.items() if kind == 4}
    for number, (kind, text) in objects.items():
        if kind in (4, 20, 114):
            owner = int(re.findall(r"m_GameObject: \{fileID: (\d+)\}", text)[0])
            assert f"component: {{fileID: {number}}}" in objects[owner][1]


def test_the_sample_is_what_its_command_makes() -> None:
    for path, text in sample.scenes().items():
        assert path.read_text() == text, "run python unity_sample/ci/sample.py"
    stored = SAMPLE / "BasicAvatar.flameavatar"
    assert stored.stat().st_size < 2_000_000
    held, head = unity_avatar.read(stored), standin_head(teeth=True).personalise()
    assert held.sequence is not None
    assert held.head.arkit_map is not None and held.sequence.edition == held.head.content_hash
    assert np.abs(held.head.v_template - head.v_template).max() < 5e-5
    layer = held.layers[0]
    assert isinstance(layer, SplatLayer) and len(layer.cloud) == sample.GAUSSIANS
    assert held.meta.license_notices and held.meta.system == "standin"
    clip = sequence_json.read(SAMPLE / "Smile.flameseq")
    assert len(clip) > 20 and clip.edition == held.head.content_hash


def test_the_project_opens_with_the_package() -> None:
    manifest = json.loads((PROJECT / "Packages" / "manifest.json").read_text())
    place = manifest["dependencies"][PACKAGE.name]
    assert (PROJECT / "Packages" / place.removeprefix("file:")).resolve() == PACKAGE
    assert manifest["testables"] == [PACKAGE.name]
    said = json.loads((PACKAGE / "package.json").read_text())["dependencies"]
    assert set(said) <= set(manifest["dependencies"])
    assert "m_EditorVersion: 2022.3." in (PROJECT / "ProjectSettings" / "ProjectVersion.txt").read_text()
    assert "m_ActiveColorSpace: 1" in (PROJECT / "ProjectSettings" / "ProjectSettings.asset").read_text()
    build = (PROJECT / "ProjectSettings" / "EditorBuildSettings.asset").read_text()
    scene = PROJECT / "Assets" / "Scenes" / "Avatar.unity"
    assert f"guid: {meta.guid_of(PROJECT / 'Assets', scene)}" in build


FEATURES = ("posing", "ordering", "spherical harmonics", "gamma-correct", "linear dynamics", "mesh layers", "strands", "fallback",
            "JSON and binary", "ARKit", "idle", "several avatars", "built-in", "URP", "HDRP", "importers", "inspector",
            "self-test", "sample", "networks")
"""What the package is asked to do: each is in a row of its README's table."""


def test_the_readme_tells_of_each_feature_what_was_run() -> None:
    text = (PACKAGE / "README.md").read_text()
    assert re.match(r"# .+\n\n!\[.+\]\((.+)\)", text) and text.index("## Install") < 1500
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert 10_000 < (PACKAGE / picture).stat().st_size < 200_000
    table = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert rows[0][0] == "feature" and rows[0][-1] == "confirmed in an editor by" and {len(row) for row in rows} == {len(rows[0])}
    for name in FEATURES:
        assert any(name in row[0] for row in rows), f"the table says nothing of {name}"
    # Whoever confirms something says with what.
    assert all(not row[-1] or re.search(r"20\d\d|6000", row[-1]) for row in rows[2:])
    steps = re.findall(r"^(\d)\. ", text[text.index("## Install"):text.index("## Your own")], re.MULTILINE)
    assert steps == ["1", "2", "3"]


def test_documents_name_files_that_are_there() -> None:
    for document in (PACKAGE / "README.md", ROOT / "unity_sample" / "README.md"):
        text = document.read_text()
        for path in re.findall(r"\]\(([\w./~-]+)\)", text):
            assert (document.parent / path).exists(), path
        for path in re.findall(r"`((?:unity_sample|exporter)/[\w./~-]+)`", text):
            assert (ROOT / path).exists(), path
        for path in re.findall(r"`(ci/[\w./-]+)`", text):
            assert (ROOT / "unity_sample" / path).exists(), path
        for name in re.findall(r"`(test_\w+\.py)`", text):
            assert (ROOT / "tests" / "unity" / name).exists(), name
