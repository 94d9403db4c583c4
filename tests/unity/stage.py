"""Plays of the Unity package without Unity: scripts for dotnet/Stage.cs, and what the reference shows at the same moments."""

import fcntl
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from formats.avatar import Avatar
from formats.camera import Camera
from formats.codecs import glb_avatar, unity_avatar
from formats.picture import psnr
from formats.render import RenderOptions, render_avatar
from formats.sequence import Sequence
from tests.unity.core import dotnet_tools
from tests.web_viewer.browser import unavailable
from unity_sample.ci import assemblies
from unity_sample.ci.assemblies import Cell, Plan
from unity_sample.ci.kernels import SHADERS
from unity_sample.ci.replay import Picture, Replay

NEAR = 0.1
"""Metres: what Stage.cs gives its cameras."""
MIRROR = np.diag([-1.0, 1, 1])


STAGES = (Cell("2022.3", "built-in", editor=False), Cell("2022.3", "URP", editor=False), Cell("6000.0", "URP", editor=False),
          Cell("6000.0", "HDRP", editor=False), Cell("6000.0", "built-in"))
"""Where plays are run; the last one in the editor."""
ENGINES = (Cell("2022.3", "built-in", True, editor=False), Cell("6000.0", "built-in", True, editor=False))
"""Where networks are run through Inference's stand-in: as Sentis, and under its name of today."""
WRONG = {
    "New": "namespace Loose { public sealed class New : UnityEngine.Rendering.ContextItem { public override void Reset() { } } }",
    "Old": "namespace Loose { public static class Old { public static object Any() => "
           "UnityEngine.Object.FindObjectsOfType<UnityEngine.Camera>(); } }",
    "Nowhere": "namespace Loose { public static class Nowhere { public static int Any() => UnityEngine.Time.framesCounted; } }"}
"""Scripts that must not compile in one version, or in any."""


@dataclass
class Built:
    """Everything of the package that Unity would compile, and Stage.cs with it."""

    plan: Plan
    errors: dict[str, list[str]]
    """By unit."""
    programs: dict[Cell, Path]


def built(shared: Path) -> Built:
    """Compile everything once, whichever process of the tests comes first; the others wait for it and read what it said.

    Skips, or fails in CI, where there is no compiler.
    """
    work = shared / "unity_assemblies"
    work.mkdir(exist_ok=True)
    plan, programs = planned(work)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = work / "errors.json"
        if not said.is_file():
            try:
                if os.environ.get("CI") == "true":
                    dotnet_tools.install()
                errors = assemblies.compile_plan(plan, assemblies.build_compiler(work), work)
            except dotnet_tools.ToolMissing as error:
                unavailable(str(error))
            said.write_text(json.dumps(errors))
    return Built(plan, json.loads(said.read_text()), programs)


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return a temporary folder that all processes of a run share."""
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def planned(work: Path) -> tuple[Plan, dict[Cell, Path]]:
    """Return what to compile and where the programs will be: every cell, Stage.cs in some, and what has to fail."""
    plan, programs = Plan().fill(), {}
    for cell in STAGES:
        out = work / cell.name.replace(" ", "-")
        out.mkdir(exist_ok=True)
        names = ["Stage.cs", "Mistakes.cs", *(["Project.cs"] if cell.editor else [])]
        sources = [assemblies.CI / "dotnet" / name for name in names]
        plan.write_to(plan.loose("Stage", sources, cell, nullable=True, program=True), out)
        programs[cell] = out / "Stage.dll"
    for cell in ENGINES:
        out = work / cell.name.replace(" ", "-")
        out.mkdir(exist_ok=True)
        source = assemblies.CI / "dotnet" / "Networks.cs"
        plan.write_to(plan.loose("Networks", [source], cell, nullable=True, program=True), out)
        programs[cell] = out / "Networks.dll"
    for name, text in WRONG.items():
        path = work / f"{name}.cs"
        path.write_text(text)
        for unity in ("2022.3", "6000.0"):
            cell = Cell(unity, "URP")
            key = plan.loose(name, [path], cell)
            if name == "New":
                plan.units[key].uses.append(plan.standin("Unity.RenderPipelines.Core.Runtime", cell))
    # URP's assembly with one reference less, each of which has to fail.
    whole = plan.units[plan.assembly("Flameport.Runtime.Universal", Cell("6000.0", "URP"))]
    for lost in ("Unity.RenderPipelines.Core.Runtime", "Flameport.Runtime"):
        uses = [name for name in whole.uses if name.split("@")[0] != lost]
        assert len(uses) == len(whole.uses) - 1
        plan.add(assemblies.Unit("Broken", whole.sources, [*whole.defines], uses, nullable=True))
    return plan, programs


@dataclass(frozen=True)
class Place:
    """Where a player stands in Unity's left-handed world."""

    position: tuple[float, float, float] = (0, 0, 0)
    turn: float = 0
    """Degrees."""
    axis: tuple[float, float, float] = (0, 1, 0)

    @property
    def words(self) -> str:
        """Return it as a script says it."""
        return f"position={_words(self.position)} turn={self.turn} axis={_words(self.axis)}"

    @property
    def rotation(self) -> np.ndarray:
        """Return Unity's rotation matrix."""
        angle, axis = np.deg2rad(self.turn), np.asarray(self.axis) / np.linalg.norm(self.axis)
        x, y, z = axis
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@dataclass(frozen=True)
class View:
    """A camera in Unity's left-handed world."""

    name: str
    position: tuple[float, float, float]
    towards: tuple[float, float, float] = (0, 0, -1)
    fov: float = 20
    """Degrees, from top to bottom."""
    size: tuple[int, int] = (192, 192)
    texture: bool = False
    """It draws into a texture of its own, not into the window."""

    @property
    def words(self) -> str:
        """Return it as a script says it."""
        own = f" width={self.size[0]} height={self.size[1]}" if self.texture else ""
        return f"camera name={self.name} position={_words(self.position)} towards={_words(self.towards)} fov={self.fov}{own}"

    def camera(self, place: Place) -> Camera:
        """Return the same camera as a player's avatar sees it: right-handed, in the avatar's own axes."""
        forward = np.asarray(self.towards, float) / np.linalg.norm(self.towards)
        right = np.cross([0, 1, 0], forward)
        right /= np.linalg.norm(right)
        axes = np.stack([right, -np.cross(forward, right), forward])
        matrix = np.eye(4)
        matrix[:3, :3] = axes @ place.rotation @ MIRROR
        matrix[:3, 3] = axes @ (np.asarray(place.position) - np.asarray(self.position))
        width, height = self.size
        focal = height / 2 / np.tan(np.deg2rad(self.fov) / 2)
        return Camera(np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]), matrix, width, height)


