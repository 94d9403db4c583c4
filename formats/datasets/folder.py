"""What every layout's reader needs from a folder: its place, its edition, and names that do not lead out of it."""

import dataclasses
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Series
from pathlib import Path

import numpy as np
from PIL import Image

from formats.codecs.json_file import Fields, read_json
from formats.errors import FormatError, MissingAsset, UnsupportedFeature, naming
from formats.head_model import EDITIONS
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
SPLITS = ("train", "test")
TAG = "capture.json"
"""What `flameport capture` leaves beside its data: `{"edition": ...}` and things for people."""
DEFAULT_EDITION = "flame2020"
"""Of IMavatar's and metrical-tracker's coefficients (through DECA and MICA)."""
FPS = 25.0
"""Frames per second of these layouts' videos; their files do not say it."""


def subject(root: Path, holds: Callable[[Path], bool], what: str) -> Path:
    """Return the folder that holds one subject's data: `root`, or the only one directly in it that does.

    Args:
        root: As the user named it.
        holds: Tells whether a folder is such a one.
        what: It should hold, for the message.

    Raises:
        MissingAsset: Neither is.
    """
    if not root.is_dir():
        raise MissingAsset(f"{root}: no such folder; --data names the subject's folder, with {what} in it")
    if holds(root):
        return root.resolve()
    inner = [path for path in sorted(root.iterdir()) if path.is_dir() and holds(path)]
    if len(inner) > 1:
        raise MissingAsset(f"{root}: holds several subjects: {listing(inner)}; name one of them")
    if not inner:
        raise MissingAsset(f"{root}: not a folder of this layout; expected {what} in it, found "
                           f"{listing(sorted(root.iterdir())) or 'nothing'}")
    return inner[0].resolve()


def only(root: Path, patterns: Series[str], holds: Callable[[Path], bool], what: str) -> Path:
    """Return the only folder that holds a subject's data, at the first of `patterns` (globs below `root`) that fits any.

    Raises:
        MissingAsset: There is none, or there are several.
    """
    if not root.is_dir():
        raise MissingAsset(f"{root}: no such folder; --data names the subject's folder, with {what} in it")
    for pattern in patterns:
        found = [path for path in ([root] if pattern == "." else sorted(root.glob(pattern))) if path.is_dir() and holds(path)]
        if len(found) > 1:
            # What tells them apart comes first in their paths.
            inner = [path.relative_to(root).parts for path in found]
            depth = next(i for i in range(len(inner[0])) if len({parts[i] for parts in inner}) > 1)
            raise MissingAsset(f"{root}: holds several {'subjects' if depth == 0 else 'sequences'}: "
                               f"{listing(sorted({root.joinpath(*parts[:depth + 1]) for parts in inner}))}; name one of them")
        if found:
            return found[0].resolve()
    raise MissingAsset(f"{root}: not a folder of this layout; expected {what} in it, found "
                       f"{listing(sorted(root.iterdir())) or 'nothing'}")


def listing(paths: list[Path], limit: int = 8) -> str:
    """Return the names of `paths` for a message, at most `limit` of them."""
    more = f" and {len(paths) - limit} more" if len(paths) > limit else ""
    return ", ".join(path.name for path in paths[:limit]) + more


def check_split(split: str) -> None:
    """Raise unless `split` is one that these layouts have."""
    if split not in SPLITS:
        raise UnsupportedFeature(f"unknown split '{split}'; this layout has {' and '.join(SPLITS)}")


def tag_of(root: Path, above: int = 1) -> Fields | None:
    """Return what `flameport capture` said of the folder, from its tag in `root` or in one of `above` folders over it."""
    places = (folder / TAG for folder in (root, *list(root.parents)[:above]))
    place = next((place for place in places if place.is_file()), None)
    return None if place is None else Fields(read_json(place), str(place))


def told_split(root: Path, count: int, above: int = 1) -> int | None:
    """Return how many of `count` frames (of a rig: moments) are for training where the folder's tag says so, else None."""
    tag = tag_of(root, above)
    if tag is None or not tag.has("frames"):
        return None
    frames = tag.fields("frames")
    trained = frames.integer("train")
    return trained if trained + frames.integer("test") == count and 0 < trained < count else None


def told_cameras(root: Path, above: int = 1) -> tuple[str, ...]:
    """Return the cameras of a rig that the folder's tag keeps from training."""
    tag = tag_of(root, above)
    return () if tag is None else tag.texts("held_out_cameras", ())


def edition_of(root: Path, edition: str | None, default: str = DEFAULT_EDITION, above: int = 1) -> str:
    """Return the FLAME edition the data in `root` was tracked with.

    The user's word counts; else the tag in `root` or a folder above it; else what the layout's trackers use. Nothing is
    guessed from the data.

    Args:
        root: The subject's folder.
        edition: What the user said.
        default: Edition of the layout's trackers.
        above: How many folders above `root` may hold the tag: layouts differ in how deep a subject lies.

    Raises:
        FormatError: The name is none of `head_model.EDITIONS`, or the tag cannot be read.
    """
    where = "--edition"
    if edition is None:
        tag = tag_of(root, above)
        if tag is None:
            return default
        where, edition = tag.where, tag.text("edition")
    if edition not in EDITIONS:
        raise FormatError(f"{where}: unknown edition '{edition}'; expected one of {', '.join(EDITIONS)}")
    return edition


def tail(count: int, split: str, held: int) -> range:
    """Return the indices of a split that holds the last `held` of `count` frames out, at least one and never all.

    Raises:
        FormatError: There are fewer than two frames, so that nothing can be held out.
    """
    if count < 2:
        raise FormatError(f"{count} frame cannot be split into train and test; a video has at least 2")
    first = count - min(max(held, 1), count - 1)
    return range(first) if split == "train" else range(first, count)


