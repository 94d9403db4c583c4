"""Engines that run in Node and pose our GLB on the CPU."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from exporter import khronos

SCRIPTS = {"three.js": "three_pose.mjs", "Babylon.js": "babylon_pose.mjs"}
"""Name of the engine to what runs it, in `khronos.FOLDER`."""
PACKAGES = {"three.js": "three", "Babylon.js": "@babylonjs/loaders"}
"""Name of the engine to the package it needs."""
TIMEOUT = 300
"""Seconds; a real head takes one."""


def available(engine: str) -> bool:
    """Tell whether an engine can be run here."""
    return shutil.which("node") is not None and (khronos.FOLDER / "node_modules" / PACKAGES[engine]).is_dir()


def pose(engine: str, path: str | os.PathLike[str], seconds: np.ndarray) -> tuple[Float64[np.ndarray, "T n 3"], dict[str, Any]]:
    """Return the head's vertices at times of the animation, metres, in the file's order, and what the engine says of the file.

    Args:
        engine: A key of `SCRIPTS`.
        path: A GLB whose default scene has the head.
        seconds: Times.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "posed.f64"
        done = subprocess.run(["node", str(khronos.FOLDER / SCRIPTS[engine]), str(path), str(out), *map(str, seconds)],
                              capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 0, f"{engine}: {done.stderr[-2000:]}"
        return np.fromfile(out, "<f8").reshape(len(seconds), -1, 3), json.loads(done.stdout)
