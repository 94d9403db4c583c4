"""How far engines are off at key times when they play our GLB: three avatars, every grade an engine reads.

    measure("three.js", "small", "lam")       largest distance from `formats.deform`, in metres

Called by `scripts/benchmark engines`, which adds the rows to benchmarks/engines.csv. The demo's avatar is taken from
FLAMEPORT_DEMO or from `demo/` in the checkout, and trained there first when it is missing; the LAM sample from FLAMEPORT_DATA.
An engine more is an entry more in `ENGINES`.
"""

import functools
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from formats.avatar import Avatar  # noqa: E402
from tests.exporter import blender, engine_avatars, godot, node_engines  # noqa: E402
from tests.exporter.engine_avatars import EngineCase  # noqa: E402

DATA = Path(os.environ.get("FLAMEPORT_DATA", ROOT.parent / "shared" / "data"))
_FILES = tempfile.TemporaryDirectory(prefix="engines-")


@dataclass(frozen=True)
class Engine:
    """One program that opens a GLB."""

    grades: tuple[str, ...]
    """Those it reads."""
    available: Callable[[], bool]
    pose: Callable[[EngineCase, Path], np.ndarray]
    """Vertices [T, n, 3], metres, in the file's order at the case's times; the folder is its own, and empty."""
    note: str = ""
    """What was done that a user would have to do."""


def _in_node(name: str) -> Engine:
    return Engine(engine_avatars.GRADES, lambda: node_engines.available(name),
                  lambda case, folder: node_engines.pose(name, case.path, case.seconds)[0])


ENGINES: dict[str, Engine] = {name: _in_node(name) for name in node_engines.SCRIPTS} | {
    "Blender": Engine(("plain", "full"), blender.installed, lambda case, folder: blender.pose(
        blender.python(), case.path, case.seconds, int(engine_avatars.FPS), folder).vertices, "; sliders of shape keys widened"),
    "Godot 3": Engine(("plain", "full"), lambda: godot.binary() is not None,
                      lambda case, folder: godot.pose(case.path, case.seconds, folder),
                      "; imported without compression and optimizer"),
}
"""Blender needs scripts/blender, once. Neither reads `small`, whose extensions are required."""


def measure(engine: str, grade: str, avatar: str) -> float:
    """Return the largest error of posed head vertices over the keys of a clip, metres.

    Args:
        engine: A key of `ENGINES`.
        grade: One of its grades.
        avatar: One of `engine_avatars.AVATARS`.
    """
    case = _case(avatar, grade)
    return case.error(ENGINES[engine].pose(case, Path(tempfile.mkdtemp(dir=_FILES.name))))


def rows() -> list[dict[str, object]]:
    """Return a row for each engine that is installed, grade it reads, and avatar that is here."""
    found: list[dict[str, object]] = []
    for name, engine in ENGINES.items():
        if not engine.available():
            print(f"{name}: not installed, left out", file=sys.stderr)
            continue
        for grade in engine.grades:
            for avatar in engine_avatars.AVATARS:
                if avatar == "lam" and not _lam_archive().is_file():
                    print(f"{_lam_archive()}: not here, left out", file=sys.stderr)
                    continue
                error = measure(name, grade, avatar)
                found.append({"what": f"{name}, {grade}, {avatar}", "value": f"{error:.2g}", "unit": "m",
                              "note": f"largest over {len(_case(avatar, grade).seconds)} keys; "
                                      f"bound {engine_avatars.BOUNDS[grade]:.0e}{engine.note}"})
    return found


@functools.cache
def _case(avatar: str, grade: str) -> EngineCase:
    return engine_avatars.make_case(avatar, grade, _avatar(avatar), Path(_FILES.name))


@functools.cache
def _avatar(name: str) -> Avatar:
    if name == "demo":
        import flameport

        folder = Path(os.environ.get("FLAMEPORT_DEMO", ROOT / "demo"))
        if flameport.main(["demo", "--out", str(folder), "--no-open"]):
            raise SystemExit("engines: the demo failed")
        return engine_avatars.demo_avatar(folder)
    if name == "lam":
        return engine_avatars.lam_avatar(_lam_archive())
    return engine_avatars.gaussian_avatars_avatar(Path(tempfile.mkdtemp(dir=_FILES.name)))


def _lam_archive() -> Path:
    return DATA / "lam_p2-1.zip"
