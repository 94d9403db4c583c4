"""What the project promises about itself."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import flameport

ROOT = Path(__file__).parents[1]
ROOMS = ("formats", "exporter", "trainers")
HEAVY = ("torch", "numba", "onnx", "onnxruntime", "av", "scipy", "plyfile", "zstandard")


def modules() -> list[str]:
    return [".".join(p.relative_to(ROOT).with_suffix("").parts) for room in ROOMS for p in sorted((ROOT / room).rglob("*.py"))
            if p.name != "__init__.py"]


def test_the_core_works_without_the_heavy_packages() -> None:
    """A web developer's laptop: inspect, import and export need NumPy and light packages only."""
    code = ("import sys\n"
            f"for name in {HEAVY!r}: sys.modules[name] = None\n"
            "import flameport, formats.deform, formats.render, formats.codecs.bundle, formats.codecs.glb_avatar\n"
            "import formats.importers.lam, formats.inspection, exporter.export, exporter.targets.glb, exporter.validate\n"
            "import exporter.targets.textures, formats.captures, formats.datasets.insta, formats.datasets.imavatar, trainers\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", modules())
def test_every_module_and_public_function_is_explained(name: str) -> None:
    tree = ast.parse((ROOT / Path(*name.split("."))).with_suffix(".py").read_text())
    assert ast.get_docstring(tree), f"{name} has no docstring"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name}.{node.name} has no docstring"


def test_public_names_exist() -> None:
    for name in flameport.__all__:
        assert hasattr(flameport, name), name


@pytest.mark.parametrize("table", ["formats.codecs:CODECS", "formats.importers:IMPORTERS", "formats.datasets:DATASETS",
                                   "formats.captures:LAYOUTS", "exporter.export:TARGETS", "trainers:TRAINERS",
                                   "trainers:STAGES"])
def test_tables_name_modules_that_exist(table: str) -> None:
    module, name = table.split(":")
    if module == "trainers":
        pytest.importorskip("torch")
    for key, path in getattr(importlib.import_module(module), name).items():
        assert inspect.getdoc(importlib.import_module(path)), key


def test_the_readme_lists_every_target_importer_and_codec() -> None:
    from exporter.export import TARGETS
    from formats.importers import IMPORTERS
    from trainers import TRAINERS

    readme = (ROOT / "README.md").read_text()
    for name in (*TARGETS, *IMPORTERS, *TRAINERS):
        assert f"`{name}`" in readme, f"README.md does not mention `{name}`"
    for command in (*flameport.COMMANDS, *flameport.PLANNED):
        assert command in readme, f"README.md does not mention {command}"


def test_nothing_personal_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False).stdout.split()
    for name in listed:
        path = ROOT / name
        if path.suffix in (".png", ".glb", ".safetensors") or not path.is_file():
            continue
        text = path.read_text(errors="ignore")
        for word in ("/work/" + "main", "/root" + "/", "regis" + "try.npmjs", "files.python" + "hosted", "pypi" + ".org"):
            assert word not in text, f"{name} mentions {word}"
