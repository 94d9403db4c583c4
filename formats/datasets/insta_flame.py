"""The text files of FLAME parameters in INSTA's layout, one folder per parameter and one file per frame."""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from formats.errors import FormatError, MissingAsset
from formats.files import read_bytes
from formats.rotations import matrix_to_quat, quat_to_axis_angle

LOG = logging.getLogger(__name__)
BYTE_LIMIT = 1 << 20
"""300 numbers of 8 decimals are 4 kB."""
NEEDED = ("shape", "jaw")
"""Without them nobody can be trained on: whose face it is, and how the mouth opens."""
OPTIONAL = ("eyes", "eyelids")


def read_parameters(exp: list[Path]) -> dict[str, np.ndarray]:
    """Return `expr`, `shape`, `jaw`, `eyes` and `eyelids` of the frames whose expressions are in `exp`, axis-angle radians.

    The other parameters are in sibling folders of `exp`'s. The shape is the first frame's. A whole folder of eyes or
    eyelids may be absent: they stay at rest, and a warning is logged.

    Raises:
        MissingAsset: A file, or the folder of a parameter that nobody can do without, is not there.
        FormatError: A file holds something else than its numbers; the message names it.
    """
    base = exp[0].parent.parent
    absent = [name for name in (*NEEDED, *OPTIONAL) if not (base / name).is_dir()]
    if any(name in NEEDED for name in absent):
        raise MissingAsset(
            f"{base}: holds no {', '.join(absent)}; INSTA's stock script writes expressions alone, and without the shape and "
            f"the jaw the head is not the person's. Write {base.name}/{{shape,jaw,eyes,eyelids}}/<frame>.txt (300, 6, 12 and "
            "2 numbers, one a line) from the 'flame' block of metrical-tracker's checkpoint/<frame>.frame files")
    if absent:
        LOG.warning("%s: holds no %s; they stay at rest", base, " and no ".join(absent))
    expr = _rows(exp, None)
    still = {"eyes": np.zeros((len(exp), 6)), "eyelids": np.zeros((len(exp), 2))}
    found = {"expr": expr, "shape": _rows([_beside(exp[0], "shape")], None)[0], "jaw": _turns(exp, "jaw", 1)[:, 0], **still}
    if "eyes" not in absent:
        # FateAvatar reads the first six numbers as the right eye's; ours is left, then right.
        found["eyes"] = _turns(exp, "eyes", 2)[:, ::-1].reshape(len(exp), 6)
    if "eyelids" not in absent:
        found["eyelids"] = _rows([_beside(path, "eyelids") for path in exp], 2)
    return found


def matrix_from_6d(rows: np.ndarray) -> Float64[np.ndarray, "*n 3 3"]:
    """Return rotation matrices of 6D rotations [..., 6]: the matrix's first two ROWS, made orthonormal.

    Source: Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019, eq. 15, which has
    columns; PyTorch3D and every system here keep rows.
    """
    a, b = np.asarray(rows, np.float64)[..., :3], np.asarray(rows, np.float64)[..., 3:]
    first = a / np.linalg.norm(a, axis=-1, keepdims=True)
    second = b - (first * b).sum(-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-2)


def _beside(path: Path, name: str) -> Path:
    return path.parent.parent / name / path.name


def _turns(exp: list[Path], name: str, count: int) -> Float64[np.ndarray, "T n 3"]:
    """Return `count` 6D rotations per frame as axis-angle vectors."""
    paths = [_beside(path, name) for path in exp]
    turns = _rows(paths, 6 * count).reshape(len(paths), count, 6)
    a, b = turns[..., :3], turns[..., 3:]
    area = np.linalg.norm(np.cross(a, b), axis=-1)
    flat = ~(area > 1e-3 * np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)).all(axis=1)
    for index in np.flatnonzero(flat)[:1]:
        raise FormatError(f"{paths[index]}: the numbers are no 6D rotation: expected the first two rows of its matrix; the "
                          "tracker diverged there, or this is an axis-angle file")
    return quat_to_axis_angle(matrix_to_quat(matrix_from_6d(turns)))


def _rows(paths: list[Path], count: int | None) -> Float64[np.ndarray, "T n"]:
    rows = []
    for path in paths:
        row = _numbers(path)
        expected = len(rows[0]) if count is None and rows else count
        if expected is not None and len(row) != expected:
            raise FormatError(f"{path}: {len(row)} numbers, expected {expected}"
                              f"{'' if count else f' as in {paths[0].name}'}; cut off or damaged, write it again")
        rows.append(row)
    return np.stack(rows)


def _numbers(path: Path) -> Float64[np.ndarray, " n"]:
    data = read_bytes(path, BYTE_LIMIT)
    try:
        row = np.array([float(word) for word in data.split()], np.float64)
    except ValueError as error:
        raise FormatError(f"{path}: expected numbers, one a line; {str(error)[:80]}") from error
    if not len(row):
        raise FormatError(f"{path}: holds no numbers")
    if not np.isfinite(row).all():
        raise FormatError(f"{path}: number {int(np.flatnonzero(~np.isfinite(row))[0]) + 1} is not finite; the tracker "
                          "diverged there: track again, or remove the frame")
    return row
