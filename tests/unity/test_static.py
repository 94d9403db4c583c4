"""What can be said of the Unity package without compiling it: manifests, assemblies, meta files, names it must not use."""

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "unity_sample" / "Packages" / "com.flameport.avatar"
CI = ROOT / "unity_sample" / "ci"
if str(CI) not in sys.path:
    sys.path.insert(0, str(CI))

import meta  # noqa: E402  # pyright: ignore[reportMissingImports]

SOURCES = sorted(PACKAGE.rglob("*.cs"))
CORE = [path for path in SOURCES if path.is_relative_to(PACKAGE / "Core")]
FORBIDDEN = {
    r"\bUnity(Engine|Editor)\b": "the core knows no engine", r"\bConsole\.|\bDebug\.": "libraries do not print",
    r"System\.Linq": "it allocates each frame", r"\bdynamic\b|System\.Reflection": "IL2CPP strips what only names find",
    r"\bunsafe\b|DllImport|\bMarshal\b": "spans do", r"BinaryFormatter|JsonUtility": "strangers' files are read with bounds",
    r"\bFile\.|\bEnvironment\.|\bProcess\b|System\.Net": "it is given bytes, and asks for nothing",
    r"\bThread\b|\basync\b|\bTask\b": "players decide where it runs"}
TOO_NEW = {
    r"=\s*new\s*\(": "target-typed new", r"\bis not\b": "pattern 'is not'", r"\bis \w+ or \b": "pattern 'or'",
    r"\brecord\s+\w+": "record", r"\binit;": "init accessor", r"^namespace [\w.]+;": "file-scoped namespace",
    r"^global using": "global using", r"\brequired\b \w+ \w+": "required member"}


def _code(path: Path) -> str:
    """Return a source without comments and what stands in texts."""
    text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
    return re.sub(r'\$?"(?:[^"\\\n]|\\.)*"', '""', text)


def test_the_package_says_what_it_is() -> None:
    said = json.loads((PACKAGE / "package.json").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert said["name"] == PACKAGE.name and said["version"] == version and said["unity"] == "2022.3"
    assert said["dependencies"] == {} and said["license"] == "Apache-2.0" and len(said["description"]) > 40
    assert (PACKAGE / "LICENSE.md").read_text() == (ROOT / "LICENSE").read_text()
    assert f"## {version}" in (PACKAGE / "CHANGELOG.md").read_text()


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
    assert meta.problems(PACKAGE) == []


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
    assert long == [] and "\t" not in text and "\r" not in text and text.endswith("}\n")
    assert len(text.splitlines()) <= 420, "split it"
    assert "/// <summary>" in text
