"""FLAME parameters under VHAP's names in a .npz: `expr rotation neck_pose jaw_pose eyes_pose translation`, [T, ...].

VHAP, GaussianAvatars (`flame_param.npz`) and LAM share them; `shape` [S] and `static_offset` [V, 3] are the person.
All rotations are axis-angle, the root's about the root joint, translation in metres: our own meaning.
"""

import os
from typing import Any

import numpy as np

from formats.codecs import npz_file
from formats.errors import FormatError
from formats.head_model import EDITIONS
from formats.sequence import Sequence

NAMES = {"rotation": "rotation", "neck": "neck_pose", "jaw": "jaw_pose", "eyes": "eyes_pose",
         "translation": "translation"}
WIDTHS = {"rotation": 3, "neck": 3, "jaw": 3, "eyes": 6, "translation": 3}
_READ = ("expr", *NAMES.values(), "shape", "basis", "edition", "fps")
_IDENTITY = ("shape", "static_offset")


def read(path: str | os.PathLike[str], basis: str | None = None, fps: float | None = None) -> Sequence:
    """Return the motion in a .npz with VHAP's names.

    Args:
        path: The file.
        basis: The FLAME edition it was tracked with, which such files do not say; ours do, and then it may be None.
        fps: Its frame rate, where the file does not say; 25 when None.

    Raises:
        MissingAsset: There is no such file.
        FormatError: An array is missing, mistyped or of another length; or nobody said which edition it is.
    """
    where = str(path)
    names = npz_file.names(path)
    # Trackers put more into such files, gigabytes of offsets and Python objects among it, which nobody needs here.
    arrays = npz_file.read(path, [name for name in names if name not in _READ])
    if "expr" not in arrays:
        raise FormatError(f"{where}: 'expr' missing; found {', '.join(names[:12]) or 'nothing'}. Readable are "
                          f"VHAP's names: expr, {', '.join(NAMES.values())}")
    basis = basis or _text(arrays, "basis", where)
    if not basis:
        raise FormatError(f"{where}: does not say which FLAME edition it was tracked with; pass --edition "
                          f"({', '.join(EDITIONS[:3])}). VHAP uses flame2023 unless told otherwise")
    expr = _frames(arrays, "expr", where, None)
    values: dict[str, Any] = {ours: _frames(arrays, theirs, where, WIDTHS[ours])
                              for ours, theirs in NAMES.items() if theirs in arrays}
    for name, value in values.items():
        if len(value) != len(expr):
            raise FormatError(f"{where}: '{NAMES[name]}' has {len(value)} frames, 'expr' {len(expr)}")
    if "shape" in arrays:
        values["shape"] = _person(arrays["shape"], where)
    rate, edition = _rate(arrays, where) if fps is None else fps, _text(arrays, "edition", where)
    try:
        return Sequence(basis, rate, expr, edition=edition, **values)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error


def read_identity(path: str | os.PathLike[str]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the person in such a file: `shape` [S] and `static_offset` [V, 3] metres, each None when absent."""
    arrays = npz_file.read(path, [name for name in npz_file.names(path) if name not in _IDENTITY])
    offset = arrays.get("static_offset")
    if offset is not None:
        offset = offset[0] if offset.ndim == 3 and len(offset) == 1 else offset
        if offset.ndim != 2 or offset.shape[1] != 3 or offset.dtype.kind not in "fiu":
            raise FormatError(f"{path}: 'static_offset': expected [V, 3] numbers, got {list(offset.shape)}")
    return _person(arrays["shape"], str(path)) if "shape" in arrays else None, offset


def write(sequence: Sequence, path: str | os.PathLike[str]) -> None:
    """Write `sequence` under VHAP's names, atomically, with `basis`, `edition` and `fps` added.

    Eyelids, further joints, drivers and cameras have no place in this layout; `FormatError` when they move.
    """
    lost = [name for name in ("joints", "drivers", "cameras") if getattr(sequence, name)]
    lost += ["eyelids"] * bool(sequence.eyelids is not None and sequence.eyelids.any())
    if lost:
        raise FormatError(f"{path}: VHAP's layout has no place for {', '.join(lost)}; write a .json or .fpsq sequence")
    arrays = {"expr": sequence.expr} | {theirs: getattr(sequence, ours) for ours, theirs in NAMES.items()}
    arrays |= {"basis": np.array(sequence.basis), "fps": np.array(sequence.fps)}
    if sequence.edition:
        arrays["edition"] = np.array(sequence.edition)
    if sequence.shape is not None:
        arrays["shape"] = sequence.shape
    npz_file.write(arrays, path)


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a .npz; whether it holds FLAME's names, its directory says."""
    return npz_file.sniff(head)


def _text(arrays: dict[str, np.ndarray], name: str, where: str) -> str:
    value = arrays.get(name)
    if value is None or value.dtype.kind != "U" or value.size != 1:
        return ""
    try:
        return str(value.reshape(-1)[0])
    except ValueError as error:
        raise FormatError(f"{where}: '{name}' is not text: {error}") from error


def _rate(arrays: dict[str, np.ndarray], where: str) -> float:
    value = arrays.get("fps", np.array(25.0))
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise FormatError(f"{where}: 'fps': expected one number, got {value.dtype} {list(value.shape)}")
    return float(value.reshape(-1)[0])


def _frames(arrays: dict[str, np.ndarray], name: str, where: str, width: int | None) -> np.ndarray:
    value = arrays[name]
    value = value[None] if value.ndim == 1 else value
    if value.dtype.kind not in "fiu" or value.ndim != 2 or (width is not None and value.shape[1] != width):
        raise FormatError(f"{where}: '{name}': expected numbers [T, {width or 'E'}], got {value.dtype} "
                          f"{list(value.shape)}")
    return value


def _person(value: np.ndarray, where: str) -> np.ndarray:
    # One person in one file: [S], or [1, S].
    value = value[0] if value.ndim == 2 and len(value) == 1 else value
    if value.ndim != 1 or value.dtype.kind not in "fiu":
        raise FormatError(f"{where}: 'shape': expected numbers [S], got {value.dtype} {list(value.shape)}")
    return value
