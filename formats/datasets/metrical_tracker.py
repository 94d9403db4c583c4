"""metrical-tracker's own folders, also as FlashAvatar's data set has them: one `.frame` per moment, pictures elsewhere.

    <root>/output/<actor>/checkpoint/00000.frame    motion and cameras (`formats.importers.tracker_frames`)
                          input/00000.png           what was tracked, numbered as the frames are
    <root>/input/<actor>/images/00001.png           the same, numbered as the source: one more
                         kpt/00001.npy              68 landmarks, pixels
                         kpt_dense/00001.npy        MediaPipe's 478; irises among them
                         alpha/ or mask/            mattes, or matted/ RGBA pictures; the tracker writes none

    <root>/metrical-tracker/output/<id>/checkpoint/00000.frame
    <root>/dataset/<id>/imgs/00001.jpg alpha/00001.jpg parsing/00001_neckhead.png     FlashAvatar's

The head's motion is in the camera: FLAME's root and neck never turn. There is no split in the files: FlashAvatar holds the last
500 frames out, and so do we in clips of more than 1000; of shorter ones, the last 15 %.
Zielonka, Bolkart, Thies, ECCV 2022; Xiang et al., "FlashAvatar", CVPR 2024.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from formats.codecs import npy_file
from formats.datasets import folder
from formats.datasets.frames import Frames
from formats.datasets.imavatar import left_first
from formats.datasets.mattes import products
from formats.errors import FormatError, MissingAsset
from formats.importers import tracker_frames
from formats.sequence import Sequence

HELD, SHARE = 500, 0.15
"""Frames that FlashAvatar holds out; the share of a clip that is not twice as long."""
PATTERNS = (".", "checkpoint", "output/*/checkpoint", "metrical-tracker/output/*/checkpoint", "*/checkpoint",
            "*/output/*/checkpoint", "*/metrical-tracker/output/*/checkpoint")
"""Where frames lie below the folder that the user names; the first that fits counts."""
MATTES = ("alpha", "mask", "masks", "alpha_maps")
MATTED = "matted"
LANDMARKS, DENSE = 68, 478
IRISES = (473, 468)
"""Of the subject's left and right eye among MediaPipe's points."""


@dataclass(frozen=True)
class Place:
    """Where one actor's files are."""

    name: str
    checkpoint: Path
    pictures: Path | None
    """`imgs`, `images` or `input`; None when there are none."""
    offset: int
    """A picture's number less its frame's."""
    inputs: Path
    """`input/<actor>`, whether it is there or not: the detectors' points."""


def read(root: Path, split: str, edition: str | None = None) -> Frames:
    """Return one split of the actor in `root`: the tracker's folder, its `output/<actor>`, or FlashAvatar's data set.

    `points2d` has `landmarks` [T, 68, 2] and `irises` [T, 2, 2] where the detectors' files are there.

    Raises:
        MissingAsset: Frames or pictures are not there.
        FormatError: A file is damaged; the message names it.
    """
    folder.check_split(split)
    place = _place(Path(root))
    files = tracker_frames.frame_files(place.checkpoint)
    picked = split_of(len(files), split, folder.told_split(place.checkpoint, len(files), 4))
    if place.pictures is None:
        raise MissingAsset(f"{place.checkpoint}: no pictures for these frames; expected {place.checkpoint.parent / 'input'} or "
                           f"{place.inputs / 'images'}, or FlashAvatar's dataset/{place.name}/imgs: copy one of them there")
    numbers = [int(files[i].stem) for i in picked]
    stems = [place.pictures / f"{number + place.offset:05d}" for number in numbers]
    images, masks = _pictures(place, stems)
    sequence = _sequence(place, files, picked, edition)
    return Frames(place.name, split, sequence, images, masks, tuple(f"{number:05d}" for number in numbers),
                  _points(place, numbers))


