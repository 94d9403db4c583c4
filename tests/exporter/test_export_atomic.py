"""An export is whole or not there: stopping it at any moment leaves the previous result."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import web_viewer
from exporter.export import TARGETS, export, options_type
from exporter.targets import textures
from formats import files
from formats.codecs import glb_avatar
from formats.codecs.sequence_json import read as read_sequence
from formats.errors import MissingAsset
from tests.builders import tiny_avatar
from tests.exporter.every_target import CASES, avatar_for, stand_in_viewer

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys
from pathlib import Path
from exporter.export import export
from tests.builders import tiny_avatar
avatars = [tiny_avatar("everything" if sys.argv[1] == "textures" else "linear", n=n) for n in (20, 30)]
print("ready", flush=True)
for i in range(100000):
    export(avatars[i % 2], sys.argv[1], Path(sys.argv[2]))
"""


def read_back(target: str, path: Path) -> None:
    if target == "glb":
        assert len(glb_avatar.read(path).layers[0].cloud) in (20, 30)
    elif target == "textures":
        assert len(textures.read(path).images) == 2
    else:
        assert len(read_sequence(path)) == 4


@pytest.mark.parametrize(("target", "name"), [("glb", "a.glb"), ("sequence", "a.json"), ("textures", "maps")])
def test_killed_at_any_moment(target: str, name: str, tmp_path: Path) -> None:
    path, rng = tmp_path / name, random.Random(1)
    export(tiny_avatar("everything" if target == "textures" else "linear", n=20), target, path)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, target, str(path)], cwd=ROOT, stdout=subprocess.PIPE,
                                   env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.01, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        read_back(target, path)


# --- Every target -----------------------------------------------------------------------------------------------------

WAYS = {**{target: (target, name, {}) for target, (_, name) in CASES.items()},
        "sequence, binary": ("sequence", "a.fpsq", {}), "ply, a series": ("ply", "folder", {"frames": "all"}),
        "spz, a series": ("spz", "folder", {"frames": "all"}), "glb, small": ("glb", "a.glb", {"grade": "small"}),
        "textures, webp": ("textures", "folder", {"albedo": "webp", "data": "webp"})}
"""What is exported: target, a name, options."""


def held(folder: Path) -> dict[str, bytes]:
    """Return everything that lies in a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()} | {
        path.relative_to(folder).as_posix(): b"" for path in folder.rglob("*") if path.is_dir()}


class Job:
    """An export that was done once, and is about to be done again with other contents."""

    def __init__(self, way: str, folder: Path) -> None:
        self.target, self.name, options = WAYS[way]
        self.options = options_type(self.target)(**options)
        self.out, self.room = folder / "out" / self.name, folder / "out"
        export(avatar_for(self.target), self.target, self.out, self.options, allow_loss=True)
        self.before = held(self.room)
        self.other = avatar_for(self.target, "flame2020", n=60)

    def again(self) -> None:
        export(self.other, self.target, self.out, self.options, allow_loss=True)

    def fails(self, message: str) -> None:
        """Export again, which has to fail, and find everything as it was."""
        with pytest.raises(MissingAsset, match=message) as refusal:
            self.again()
        assert str(self.out) in str(refusal.value) and ".tmp-" not in str(refusal.value)
        assert held(self.room) == self.before


@pytest.fixture
def job(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    viewer = stand_in_viewer(tmp_path / "viewer")
    monkeypatch.setattr(web_viewer, "dist_folder", lambda: viewer)
    return Job(request.param, tmp_path)


def test_every_target_is_here() -> None:
    assert {target for target, _, _ in WAYS.values()} == set(TARGETS)


@pytest.mark.parametrize("job", WAYS, indirect=True)
def test_a_disk_that_fills_up_leaves_the_previous_output_and_no_litter(job: Job) -> None:
    """The system itself stops the largest file in its middle."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(len(data) for data in job.before.values())
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, limit[1]))
        job.fails("cannot be written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    job.again()
    assert held(job.room) != job.before


@pytest.mark.parametrize("job", WAYS, indirect=True)
def test_a_last_step_that_fails_leaves_the_previous_output_and_no_litter(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is written, and may not take its place: neither by renaming nor by exchanging two names."""
    real, calls = os.replace, []

    def refused(source: str | Path, place: str | Path) -> None:
        if Path(place) == job.out and not calls:  # the second call is the one that puts a folder back
            calls.append(place)
            raise OSError(28, "No space left on device")
        real(source, place)

    monkeypatch.setattr(files.os, "replace", refused)
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    job.fails(f"{job.name}: cannot be written: No space")


@pytest.mark.parametrize("job", WAYS, indirect=True)
def test_being_stopped_leaves_the_previous_output_and_no_litter(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of whatever writes the last bytes."""
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "chmod", stopped)
    with pytest.raises(KeyboardInterrupt):
        job.again()
    assert held(job.room) == job.before


@pytest.mark.parametrize("target", TARGETS)
def test_a_first_export_that_fails_leaves_nothing(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = stand_in_viewer(tmp_path / "viewer")
    monkeypatch.setattr(web_viewer, "dist_folder", lambda: viewer)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(MissingAsset, match="cannot be written: No space"):
        export(avatar_for(target), target, tmp_path / "out" / CASES[target][1], allow_loss=True)
    assert held(tmp_path / "out") == {}
