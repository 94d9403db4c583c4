"""Nothing is ever half-written."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from formats import files
from formats.errors import FormatError, MissingAsset


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_replaced_only_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    files.write_bytes(target, b"old")
    with pytest.raises(RuntimeError), files.replacing(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError("the disk is full")
    assert target.read_bytes() == b"old" and names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path: Path, in_one_step: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not in_one_step:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    for content in (b"first", b"second"):
        with files.replacing_folder(tmp_path / "page") as folder:
            (folder / f"{content.decode()}.txt").write_bytes(content)
    assert names(tmp_path / "page") == ["second.txt"] and names(tmp_path) == ["page"]
    with pytest.raises(RuntimeError), files.replacing_folder(tmp_path / "page") as folder:
        raise RuntimeError("stopped")
    assert names(tmp_path / "page") == ["second.txt"] and names(tmp_path) == ["page"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux exchanges folders in one step")
def test_a_killed_process_always_leaves_a_whole_folder(tmp_path: Path) -> None:
    code = ("import sys; sys.path.insert(0, sys.argv[2])\nfrom pathlib import Path\nfrom formats.files import replacing_folder\n"
            "i = 0\nwhile True:\n    i += 1\n    with replacing_folder(sys.argv[1]) as folder:\n"
            "        for name in 'abc': (folder / name).write_text(str(i))\n")
    page = tmp_path / "page"
    for attempt in range(8):
        process = subprocess.Popen([sys.executable, "-c", code, str(page), str(Path(__file__).parents[2])])
        while not page.exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.05 + 0.013 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert names(page) == ["a", "b", "c"]
        assert len({p.read_text() for p in page.iterdir()}) == 1


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="absent: no such file"):
        files.read_bytes(tmp_path / "absent")
    with pytest.raises(FormatError, match="is a folder"):
        files.read_bytes(tmp_path)
    with pytest.raises(FormatError, match="is a folder"), files.replacing(tmp_path):
        pass
    (tmp_path / "big").write_bytes(b"12345")
    with pytest.raises(FormatError, match="5 bytes, more than the 4"):
        files.read_bytes(tmp_path / "big", 4)
    (tmp_path / "nothing").touch()
    with pytest.raises(FormatError, match="is empty"):
        files.read_bytes(tmp_path / "nothing")
    with pytest.raises(MissingAsset, match="cannot be read: File name too long"):
        files.read_bytes(tmp_path / ("x" * 5000))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and devices in the file system")
def test_pipes_and_devices_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(FormatError, match="is a device or a pipe"):
            files.read_bytes(path)


def test_what_the_system_refuses_to_write_names_the_output(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"old")
    with pytest.raises(MissingAsset, match="x.bin: cannot be written: No space left"), files.replacing(tmp_path / "x.bin"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(MissingAsset, match="page: cannot be written: No space"), files.replacing_folder(tmp_path / "page"):
        raise OSError(errno.ENOSPC, "No space left on device")
    for writer in (files.replacing, files.replacing_folder):
        with pytest.raises(MissingAsset, match="cannot be written: File name too long"), writer(tmp_path / ("x" * 250)):
            pass
    with pytest.raises(BrokenPipeError), files.replacing(tmp_path / "x.bin"):
        raise BrokenPipeError
    assert (tmp_path / "x.bin").read_bytes() == b"old" and names(tmp_path) == ["x.bin"]
