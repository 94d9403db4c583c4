"""Makes and checks the `.meta` file of every file and folder of the Unity package, its samples and the project's assets.

    python unity_sample/ci/meta.py            writes what is missing, and removes those of files that are gone
    python unity_sample/ci/meta.py --check    says what is missing, twice there, or wrong, and exits 1

Without them Unity ignores assets of installed packages, and scenes find nothing. A guid is made from the package's name and the path
in it, so it is the same on every machine and never changes while a file stays where it is. A meta file that is there keeps what else
Unity wrote into it; only its guid is checked.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[1] / "Packages"
PROJECT = PACKAGES.parent / "Project"
IMPORTERS = {".cs": "MonoImporter", ".asmdef": "AssemblyDefinitionImporter", ".compute": "ComputeShaderImporter",
             ".shader": "ShaderImporter", ".hlsl": "ShaderIncludeImporter", ".md": "TextScriptImporter",
             ".json": "TextScriptImporter", ".txt": "TextScriptImporter", ".bytes": "TextScriptImporter"}
"""File ending to what Unity imports it with; others are `DefaultImporter`."""
SCRIPTED = {".flameavatar": "Editor/AvatarImporter.cs", ".flameseq": "Editor/SequenceImporter.cs",
            ".fpsq": "Editor/SequenceImporter.cs"}
"""File ending to the importer of the package's own."""
MONO = ("\n  externalObjects: {}\n  serializedVersion: 2\n  defaultReferences: []\n  executionOrder: 0"
        "\n  icon: {instanceID: 0}\n  userData: \n  assetBundleName: \n  assetBundleVariant: \n")
SCRIPT = ("\n  internalIDToNameTable: []\n  externalObjects: {}\n  serializedVersion: 2\n  userData: \n  assetBundleName: "
          "\n  assetBundleVariant: \n  script: {fileID: 11500000, guid: %s, type: 3}\n")
OTHER = "\n  externalObjects: {}\n  userData: \n  assetBundleName: \n  assetBundleVariant: \n"


def assets(package: Path) -> Iterator[Path]:
    """Give every file and folder that Unity sees in a package: nothing hidden, no meta files.

    What lies in a sample's folder is copied into projects with its meta files; other folders that end in `~` are never seen.
    """
    for path in sorted(package.iterdir()):
        if path.name == "Samples~":
            for sample in sorted(each for each in path.iterdir() if each.is_dir()):
                yield from assets(sample)
        if path.name.startswith(".") or path.name.endswith("~") or path.suffix == ".meta" or path.name == "__pycache__":
            continue
        yield path
        if path.is_dir():
            yield from assets(path)


def roots() -> list[Path]:
    """Return the folders whose contents have meta files: packages, and the project's assets."""
    return [*sorted(path.parent for path in PACKAGES.glob("*/package.json")), *(p for p in [PROJECT / "Assets"] if p.is_dir())]


def guid_of(package: Path, path: Path) -> str:
    """Return the 32 hexadecimal digits of an asset."""
    name = f"{package.name}/{path.relative_to(package).as_posix()}"
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def meta_of(package: Path, path: Path) -> str:
    """Return the text of an asset's meta file."""
    start = f"fileFormatVersion: 2\nguid: {guid_of(package, path)}\n"
    if path.is_dir():
        return f"{start}folderAsset: yes\nDefaultImporter:{OTHER}"
    if path.suffix in SCRIPTED:
        owner = PACKAGES / "com.flameport.avatar"
        return f"{start}ScriptedImporter:{SCRIPT % guid_of(owner, owner / SCRIPTED[path.suffix])}"
    importer = "PackageManifestImporter" if path == package / "package.json" else IMPORTERS.get(path.suffix, "DefaultImporter")
    return f"{start}{importer}:{MONO if importer == 'MonoImporter' else OTHER}"


def meta_path(path: Path) -> Path:
    """Return where an asset's meta file lies: beside it."""
    return path.with_name(f"{path.name}.meta")


def problems(package: Path) -> list[str]:
    """Return what is wrong with the meta files of a package, a line each."""
    found, seen = [], {}
    for path in assets(package):
        meta, name = meta_path(path), path.relative_to(package).as_posix()
        if not meta.is_file():
            found.append(f"{name}: has no .meta; run python unity_sample/ci/meta.py")
            continue
        match = re.search(r"^guid: ([0-9a-f]{32})$", meta.read_text(encoding="utf-8"), re.MULTILINE)
        if match is None or match[1] != guid_of(package, path):
            found.append(f"{name}: its .meta has guid {match and match[1]}, expected {guid_of(package, path)}")
        elif match[1] in seen:
            found.append(f"{name}: has the guid of {seen[match[1]]}")
        else:
            seen[match[1]] = name
    known = {meta_path(path) for path in assets(package)}
    found += [f"{path.relative_to(package).as_posix()}: belongs to nothing" for path in _metas(package) if path not in known]
    return found


def write(package: Path) -> list[Path]:
    """Write the meta files that are missing, remove those of nothing, and return what was written."""
    known, made = set(), []
    for path in assets(package):
        meta = meta_path(path)
        known.add(meta)
        if not meta.is_file():
            meta.write_text(meta_of(package, path), encoding="utf-8", newline="\n")
            made.append(meta)
    for path in _metas(package):
        if path not in known:
            path.unlink()
    return made


def _metas(package: Path) -> list[Path]:
    return [path for path in sorted(package.rglob("*.meta"))
            if not any(part.endswith("~") and part != "Samples~" for part in path.relative_to(package).parts)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, say what is wrong")
    check = parser.parse_args().check
    failed = False
    for package in roots():
        if not check:
            for path in write(package):
                print(path.relative_to(PACKAGES.parent))
        for line in problems(package):
            failed = True
            print(f"{package.name}/{line}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