def _words(vector: Iterable[float]) -> str:
    return ",".join(f"{number!r}" for number in vector)


@dataclass
class Play:
    """A script, and what came of it."""

    folder: Path
    lines: list[str] = field(default_factory=list)
    said: list[list[str]] = field(default_factory=list)

    def add(self, *lines: str) -> "Play":
        """Add steps."""
        self.lines += lines
        return self

    def run(self, program: Path) -> "Play":
        """Run the script; fail with what a step threw."""
        self.folder.mkdir(parents=True, exist_ok=True)
        script = self.folder / "play.txt"
        script.write_text("\n".join(self.lines))
        out = dotnet_tools.run_program(program, str(SHADERS), str(script))
        self.said = [line.split("\t") for line in out.splitlines()]
        failed = [line for line in self.said if line[0].startswith("failed")]
        assert not failed, "\n".join(failed[0]).replace("\\n", "\n")
        return self

    def of(self, word: str) -> list[list[str]]:
        """Return answers of a kind."""
        return [line[1:] for line in self.said if line[0] == word]

    def replay(self, exact: bool = True) -> Replay:
        """Do the trace again on the CPU driver."""
        return Replay(self.folder, exact).run()


def read(path: Path) -> Avatar:
    """Return the avatar in a file for Unity."""
    return glb_avatar.read(path) if path.read_bytes()[:4] == b"glTF" else unity_avatar.read(path)


def wanted(avatar: Avatar, seconds: float, view: View, place: Place, sequence: Sequence | None = None) -> np.ndarray:
    """Return the reference's picture on white at a moment of a clip, the avatar's own unless given."""
    clip = sequence or avatar.sequence
    assert clip is not None
    return render_avatar(avatar, clip, seconds * clip.fps, view.camera(place), RenderOptions(near=NEAR)).rgb


def decibels(picture: Picture, expected: np.ndarray) -> float:
    """Return how near a picture is to what is wanted; the wanted one shows something."""
    assert expected.std() > 0.02, "the reference picture is empty"
    assert picture.rgba.shape[:2] == expected.shape[:2]
    return psnr(np.clip(picture.rgba[..., :3], 0, 1), expected)


def numbers(text: str) -> list[float]:
    """Return the numbers in an answer."""
    return [float(part) for part in re.findall(r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?", text)]
