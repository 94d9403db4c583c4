"""metrical-tracker's `checkpoint/` folder: one `.frame` per picture, a torch file of NumPy arrays, as a `Sequence`.

    flame    exp (1,100)  shape (1,300)  jaw (1,6)  eyes (1,12) left, right  eyelids (1,2) left, right; turns as 6D rows
    opencv   R (1,3,3)  t (1,3)  K (1,3,3)                 world to camera, OpenCV axes, metres and pixels
    img_size (2,)                                          height, width

FLAME's root and neck are never turned: the head's motion is in the cameras. FLAME 2020. Frames count from 00000, and picture k
of the tracker's input, and of FlashAvatar's data, is k + 1. `camera` (PyTorch3D's), `tex` and `sh` are not read.
Zielonka, Bolkart, Thies, "Towards Metrical Reconstruction of Human Faces", ECCV 2022.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from formats.codecs import torch_file
from formats.datasets.insta_flame import matrix_from_6d
from formats.errors import FormatError, MissingAsset
from formats.rotations import matrix_to_quat, quat_to_axis_angle
from formats.sequence import Sequence

FPS = 25.0
"""The tracker's default; a frame does not say."""
SUFFIX = ".frame"
FLAME = {"exp": (1, None), "shape": (1, None), "jaw": (1, 6), "eyes": (1, 12), "eyelids": (1, 2)}
CAMERA = {"R": (1, 3, 3), "t": (1, 3), "K": (1, 3, 3)}
FRAME_LIMIT = 1 << 20
FLAT = 1e-3
"""Sine of the angle between the two rows of a 6D rotation below which they are none."""


def frame_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the `.frame` files of a folder, or of the `checkpoint/` in it, in the order of their numbers.

    Raises:
        MissingAsset: There is no such folder, or no frame in it.
        FormatError: A name is no number, or two are the same.
    """
    root = Path(folder)
    if (root / "checkpoint").is_dir() and not any(root.glob(f"*{SUFFIX}")):
        root = root / "checkpoint"  # the tracker's folder of the person, where one above will do
    if not root.is_dir():
        raise MissingAsset(f"{root}: no such folder; expected metrical-tracker's checkpoint/ with 00000.frame, 00001.frame, ...")
    # Copies by way of a Mac have a hidden ._00000.frame beside each.
    found = [path for path in root.iterdir() if path.suffix == SUFFIX and not path.name.startswith(".")]
    if not found:
        raise MissingAsset(f"{root}: holds no {SUFFIX} files; expected metrical-tracker's checkpoint/ with 00000.frame, ...")
    if len(found) > FRAME_LIMIT:
        raise FormatError(f"{root}: {len(found)} frames, more than the {FRAME_LIMIT} that are read")
    odd = sorted(path.name for path in found if not (path.stem.isascii() and path.stem.isdecimal()))
    if odd:
        raise FormatError(f"{root / odd[0]}: the name is no number; frames are called 00000{SUFFIX}, 00001{SUFFIX}, ...")
    ordered = sorted(found, key=lambda path: int(path.stem))
    for one, other in zip(ordered, ordered[1:], strict=False):
        if int(one.stem) == int(other.stem):
            raise FormatError(f"{root}: {one.name} and {other.name} are the same frame; remove one")
    return ordered


def read(folder: str | os.PathLike[str], basis: str = "flame2020", fps: float = FPS) -> Sequence:
    """Return all frames of a folder, in the order of `frame_files`: cameras as tracked, the head still.

    `shape` is the first frame's. `drivers` hold the turns as stored: `jaw_6d` [T, 6], `eyes_6d` [T, 12] (left, right).

    Args:
        folder: metrical-tracker's `checkpoint/`.
        basis: FLAME edition of the coefficients.
        fps: Frames a second.

    Raises:
        MissingAsset: The folder, or a frame in it, is not there.
        FormatError: A file is no frame; the message names it and the key.
    """
    return read_files(frame_files(folder), basis, fps)


def read_files(files: list[Path], basis: str = "flame2020", fps: float = FPS) -> Sequence:
    """Return what `read` does, of the given files in the given order."""
    rows: dict[str, list[np.ndarray]] = {}
    for path in files:
        for name, value in _frame(path).items():
            held = rows.setdefault(name, [])
            if held and value.shape != held[0].shape:
                raise FormatError(f"{path}: '{name}': {value.size} numbers, {files[0].name} has {held[0].size}; frames of two "
                                  "people or trackers?")
            held.append(value)
    table = {name: np.stack(values) for name, values in rows.items()}
    count = len(files)
    world = np.tile(np.eye(4), (count, 1, 1))
    world[:, :3, :3], world[:, :3, 3] = table["R"], table["t"]
    try:
        return Sequence(
            basis, fps, table["exp"], jaw=_axis_angles(table["jaw"], files, "jaw"),
            eyes=_axis_angles(table["eyes"], files, "eyes"), eyelids=table["eyelids"], shape=table["shape"][0],
            drivers={"jaw_6d": table["jaw"], "eyes_6d": table["eyes"]},
            cameras={"K": table["K"], "world_to_camera": world, "size": table["size"]})
    except FormatError as error:
        raise FormatError(f"{files[0].parent}: {error}") from error


def _frame(path: Path) -> dict[str, np.ndarray]:
    content = torch_file.read(path)
    if not isinstance(content, Mapping):
        raise FormatError(f"{path}: holds a {type(content).__name__}, expected a dictionary as metrical-tracker's frames")
    values = {}
    for block, fields in (("flame", FLAME), ("opencv", CAMERA)):
        inside = content.get(block)
        if not isinstance(inside, Mapping):
            found = ", ".join(ascii(str(key)[:40])[1:-1] for key in list(content)[:12])
            raise FormatError(f"{path}: '{block}' is missing; found {found or 'nothing'}: not a frame of metrical-tracker")
        for name, shape in fields.items():
            values[name] = _array(inside.get(name), shape, f"{path}: {block}: '{name}'")[0]
    height, width = _array(content.get("img_size"), (2,), f"{path}: 'img_size'")
    if not (1 <= min(height, width) and max(height, width) <= 16384):
        raise FormatError(f"{path}: 'img_size': {width:g} x {height:g} pixels is no picture's size")
    return values | {"size": np.array([width, height])}


def _array(value: Any, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    expected = ", ".join("any" if n is None else str(n) for n in shape)
    if value is None:
        raise FormatError(f"{where} is missing; expected [{expected}] numbers")
    array = np.asarray(value)
    fits = array.ndim == len(shape) and all(w in (None, g) for w, g in zip(shape, array.shape, strict=True))
    if array.dtype.kind not in "fiu" or not fits or array.size > 1 << 16:
        raise FormatError(f"{where}: expected [{expected}] numbers, got {array.dtype} {list(array.shape)}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise FormatError(f"{where}: not finite; the tracker diverged there: track again, or remove the frame")
    return array


def _axis_angles(turns: np.ndarray, files: list[Path], name: str) -> np.ndarray:
    rows = turns.reshape(len(turns), -1, 6)
    a, b = rows[..., :3], rows[..., 3:]
    area = np.linalg.norm(np.cross(a, b), axis=-1)
    flat = ~(area > FLAT * np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)).all(axis=1)
    if flat.any():
        raise FormatError(f"{files[int(np.argmax(flat))]}: flame: '{name}' is no 6D rotation: expected the first two rows of its "
                          "matrix; the tracker diverged there")
    return quat_to_axis_angle(matrix_to_quat(matrix_from_6d(rows))).reshape(len(turns), -1)
