"""Running the built viewer in headless Chromium, for tests: one process per call, one of two independent GL drivers."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from formats.errors import MissingAsset
from web_viewer import dist_folder

DRIVERS = {"swiftshader": "SwiftShader", "llvmpipe": "llvmpipe"}
"""Name of the job's driver to a word in what the driver calls itself."""
_SCRIPT = Path(__file__).with_name("browser.mjs")


def unavailable(reason: str) -> None:
    """Skip the test, or fail it in CI, where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(driver: str, tasks: list[dict[str, Any]], files: Path, out: Path, page: Path | None = None,
        flags: tuple[str, ...] = (), mounts: dict[str, Path] | None = None) -> dict[str, Any]:
    """Return what `browser.mjs` reports; the test is skipped (or fails in CI) where the browser cannot run.

    Args:
        driver: A key of `DRIVERS`.
        tasks: As `browser.mjs` describes them.
        files: Folder that the page sees as `files/`.
        out: Folder for what the page sends back.
        page: Folder of the page; the built viewer when absent.
        flags: Further ones for the browser.
        mounts: Further folders beside the page, by name.
    """
    chromium, node = shutil.which("chromium"), shutil.which("node")
    if chromium is None or node is None:
        unavailable(f"{'chromium' if chromium is None else 'node'} is not installed")
    try:
        dist = dist_folder()
    except MissingAsset as error:
        unavailable(str(error))
    if not (dist.parent / "node_modules" / "playwright-core").is_dir():
        unavailable("web_viewer/node_modules is missing; run scripts/build --tests")
    out.mkdir(parents=True, exist_ok=True)
    job = {"chromium": chromium, "packages": str(dist.parent / "package.json"), "dist": str(page or dist),
           "files": str(files), "out": str(out), "driver": driver, "flags": flags,
           "mounts": {name: str(folder) for name, folder in (mounts or {}).items()}, "tasks": tasks}
    (out / "job.json").write_text(json.dumps(job))
    done = subprocess.run([str(node), str(_SCRIPT), str(out / "job.json")], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    if DRIVERS[driver] not in (report["driver"] or ""):
        unavailable(f"no WebGL2 from {driver}; the browser reports {report['driver']}")
    return report
