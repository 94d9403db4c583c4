"""An export is whole or not there: stopping it at any moment leaves the previous result."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.export import export
from formats import files
from formats.codecs import glb_avatar, inria_ply
from formats.codecs.sequence_json import read as read_sequence
from formats.errors import MissingAsset
from tests.builders import tiny_avatar

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys
from pathlib import Path
from exporter.export import export
from tests.builders import tiny_avatar
avatars = [tiny_avatar("linear", n=n) for n in (20, 30)]
print("ready", flush=True)
for i in range(100000):
    export(avatars[i % 2], sys.argv[1], Path(sys.argv[2]))
"""


def read_back(target: str, path: Path) -> None:
    if target == "glb":
        assert len(glb_avatar.read(path).layers[0].cloud) in (20, 30)
    else:
        assert len(read_sequence(path)) == 4


@pytest.mark.parametrize(("target", "name"), [("glb", "a.glb"), ("sequence", "a.json")])
def test_killed_at_any_moment(target: str, name: str, tmp_path: Path) -> None:
    path, rng = tmp_path / name, random.Random(1)
    export(tiny_avatar("linear", n=20), target, path)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, target, str(path)], cwd=ROOT, stdout=subprocess.PIPE,
                                   env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.01, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        read_back(target, path)


@pytest.mark.parametrize(("target", "name"), [("glb", "a.glb"), ("sequence", "a.json"), ("sequence", "a.fpsq"),
                                               ("ply", "a.ply")])
def test_a_full_disk_leaves_the_previous_file_and_no_litter(target: str, name: str, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    path, avatar = tmp_path / name, tiny_avatar("edge-height")
    export(avatar, target, path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(MissingAsset, match=f"{path.name}: cannot be written: No space"):
        export(tiny_avatar("edge-height", n=50), target, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [name]


def test_a_write_that_stops_half_way_leaves_the_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ply"
    export(tiny_avatar("edge-height"), "ply", path)
    before = path.read_bytes()
    write_bytes = Path.write_bytes

    def half(self: Path, data: bytes) -> int:
        write_bytes(self, data[:len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(MissingAsset, match=f"{path.name}: cannot be written: No space"):
        export(tiny_avatar("edge-height", n=50), "ply", path)
    monkeypatch.undo()
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.ply"]
    assert len(inria_ply.read(path)) == 24