def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return all frames with the ranges `train` and `test`; no pictures are needed. A folder of `.frame` files will do.

    Raises:
        MissingAsset: There are no frames.
        FormatError: A file is damaged.
    """
    place = _place(Path(root))
    files = tracker_frames.frame_files(place.checkpoint)
    sequence = _sequence(place, files, range(len(files)), edition, fps)
    told = folder.told_split(place.checkpoint, len(files), 4)
    return folder.ranged(sequence, len(split_of(len(files), "train", told))) if len(files) > 1 else sequence


def split_of(count: int, split: str, trained: int | None = None) -> range:
    """Return which of `count` frames are in a split: all but the first `trained`, where it is known, else the last 500, or
    15 % of clips of up to 1000, are the test."""
    if trained is not None:
        return range(trained) if split == "train" else range(trained, count)
    return folder.tail(count, split, HELD if count > 2 * HELD else round(SHARE * count))


def holds(root: Path) -> bool:
    """Tell whether there are frames of the tracker in or below `root`."""
    return bool(_checkpoints(root))


def _checkpoints(root: Path) -> list[Path]:
    if root.is_dir():
        for pattern in PATTERNS:
            found = [root] if pattern == "." else sorted(root.glob(pattern))
            found = [path for path in found if path.is_dir() and any(path.glob(f"*{tracker_frames.SUFFIX}"))]
            if found:
                return found
        beside = root.parent.parent / "metrical-tracker" / "output" / root.name / "checkpoint"
        if beside.is_dir():  # FlashAvatar's dataset/<id>
            return [beside]
    return []


def _place(root: Path) -> Place:
    if not root.is_dir():
        raise MissingAsset(f"{root}: no such folder; --data names the tracker's folder, with output/<actor>/checkpoint in it")
    found = [path.resolve() for path in _checkpoints(root)]
    if len(found) > 1:
        owners = sorted({path.parent for path in found})
        if len({path.name for path in owners}) < len(owners):  # one actor in several copies: the folders that hold them
            owners = sorted({root / path.relative_to(root.resolve()).parts[0] for path in found})
        raise MissingAsset(f"{root}: holds several subjects: {folder.listing(owners)}; name one of them")
    if not found:
        raise MissingAsset(f"{root}: not a folder of this layout; expected output/<actor>/checkpoint/00000.frame in it, found "
                           f"{folder.listing(sorted(root.iterdir())) or 'nothing'}")
    checkpoint = found[0]
    output = checkpoint.parent if checkpoint.name == "checkpoint" else checkpoint
    name = output.name
    tree = output.parent.parent if output.parent.name == "output" else output.parent
    inputs = tree / "input" / name
    flash = [base / "dataset" / name / "imgs" for base in (tree.parent, tree)]
    places = [path for path in (*flash, inputs / "images", output / "input") if path.is_dir() and _lowest(path) is not None]
    # One with mattes is worth more than one without.
    places.sort(key=lambda path: not any((path.parent / matte).is_dir() for matte in (*MATTES, MATTED)))
    pictures = places[0] if places else None
    offset = 0 if pictures is None or pictures == output / "input" or _lowest(pictures) == 0 else 1
    return Place(name, checkpoint, pictures, offset, inputs)


def _lowest(path: Path) -> int | None:
    numbers = [int(file.stem) for file in path.iterdir() if file.stem.isascii() and file.stem.isdecimal()]
    return min(numbers, default=None)


def _pictures(place: Place, stems: list[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return pictures and masks; the masks are empty where the pictures hold them, or nobody made any."""
    where, cure = str(place.checkpoint), "picture numbers are the frames' plus one (or begin_frames): copy it there"
    base = stems[0].parent.parent

    def beside(name: str, ending: str = "") -> tuple[Path, ...]:
        return tuple(folder.picture(base / name / f"{stem.name}{ending}", f"{where}: {stem.name}", cure) for stem in stems)

    if (base / MATTED).is_dir():
        return beside(MATTED), ()
    images = beside(stems[0].parent.name)
    matte = next((name for name in MATTES if (base / name).is_dir()), None)
    parts = [beside(matte)] if matte else []
    if (base / "parsing").is_dir() and any((base / "parsing").glob("*_neckhead.*")):
        # FlashAvatar learns from pictures times both: the second cuts the clothes off.
        parts.append(beside("parsing", "_neckhead"))
    return images, products(parts, base / ".flameport" / "mattes") if len(parts) > 1 else parts[0] if parts else ()


def _sequence(place: Place, files: list[Path], picked: range, edition: str | None, fps: float | None = None) -> Sequence:
    basis = folder.edition_of(place.checkpoint, edition, above=4)
    # Everybody's shape is that of the first frame of all.
    sequence = tracker_frames.read_files([files[0], *(files[i] for i in picked)], basis,
                                         tracker_frames.FPS if fps is None else fps)
    return sequence.take(list(range(1, len(sequence))))


def _points(place: Place, numbers: list[int]) -> dict[str, np.ndarray]:
    found = {}
    kinds = {"landmarks": ("kpt", LANDMARKS), "irises": ("kpt_dense", DENSE)}
    for kind, (name, count) in kinds.items():
        base = place.inputs / name
        if not base.is_dir():
            continue
        files = [path for path in base.glob("*.npy") if path.stem.isascii() and path.stem.isdecimal()]
        offset = 0 if files and min(int(path.stem) for path in files) == 0 else 1
        rows = np.full((len(numbers), count, 2), np.nan)
        for i, number in enumerate(numbers):
            path = base / f"{number + offset:05d}.npy"
            if path.is_file():
                rows[i] = _row(path, count)
        found[kind] = rows if kind == "landmarks" else rows[:, IRISES]
    if "irises" in found:
        found["irises"] = left_first(found["irises"], found.get("landmarks"))
    return found


def _row(path: Path, count: int) -> np.ndarray:
    value = npy_file.read(path, 1 << 20)
    if value.shape != (count, 2) or value.dtype.kind not in "fiu":
        raise FormatError(f"{path}: expected pixels [{count}, 2], got {value.dtype} {list(value.shape)}")
    return value.astype(np.float64)
