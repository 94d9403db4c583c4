"""VHAP's tracker output, before any export: `tracked_flame_params_<epoch>.npz`, all moments of one sequence.

    <out>/<timestamp>/config.yml                        not read: only VHAP's own loader may
                      tracked_flame_params_30.npz       VHAP's names, [T, ...]; the largest epoch counts

Beside FLAME's parameters: `timestep_id` [T] the pictures' numbers as text; of one uncalibrated camera also `focal_length` [1]
in units of the longer side and `image_size` [2]: that camera stands at (0, 0, 1) and looks along -z, y up (OpenGL axes). The
world is the raw cameras' (an export moves it). Textures, lights and offsets are not read. FLAME 2023.
"""

import dataclasses
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from formats.codecs import flame_npz, npz_file
from formats.conventions import CV_FROM_GL
from formats.datasets import folder
from formats.errors import FormatError, MissingAsset
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
EDITION = "flame2023"
NAME = re.compile(r"tracked_flame_params_(\d+)\.npz")
MOMENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
PATTERN = "tracked_flame_params_*.npz"
HEAVY = ("dynamic_offset", "tex", "tex_extra", "lights", "static_offset")


@dataclass(frozen=True, eq=False)
class Track:
    """One tracked sequence."""

    path: Path
    sequence: Sequence
    """Without cameras."""
    moments: tuple[str, ...]
    """The pictures' numbers, as the tracker calls them."""


def newest(places: list[Path]) -> Path | None:
    """Return the file of the largest epoch, of the last run by name, among those directly in `places`."""
    found = []
    for place in places:
        for path in place.glob(PATTERN) if place.is_dir() else ():
            match = NAME.fullmatch(path.name)
            if match and path.is_file():
                found.append((path.parent.name, int(match[1]), path))
    return max(found)[2] if found else None


def read(path: Path, edition: str, fps: float) -> Track:
    """Return what a tracked file holds.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is damaged; or its moments are not as many as its parameters.
    """
    sequence = flame_npz.read(path, edition, fps)
    ids = npz_file.read(path, (*HEAVY, *flame_npz.NAMES.values(), "expr", "shape")).get("timestep_id")
    if ids is None:
        moments = tuple(str(i) for i in range(len(sequence)))
    else:
        if ids.ndim != 1 or len(ids) != len(sequence):
            raise FormatError(f"{path}: 'timestep_id': expected {len(sequence)} texts, got shape {list(ids.shape)}")
        moments = tuple(str(value) for value in ids)
        odd = next((moment for moment in moments if not MOMENT.fullmatch(moment)), None)
        if odd is not None:
            raise FormatError(f"{path}: 'timestep_id': {odd[:40]!a} is no picture's number")
    warn_of_offset(path)
    return Track(path, sequence, moments)


def warn_of_offset(path: Path) -> None:
    """Log how much of the person is in a file's `static_offset`, which coefficients do not tell."""
    if "static_offset" not in npz_file.names(path):
        return
    offset = flame_npz.read_identity(path)[1]
    most = 0.0 if offset is None or not offset.size else float(np.linalg.norm(offset, axis=1).max())
    if most > 0:
        LOG.warning("%s: the person's static offset, up to %.1f mm, is no part of what is read; the head is the person's by its "
                    "shape coefficients alone", path, 1000 * most)


@np.errstate(over="ignore", invalid="ignore")
def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return the motion in a tracker's output folder; with the one camera of uncalibrated videos where the file says it.

    Raises:
        MissingAsset: There is no tracked file in it, or in the folders in it.
        FormatError: It is damaged.
    """
    root = Path(root)
    path = find(root)
    if path is None:
        raise MissingAsset(f"{root}: holds no {PATTERN}; expected VHAP's output folder, or one of its runs")
    track = read(path, folder.edition_of(path.parent, edition, EDITION, above=2), folder.FPS if fps is None else fps)
    cameras = _camera(path, len(track.sequence))
    return dataclasses.replace(track.sequence, cameras=cameras) if cameras else track.sequence


def find(root: Path) -> Path | None:
    """Return the tracked file of an output folder or of one run in it, None when there is none."""
    if not root.is_dir():
        return None
    return newest([root]) or newest([path for path in root.iterdir() if path.is_dir()])


def holds(root: Path) -> bool:
    """Tell whether `root` is VHAP's output folder, or one run in it."""
    return find(root) is not None


def _camera(path: Path, count: int) -> dict[str, np.ndarray]:
    extra = npz_file.read(path, (*HEAVY, *flame_npz.NAMES.values(), "expr", "shape", "timestep_id"))
    focal, size = extra.get("focal_length"), extra.get("image_size")
    if focal is None or size is None:
        return {}
    if ("U" in (focal.dtype.kind, size.dtype.kind) or focal.size != 1 or size.size != 2 or not (focal > 0).all()
            or not ((size >= 1) & (size <= 16384)).all()):
        raise FormatError(f"{path}: 'focal_length' and 'image_size': expected a positive number and two sizes in pixels, got "
                          f"shapes {list(focal.shape)} and {list(size.shape)}")
    height, width = (float(value) for value in size.reshape(-1))
    pixels = float(focal.reshape(-1)[0]) * max(height, width)
    k = np.array([[pixels, 0, width / 2], [0, pixels, height / 2], [0, 0, 1]])
    view = CV_FROM_GL.copy()
    view[2, 3] = 1  # at (0, 0, 1), looking along -z
    return {"K": np.tile(k, (count, 1, 1)), "world_to_camera": np.tile(view, (count, 1, 1)),
            "size": np.tile([width, height], (count, 1))}
