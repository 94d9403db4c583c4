"""Bytes to nouns and back, one file per format: `read(path)`, `write(value, path)` where we write it, `sniff(head)`.

To add one: write the file, add a line to `CODECS` in the order it should be asked, and a line to the test's table.
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from formats.errors import FormatError, MissingAsset
from formats.files import check_readable

if TYPE_CHECKING:
    from formats.avatar import Avatar
    from formats.sequence import Sequence

CODECS = {
    "bundle": "formats.codecs.bundle",
    "glb": "formats.codecs.glb",
    "inria_ply": "formats.codecs.inria_ply",
    "spz": "formats.codecs.spz",
    "unity_avatar": "formats.codecs.unity_avatar",
    "head_file": "formats.codecs.head_file",
    "sequence_binary": "formats.codecs.sequence_binary",
    "sequence_json": "formats.codecs.sequence_json",
    "camera_json": "formats.codecs.camera_json",
    "flame_params": "formats.codecs.flame_params",
    "arkit_json": "formats.codecs.arkit_json",
    "flame_npz": "formats.codecs.flame_npz",
    "npz": "formats.codecs.npz_file",
    "torch_file": "formats.codecs.torch_file",
    "flame_pickle": "formats.codecs.flame_pickle",
}
"""Name to module. `sniff` asks them in this order, so the more particular comes first."""

EXTENSIONS = {
    ".avatar": "bundle", ".glb": "glb", ".ply": "inria_ply", ".spz": "spz", ".flameavatar": "unity_avatar",
    ".fpsq": "sequence_binary", ".json": "sequence_json",
    ".csv": "arkit_json", ".safetensors": "head_file", ".npz": "npz", ".pkl": "flame_pickle",
    ".pth": "torch_file", ".pt": "torch_file", ".ckpt": "torch_file", ".frame": "torch_file",
}
"""What a file is taken for when its content does not tell, so that the right reader says what is wrong with it."""

HEAD_BYTES = 8192
"""How much of a file's beginning a codec's `sniff` is shown."""

SEQUENCES = ("sequence_json", "sequence_binary", "arkit_json", "flame_npz", "flame_params")
"""Codecs that read a `Sequence`."""


def codec(name: str) -> ModuleType:
    """Return the module of a codec by its name in `CODECS`."""
    return importlib.import_module(CODECS[name])


def sniff(path: str | os.PathLike[str]) -> str:
    """Return the name in `CODECS` of what the file or folder at `path` is: by its content, then by its extension.

    Raises:
        MissingAsset: There is nothing there.
        FormatError: It is nothing we know.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "avatar.json").is_file():
            return "bundle"
        raise FormatError(f"{path}: a folder without avatar.json; expected a bundle, or name a file in it. Trackers' folders "
                          "are read as motion only (flameport sequence), and for training (--dataset)")
    head = _beginning(path)
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(path)
    for name in CODECS:
        if codec(name).sniff(head):
            return name
    if path.suffix.lower() in EXTENSIONS:
        return EXTENSIONS[path.suffix.lower()]
    raise FormatError(f"{path}: nothing flameport knows; it reads {', '.join(CODECS)}")


def read_avatar(path: str | os.PathLike[str]) -> "Avatar":
    """Return the avatar in a bundle, or in a GLB or Unity asset that flameport wrote.

    Raises:
        FormatError: It is neither, or damaged; other errors as the reader says.
    """
    name = sniff(path)
    if name in ("bundle", "unity_avatar"):
        return codec(name).read(path)
    if name == "glb":
        from formats.codecs import glb_avatar

        return glb_avatar.read(path)
    raise FormatError(f"{path}: is {name}, expected an avatar: a bundle (X.avatar) or a GLB that flameport wrote")


def read_sequence(path: str | os.PathLike[str], edition: str | None = None, fps: float | None = None) -> "Sequence":
    """Return the motion in any file we read: our own, an ARKit track, FLAME parameters; or in a tracker's folder.

    Args:
        path: The file, or a folder of one of `formats.datasets.motion.LAYOUTS`.
        edition: The coefficients' basis, for files that do not say it (FLAME parameters).
        fps: Frame rate, for files that do not say it; our own sequences always do.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It holds no motion, or is damaged.
    """
    if Path(path).is_dir() and not (Path(path) / "avatar.json").is_file():
        from formats.datasets import motion

        return motion.read_motion(path, edition, fps)
    name = sniff(path)
    readers: dict[str, Callable[[ModuleType], Sequence]] = {
        "sequence_json": lambda module: module.read(path),
        "sequence_binary": lambda module: module.read(path),
        "arkit_json": lambda module: module.read(path, fps),
        "flame_npz": lambda module: module.read(path, edition, fps),
        "npz": lambda _: codec("flame_npz").read(path, edition, fps),
        "flame_params": lambda module: module.read(path, edition, fps),
    }
    if name not in readers:
        raise FormatError(f"{path}: is {name}, expected motion: one of {', '.join(SEQUENCES)}")
    return readers[name](codec(name))


def _beginning(path: Path) -> bytes:
    check_readable(path)
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise MissingAsset(f"{path}: cannot be read: {error.strerror}") from error


def _sniff_zip(path: Path) -> str:
    """Tell zips apart by their directory, whatever comes first in them."""
    from formats.codecs import npz_file, torch_zip

    with npz_file.open_zip(path, npz_file.ARCHIVE_LIMIT) as archive:
        names = [info.filename for info in archive.infolist() if not info.filename.startswith("__MACOSX/")]
    last = {name.rpartition("/")[2] for name in names if not name.endswith("/")}
    if "avatar.json" in last:
        return "bundle"
    if names and all(name.endswith(".npy") for name in names):
        return "flame_npz" if "expr.npy" in last and last & {"jaw_pose.npy", "rotation.npy", "neck_pose.npy"} else "npz"
    if torch_zip.content(names) is not None:
        return "torch_file"
    hint = "; a LAM avatar? `flameport import lam` reads it" if {"skin.glb", "offset.ply"} <= last else ""
    raise FormatError(f"{path}: a zip of {', '.join(sorted(last)[:6]) or 'nothing'}; expected a bundle or a .npz{hint}")
