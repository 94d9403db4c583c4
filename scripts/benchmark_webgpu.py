"""Time frames of the player's WebGPU path beside its WebGL2 path in one browser, offscreen, on a software adapter.

`scripts/benchmark webgpu` calls it. Here is no graphics card: both paths run on SwiftShader's threads, so the numbers say what
the passes cost on a processor, and nothing about a card.
"""

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from exporter.targets import glb
from formats.avatar import Avatar
from formats.codecs import camera_json, sequence_json
from formats.importers import lam
from formats.render import default_camera
from formats.sequence import Sequence
from formats.standin.avatar import standin_avatar
from tests.web_viewer.browser import run

FLAGS = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
COUNTS = (20_000, 65_000, 150_000, 500_000)
SIZE = 512


def measure(root: Path, data: Path, frames: int = 3, rounds: int = 2) -> list[dict[str, object]]:
    """Return rows of milliseconds a frame (best and median round), of JavaScript in it, and bytes on the card.

    Args:
        root: The repository.
        data: Folder of the LAM sample avatar, which is measured too where it is there.
        frames: Per round, each waited for before the next begins.
        rounds: Of each path in turn, so that a slow moment of the machine hits both.
    """
    if not shutil.which("chromium"):
        raise SystemExit("webgpu: needs Chromium on the PATH")
    viewer, rows = root / "web_viewer", list[dict[str, object]]()
    with tempfile.TemporaryDirectory() as folder:
        page, files = Path(folder) / "page", Path(folder) / "files"
        files.mkdir()
        subprocess.run([str(viewer / "node_modules/.bin/vite"), "build", "test/webgpu_page", "--outDir", str(page),
                        "--emptyOutDir", "--base", "./", "--logLevel", "error"], cwd=viewer, check=True)
        archive = data / "lam_p2-1.zip"
        for count in (*COUNTS, 0):
            if not count and not archive.exists():
                continue
            name = f"stand-in, {count} Gaussians" if count else "LAM avatar, 20018 Gaussians"
            avatar = standin_avatar(count) if count else lam.read(archive)
            _write(avatar, files)
            found = _run(page, files, Path(folder) / "out", frames, rounds)
            for kind in ("webgpu", "webgl2"):
                runs = [r for told in found[kind] for r in told["found"]]
                note = f"{SIZE} x {SIZE}, SwiftShader: a software adapter, no card; load of the machine {os.getloadavg()[0]:.0f}"
                rows += [
                    {"what": f"{kind} {name}, frame, best round", "value": round(min(r["ms"] for r in runs), 1), "unit": "ms",
                     "note": note},
                    {"what": f"{kind} {name}, frame, median round", "value": round(statistics.median(r["ms"] for r in runs), 1),
                     "unit": "ms", "note": note},
                    {"what": f"{kind} {name}, JavaScript a frame", "value": round(min(r["js"] for r in runs), 2), "unit": "ms",
                     "note": "best round"},
                    {"what": f"{kind} {name}, buffers and tables", "value": found[kind][0]["bytes"], "unit": "bytes"}]
    return rows


def _write(avatar: Avatar, files: Path) -> None:
    """Write what the page loads: the avatar's own clip drives it, or random weights where it has none of 30 frames."""
    sequence = avatar.sequence
    if sequence is None or len(sequence) < 30:
        names = avatar.head.expr_names
        expr = np.clip(np.random.default_rng(0).normal(0, 0.4, (30, len(names))), 0, 1)
        sequence = Sequence(avatar.head.edition, 25, expr, expr_names=names)
    glb.write(dataclasses.replace(avatar, sequence=None), files / "avatar.glb", glb.Options(grade="plain"))
    sequence_json.write(sequence, files / "clip.json")
    camera_json.write(default_camera(avatar, SIZE, SIZE), files / "camera.json")


def _run(page: Path, files: Path, out: Path, frames: int, rounds: int) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"webgpu": [], "webgl2": []}
    tasks = []
    for turn in range(rounds):
        for kind in found:
            job = {"kind": kind, "avatar": "avatar.glb", "clip": "clip.json", "camera": "camera.json", "size": SIZE,
                   "frames": frames, "rounds": 2}
            tasks.append({"kind": "page", "name": f"{kind} {turn}", "width": 200, "height": 100, "ready": "window.flameport",
                          "tell": f"window.flameport.measure({json.dumps(job)})"})
    report = run("swiftshader", tasks, files, out, page, FLAGS)
    for name, told in report["tasks"].items():
        # The first round of each pays for compiling.
        found[name.split()[0]].append(told | {"found": told["found"][1:]})
    return found