def ranged(sequence: Sequence, trained: int) -> Sequence:
    """Return a clip whose first `trained` frames are called `train` and the others, if any, `test`."""
    ranges = {"train": (0, trained), "test": (trained, len(sequence))}
    return dataclasses.replace(sequence, ranges={name: span for name, span in ranges.items() if span[0] < span[1]})


def with_ranges(sequence: Sequence, ranges: Mapping[str, tuple[int, int]]) -> Sequence:
    """Return the clip with these named ranges."""
    return dataclasses.replace(sequence, ranges=ranges)


def with_cameras(sequence: Sequence, cameras: dict[str, np.ndarray], where: str | Path) -> Sequence:
    """Return the clip seen by `cameras`: `K`, `world_to_camera` and `size`, a row per frame; `where` they were read."""
    with naming(where):
        return dataclasses.replace(sequence, cameras=cameras)


def intrinsics(k: np.ndarray, where: str) -> np.ndarray:
    """Return intrinsics [3, 3] after checking that they are some; `where` names them."""
    if k.shape != (3, 3) or not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0 or not np.allclose(k[2], [0, 0, 1]):
        raise FormatError(f"{where}: expected 3 x 3 pixels with positive focal lengths above the row 0 0 1")
    return k


def check_serials(names: Iterable[str], where: Path) -> None:
    """Raise `FormatError` unless there are cameras, called as cameras are: their names become names of files."""
    held = list(names)
    if not held:
        raise FormatError(f"{where}: 'world_2_cam' names no camera")
    odd = next((name for name in held if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)), None)
    if odd is not None:
        raise FormatError(f"{where}: 'world_2_cam': {odd[:40]!a} is no camera's serial number")


def rigid(matrix: np.ndarray, where: str) -> np.ndarray:
    """Return a camera's place or view [4, 4] after checking it as `inverse_camera` does."""
    inverse_camera(matrix, where)
    return matrix


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by name
def inverse_camera(matrix: np.ndarray, where: str) -> np.ndarray:
    """Return the inverse [4, 4] of a camera's place or view [4, 4].

    Raises:
        FormatError: The matrix is no rotation and position above the row 0 0 0 1; `where` names it.
    """
    if matrix.shape != (4, 4):
        raise FormatError(f"{where}: expected 4 x 4 numbers, got shape {list(matrix.shape)}")
    rotation = matrix[:3, :3]
    # NaN, from numbers that overflow, must fail too.
    if not (np.abs(rotation @ rotation.T - np.eye(3)).max() <= 1e-3 and np.linalg.det(rotation) > 0
            and np.abs(matrix[3] - [0, 0, 0, 1]).max() <= 1e-6):
        raise FormatError(f"{where}: expected a rotation and a position in metres above the row 0 0 0 1; the matrix mirrors, "
                          "scales or shears")
    return np.linalg.inv(matrix)


def inside(base: Path, name: str, where: str) -> Path:
    """Return the path that the file name `name`, from a stranger's file, means under `base`.

    Args:
        base: A resolved folder.
        name: Relative, with forward or backward slashes.
        where: The name stands, for the message.

    Raises:
        FormatError: It is absolute, empty, or leads out of `base`, through `..` or a link.
    """
    clean = name.replace("\\", "/").strip()
    try:
        path = (base / clean).resolve()
        fits = bool(clean) and path != base and path.is_relative_to(base) and not Path(clean).is_absolute()
    except (OSError, ValueError, RuntimeError):  # a null byte, a name too long, a circle of links
        fits, path = False, base
    if not fits or re.match(r"[A-Za-z]:", clean):
        raise FormatError(f"{where}: {name[:80]!r} leads out of {base}; only files inside it are read: copy them there and "
                          "correct the name")
    return path


def frame_number(path: Path, where: str) -> int:
    """Return the number that a frame's file is called by.

    Raises:
        FormatError: Its stem is no whole number.
    """
    if not (path.stem.isdecimal() and path.stem.isascii() and len(path.stem) <= 12):
        raise FormatError(f"{where}: '{path.name}': expected a file called by its frame's number, as 00012.png")
    return int(path.stem)


def matched(paths: tuple[Path, ...], frames: np.ndarray, where: str) -> tuple[Path, ...]:
    """Return a clip's pictures that belong to tracked rows: one each in order, else those that `frames` number.

    Raises:
        FormatError: There are neither as many pictures as rows, nor ones of all those numbers.
    """
    if len(paths) == len(frames):
        return paths
    first = int(frames.min() == 1 and frames.max() == len(paths))  # ffmpeg counts from 1
    if frames.min() < first or frames.max() - first >= len(paths):
        raise FormatError(f"{where}: {len(paths)} frames for {len(frames)} tracked ones, numbered {int(frames.min())} to "
                          f"{int(frames.max())}: another clip than the tracked one, or cut off")
    return tuple(paths[int(number) - first] for number in frames)


def picture(stem: Path, where: str, cure: str = "copy it there") -> Path:
    """Return `stem` with the ending its picture has on disk.

    Raises:
        MissingAsset: There is neither a PNG nor a JPEG.
    """
    for ending in (".png", ".jpg", ".jpeg"):
        path = stem.with_name(stem.name + ending)
        if path.is_file():
            return path
    raise MissingAsset(f"{where}: its picture {stem}.png is not there; {cure}, or remove the frame from the file")


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture from its first bytes.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is no picture.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError as error:
        raise MissingAsset(f"{path}: no such picture") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: not a picture that can be read: {error}") from error
