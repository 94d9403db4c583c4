"""`flame_params.json`, the tracked motion of IMavatar, PointAvatar and FateAvatar's data sets.

Per frame 50 expression coefficients, 15 axis-angle numbers (root, neck, jaw, eyes) and a camera in OpenGL axes. Their
geometry is four times life size, so camera translations are divided by 4. FLAME 2020, through DECA.
"""

import os
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from formats.codecs.json_file import Fields, read_json
from formats.conventions import CV_FROM_GL
from formats.errors import FormatError
from formats.sequence import Sequence

SCALE = 4.0
"""How many times life size these data sets model FLAME."""
SIZE = 512
"""Pixels of their square pictures, when none lies beside the file."""


def read(path: str | os.PathLike[str], basis: str | None = None, fps: float | None = None) -> Sequence:
    """Return the motion and cameras of a `flame_params.json`, in metres and OpenCV axes.

    Args:
        path: The file.
        basis: FLAME edition; `flame2020` when None, as DECA has it.
        fps: Frame rate, which the file does not say; 25 when None.

    Raises:
        MissingAsset: There is no such file.
        FormatError: A field is missing, or has the wrong type or length.
    """
    return parse(read_json(path), path, basis, fps)


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by name when the sequence is built
def parse(value: Any, path: str | os.PathLike[str], basis: str | None = None, fps: float | None = None) -> Sequence:
    """Return what `read` does, from the file's content `value`, for readers that want more of it; `path` is its place."""
    where = str(path)
    fields = Fields(value, where)
    entries = [Fields(entry, f"{where}: frame {i}") for i, entry in enumerate(fields.items("frames"))]
    if not entries:
        raise FormatError(f"{where}: 'frames' is empty")
    expr = [_vector(entry, "expression", None) for entry in entries]
    odd = next((i for i, row in enumerate(expr) if len(row) != len(expr[0])), None)
    if odd is not None:
        raise FormatError(f"{where}: frames differ in how many 'expression' numbers they have: frame {odd} has "
                          f"{len(expr[odd])}, frame 0 has {len(expr[0])}")
    pose = np.stack([_vector(entry, "pose", 15) for entry in entries])
    world = np.stack([_matrix(entry) for entry in entries])
    width, height = _picture_size(Path(path), entries[0])
    count = len(entries)
    intrinsics = np.tile(_intrinsics(fields, width, height), (count, 1, 1))
    cameras = {"K": intrinsics, "world_to_camera": world, "size": np.tile([width, height], (count, 1))}
    try:
        return Sequence(
            basis or "flame2020", 25.0 if fps is None else fps, np.stack(expr), rotation=pose[:, :3],
            neck=pose[:, 3:6], jaw=pose[:, 6:9], eyes=pose[:, 9:15],
            shape=_vector(fields, "shape_params", None) if fields.has("shape_params") else None, cameras=cameras)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a `flame_params.json`."""
    return head.lstrip().startswith(b"{") and (b'"world_mat"' in head or b'"flame_keypoints"' in head
                                               or b'"expression"' in head and b'"pose"' in head)


def _vector(fields: Fields, name: str, length: int | None) -> np.ndarray:
    value = fields.numbers(name)
    value = value[0] if value.ndim == 2 and len(value) == 1 else value
    if value.ndim != 1 or length is not None and len(value) != length:
        raise FormatError(f"{fields.where}: '{name}': expected {length or 'a flat list of'} numbers, got shape "
                          f"{list(value.shape)}")
    return value


def _matrix(entry: Fields) -> np.ndarray:
    value = entry.numbers("world_mat")
    if value.shape not in ((3, 4), (4, 4)):
        raise FormatError(f"{entry.where}: 'world_mat': expected 3 x 4 numbers, got {list(value.shape)}")
    world = np.eye(4)
    world[:3] = value[:3]
    world[:3, 3] /= SCALE
    return CV_FROM_GL @ world


def _intrinsics(fields: Fields, width: int, height: int) -> np.ndarray:
    fx, fy, cx, cy = _vector(fields, "intrinsics", 4)
    # fx is negative in these files; an old variant gives the centre in pixels of a 512 picture.
    if cx > 1 or cy > 1:
        cx, cy = cx / SIZE, cy / SIZE
    return np.array([[abs(fx) * width, 0, cx * width], [0, abs(fy) * height, cy * height], [0, 0, 1]])


def _picture_size(path: Path, first: Fields) -> tuple[int, int]:
    name = first.text("file_path", "")
    stem = PureWindowsPath(name).name  # parts at both kinds of slashes
    for picture in (path.parent / folder / f"{stem}.{kind}" for folder in ("image", "images") for kind in ("png", "jpg")):
        if stem and os.path.isfile(picture):  # unlike Path's, False also for a name that no system takes
            try:
                with Image.open(picture) as image:
                    return image.size
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                raise FormatError(f"{picture}: not a picture that can be read: {error}") from error
    return SIZE, SIZE
