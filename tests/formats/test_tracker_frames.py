"""metrical-tracker's folders of frames: read as written, in order, and refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.errors import AvatarError, FormatError, MissingAsset
from formats.importers import tracker_frames
from tests.originals import tracker

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("old", [False, True])
def test_frames_are_read_as_tracked(old: bool, tmp_path: Path) -> None:
    clip = tracker.motion(4)
    files = tracker.write(tmp_path / "checkpoint", clip, old=old)
    read = tracker_frames.read(tmp_path / "checkpoint", fps=30)
    assert (len(read), read.fps, read.basis) == (4, 30, "flame2020")
    np.testing.assert_array_equal(read.expr, clip["exp"])
    np.testing.assert_array_equal(read.drivers["jaw_6d"], clip["jaw"])
    np.testing.assert_array_equal(read.drivers["eyes_6d"], clip["eyes"])
    np.testing.assert_array_equal(read.eyelids, clip["eyelids"])
    assert read.shape is not None
    np.testing.assert_array_equal(read.shape, clip["shape"])
    np.testing.assert_allclose(read.jaw, tracker.axis_angle(clip["jaw"]), atol=1e-6)
    np.testing.assert_allclose(read.eyes, tracker.axis_angle(clip["eyes"].reshape(4, 2, 6)).reshape(4, 6), atol=1e-6)
    assert not read.rotation.any() and not read.neck.any() and not read.translation.any()
    np.testing.assert_allclose(read.cameras["world_to_camera"][:, :3, :3], clip["R"], atol=1e-6)
    np.testing.assert_allclose(read.cameras["world_to_camera"][:, :3, 3], clip["t"], atol=1e-6)
    assert (read.cameras["size"] == tracker.SIZE).all() and (read.cameras["K"][:, 0, 0] == tracker.FOCAL).all()
    some = tracker_frames.read_files([files[2], files[0]])
    np.testing.assert_array_equal(some.expr, clip["exp"][[2, 0]])


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    tmp_path = tmp_path / "checkpoint"
    files = tracker.write(tmp_path, tracker.motion(3), first=9)
    files[0].rename(tmp_path / "9.frame")
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / "._00010.frame").write_bytes(b"a Mac's own")
    assert tracker_frames.frame_files(tmp_path.parent) == tracker_frames.frame_files(tmp_path)
    assert [path.name for path in tracker_frames.frame_files(tmp_path)] == ["9.frame", "00010.frame", "00011.frame"]
    (tmp_path / "00009.frame").write_bytes((tmp_path / "9.frame").read_bytes())
    with pytest.raises(FormatError, match="are the same frame"):
        tracker_frames.frame_files(tmp_path)
    (tmp_path / "last.frame").write_bytes(b"x")
    with pytest.raises(FormatError, match="last.frame: the name is no number"):
        tracker_frames.frame_files(tmp_path)


def test_folders_without_frames_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="no such folder"):
        tracker_frames.read(tmp_path / "nothing")
    with pytest.raises(MissingAsset, match="holds no .frame files"):
        tracker_frames.read(tmp_path)


def _put(block: str, name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content[block].__setitem__(name, value)


@pytest.mark.parametrize(("change", "said"), [
    (lambda c: c.pop("opencv"), "'opencv' is missing; found"),
    (lambda c: c["flame"].pop("eyelids"), "flame: 'eyelids' is missing"),
    (_put("flame", "jaw", np.zeros((1, 3), np.float32)), r"flame: 'jaw': expected \[1, 6\] numbers, got float32 \[1, 3\]"),
    (_put("flame", "jaw", np.zeros((1, 6), np.float32)), "flame: 'jaw' is no 6D rotation"),
    (_put("flame", "exp", np.full((1, 100), np.nan, np.float32)), "flame: 'exp': not finite; the tracker diverged"),
    (_put("flame", "exp", np.zeros((1, 50), np.float32)), "'exp': 50 numbers, 00000.frame has 100"),
    (_put("opencv", "K", np.zeros((3, 3), np.float32)), r"opencv: 'K': expected \[1, 3, 3\]"),
    (lambda c: c.update(img_size=np.array([0, 512])), "'img_size': 512 x 0 pixels"),
])
def test_damage_is_named(tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str) -> None:
    files = tracker.write(tmp_path / "checkpoint", tracker.motion(2))
    content = torch.load(files[1], weights_only=False)
    change(content)
    torch.save(content, files[1])
    with pytest.raises(AvatarError, match=said) as caught:
        tracker_frames.read(tmp_path / "checkpoint")
    assert str(files[1]) in str(caught.value) and "\n" not in str(caught.value)


def test_other_torch_files_are_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "00000.frame")
    with pytest.raises(FormatError, match="holds a list, expected a dictionary"):
        tracker_frames.read(tmp_path)
