"""Blender as a test tool: it imports a GLB in an environment of its own and plays it."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
SCRIPT = FOLDER.parents[2] / "scripts" / "blender"


@dataclass(frozen=True, eq=False)
class Imported:
    """Where Blender puts the head, and what a user finds in the file."""

    vertices: np.ndarray
    """[T, V, 3], metres, glTF's axes, in the file's order; the sliders of its shape keys widened."""
    as_imported: np.ndarray
    """The same with the sliders as the importer leaves them, which clamps coefficients."""
    told: dict[str, Any]


def installed() -> bool:
    """Tell whether `scripts/blender` has made its environment."""
    home = os.environ.get("FLAMEPORT_BLENDER") or SCRIPT.parents[1] / ".venv-blender"
    return (Path(home) / ".blender-version").is_file()


def python() -> Path:
    """Return the Python that has Blender in it, made by `scripts/blender` where there is none (a gigabyte, once).

    Raises:
        subprocess.CalledProcessError: It could not be made; its output says why.
    """
    done = subprocess.run([str(SCRIPT)], stdout=subprocess.PIPE, text=True, timeout=1800, check=True)
    return Path(done.stdout.strip())


def run(interpreter: Path, script: Path, *words: str | Path) -> None:
    """Run a script in Blender's Python; a failure is told with what the script said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(interpreter), str(script), *map(str, words)], env=environment, capture_output=True, text=True,
                          timeout=600, check=False)
    assert done.returncode == 0, f"{script.name}: {done.stdout[-500:]}\n{done.stderr[-3000:]}"


def pose(interpreter: Path, path: Path, seconds: np.ndarray, fps: int, folder: Path) -> Imported:
    """Return a GLB as Blender poses it at times of its clip.

    Args:
        interpreter: `python()`.
        path: The GLB.
        seconds: From 0.
        fps: Frames per second of the scene it is imported into.
        folder: For what goes to and fro.
    """
    request, out = folder / "request.json", folder / "posed.npz"
    request.write_text(json.dumps({"seconds": [float(t) for t in seconds], "fps": fps}))
    run(interpreter, FOLDER / "pose.py", path, request, out)
    with np.load(out) as posed:
        return Imported(posed["vertices"], posed["as_imported"], json.loads(str(posed["told"])))
