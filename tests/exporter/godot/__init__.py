"""Godot 3 as a test tool: a GLB goes into an empty project, and what Godot makes of it comes back.

Debian's server has the editor's importer and plays clips, but has no renderer: the two sums of the vertex shader, morph and
skin, are made here from the numbers that Godot holds.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
EXACT: dict[str, object] = {"meshes/compress": False, "animation/optimizer/enabled": False}
"""Import settings with which Godot keeps what the file says. Its own settings store skinning weights in 16 bits, whose sum is
then not 1 (off by 1.5e-5 m on a FLAME head, 8e-5 m on LAM's), and drop keys of joints that look straight."""


@dataclass(frozen=True, eq=False)
class Imported:
    """A GLB as Godot holds it, and where its clip puts the head."""

    told: dict[str, Any]
    """What pose.gd says: `nodes`, `shapes`, `material`, `clips`, `length`, ..."""
    log: str
    """What Godot complained about while importing."""
    arrays: dict[str, np.ndarray]

    def vertices(self, key: str = "frames") -> np.ndarray:
        """Return [T, V, 3], metres, at the asked times: Godot's numbers through the two sums of its vertex shader.

        Args:
            key: `frames`, the player sent to each time, or `played`, run from one to the next.
        """
        rest = self.arrays["vertices"].reshape(-1, 3).astype(np.float64)
        shapes = np.stack([self.arrays[f"shape{i}"].reshape(-1, 3) for i in range(len(self.told["shapes"]))]) - (
            rest if self.told["normalized"] else 0)
        bones = self.arrays["bones"].reshape(len(rest), 4)
        weights = self.arrays["weights"].reshape(len(rest), 4).astype(np.float64)
        posed = []
        for frame in self.told[key]:
            moved = rest + np.tensordot(np.array(frame["weights"]), shapes, 1)
            transforms = np.array(frame["transforms"]).reshape(-1, 3, 4)
            each = np.einsum("vkij,vj->vki", transforms[bones, :, :3], moved) + transforms[bones, :, 3]
            posed.append(np.einsum("vk,vki->vi", weights, each))
        return np.stack(posed)


def binary() -> str | None:
    """Return the Godot 3 that is on the PATH, or None: Debian's server, or the editor itself where there is a display."""
    return shutil.which("godot3-server") or (shutil.which("godot3") if os.environ.get("DISPLAY") else None)


def pose(path: Path, seconds: np.ndarray, folder: Path) -> np.ndarray:
    """Return the head's vertices [T, V, 3], metres, at times of a GLB's clip, imported with the settings `EXACT`.

    Args:
        path: The GLB.
        seconds: Of the clip, rising from 0.
        folder: For what comes up; empty.
    """
    return run(path, seconds, folder / "project", EXACT).vertices()


def run(path: Path, seconds: np.ndarray, project: Path, settings: dict[str, object] | None = None) -> Imported:
    """Import a GLB into a new project and play its clip; a failure is told with what Godot said.

    Args:
        path: The GLB.
        seconds: Of the clip, rising from 0.
        project: A folder that is not there yet.
        settings: Import settings that differ from Godot's own, e.g. {"animation/fps": 60}.
    """
    godot = binary()
    assert godot is not None
    shutil.copytree(FOLDER, project, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copyfile(path, project / "avatar.glb")
    if settings is not None:
        lines = ['[remap]', '', 'importer="scene"', 'type="PackedScene"', '', '[params]', '']
        lines += [f"{name}={json.dumps(value)}" for name, value in settings.items()]
        (project / "avatar.glb.import").write_text("\n".join(lines) + "\n")
    (project / "request.json").write_text(json.dumps({"seconds": [float(t) for t in seconds]}))
    # A home of its own: Godot keeps editor settings there, and a machine's own would be another test.
    home = project.with_suffix(".home")
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environment |= {"HOME": str(home), "LC_ALL": "C.UTF-8"}
    # The pack lies outside the project, or it would be packed itself.
    log = _godot([godot, "--path", str(project), "--export-pack", "pack", str(project.with_suffix(".pck"))], environment)
    _godot([godot, "--path", str(project), "-s", "pose.gd"], environment)
    told = json.loads((project / "posed.json").read_text())
    data = (project / "posed.bin").read_bytes()
    arrays = {name: np.frombuffer(data, "<i4" if name in ("bones", "indices") else "<f4", size // 4, start)
              for name, (start, size) in told["arrays"].items()}
    return Imported(told, log, arrays)


def _godot(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(command)}: {said[-3000:]}"
    return said
