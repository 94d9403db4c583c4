"""The Khronos glTF validator, where Node and its package are installed (a test tool, never needed to export)."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from formats.errors import FormatError

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "exporter" / "node"
"""Where `scripts/build --tests` puts the package."""
TIMEOUT = 120
"""Seconds; a GLB with 400 targets takes 0.5."""
SPLAT_ATTRIBUTE = "KHR_gaussian_splatting:"
"""Version 2.0.0-dev.3.10, the newest, calls attributes of this extension invalid; `glb_check` checks them instead."""


def available() -> bool:
    """Tell whether the validator can be run here."""
    return shutil.which("node") is not None and (FOLDER / "node_modules" / "gltf-validator").is_dir()


def run(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the validator's report on a GLB: `validatorVersion`, `messages` and `info`.

    Raises:
        FormatError: The validator gave up.
    """
    try:
        done = subprocess.run(["node", str(FOLDER / "validate.mjs"), str(path)], capture_output=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise FormatError(f"{path}: the Khronos validator did not answer in {TIMEOUT} seconds") from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise FormatError(f"{path}: the Khronos validator gave up: {' '.join(last)}")
    return json.loads(done.stdout)


def complaints(report: dict[str, Any]) -> list[str]:
    """Return errors and warnings (severity 0 and 1), without those about splat attributes and KTX2 images, which the validator
    does not know."""

    def is_known(m: dict[str, Any]) -> bool:
        splats = m["code"] == "MESH_PRIMITIVE_INVALID_ATTRIBUTE" and SPLAT_ATTRIBUTE in m.get("pointer", "")
        return splats or m["code"] == "VALUE_NOT_IN_LIST" and "'image/ktx2'" in m.get("message", "")

    return [f"{m['code']} at {m.get('pointer', '?')}: {m['message']}" for m in report["messages"]
            if m["severity"] <= 1 and not is_known(m)]
