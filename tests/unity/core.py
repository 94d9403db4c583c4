"""The Unity package's C# core, compiled and run by its own tests on .NET: what tests/unity/test_core.py reports."""

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from formats.codecs import glb_avatar, sequence_binary, sequence_json, unity_avatar
from formats.spherical_harmonics import rotate_sh
from tests.unity import frame_files, network_files

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
PACKAGE = ROOT / "unity_sample" / "Packages" / "com.flameport.avatar"
CI = ROOT / "unity_sample" / "ci"
if str(CI) not in sys.path:
    sys.path.insert(0, str(CI))

import dotnet_tools  # noqa: E402  # pyright: ignore[reportMissingImports]

SMALL = ("corner", "edge-height", "fitted", "linear-canonical", "linear-posed", "own-skin", "own-skin-turning-posed-lids",
         "plain-face-many-joints", "vertex", "vertex-index-surface")
"""Golden avatars that are made small for the core's tests: every binding and frame of them that differs in texels."""


class Outcome(NamedTuple):
    """What became of one NUnit case."""

    outcome: str
    """`passed`, `skipped` or `failed`."""
    name: str
    message: str


def nunit_methods() -> list[str]:
    """Return `Class.Method` of every test in Tests/Core, read from the sources."""
    found = []
    for path in sorted((PACKAGE / "Tests" / "Core").glob("*.cs")):
        text = path.read_text(encoding="utf-8")
        names = re.findall(r"\[(?:Test|TestCase\([^\n]*\))\]\s*\n\s*public void (\w+)\(", text)
        found += [f"{path.stem}.{name}" for name in names]
    return found


def make_files(folder: Path) -> None:
    """Write what the core's tests read beside the golden files: small assets, a binary clip, mirrored numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SMALL:
        avatar = glb_avatar.read(GOLDEN / "posing" / f"{name}.glb")
        (folder / f"{name}.flameavatar").write_bytes(unity_avatar.to_bytes(avatar))
    (folder / "float.flameavatar").write_bytes(
        unity_avatar.to_bytes(glb_avatar.read(GOLDEN / "posing" / "plain-face-many-joints.glb"), "float"))
    clip = sequence_json.read(GOLDEN / "posing" / "linear-posed.clip.json")
    sequence_binary.write(clip, folder / "linear-posed.fpsq")
    rng = np.random.default_rng(3)
    sh = rng.normal(size=(16, 3)).astype(np.float32)
    mirror = np.diag([-1.0, 1, 1])
    vectors = {"sh": sh.ravel().tolist(), "mirrored": rotate_sh(sh, mirror).ravel().tolist()}
    (folder / "mirror.json").write_text(json.dumps(vectors))
    frame_files.write(GOLDEN, folder / "frames")
    network_files.write(folder / "networks", folder.parent / "originals")


def run_tests(work: Path) -> list[Outcome]:
    """Compile the core, its tests and the runner into `work`, run them, and return every case's outcome.

    Raises:
        dotnet_tools.ToolMissing: There is no compiler.
        AssertionError: Something does not compile; the message is the compiler's.
    """
    core, tests, runner = work / "Flameport.Core.dll", work / "Flameport.Core.Tests.dll", work / "Runner.dll"
    nunit = dotnet_tools.FOLDER / "nunit.framework.dll"
    steps = [(sorted((PACKAGE / "Core").rglob("*.cs")), core, (), False),
             (sorted((PACKAGE / "Tests" / "Core").rglob("*.cs")), tests, (core, nunit), False),
             ([CI / "dotnet" / "Runner.cs"], runner, (), True)]
    for sources, out, references, program in steps:
        said = dotnet_tools.compile_cs(sources, out, references, program)
        assert not said, said.replace(str(ROOT), "")
    (work / nunit.name).write_bytes(nunit.read_bytes())
    make_files(work / "made")
    lines = dotnet_tools.run_program(runner, str(tests), FLAMEPORT_GOLDEN=str(GOLDEN), FLAMEPORT_MADE=str(work / "made"),
                                     FLAMEPORT_PACKAGE=str(PACKAGE))
    return [Outcome(*line.split("\t", 2)) for line in lines.splitlines()]
