"""INSTA's layout (metrical-tracker's results), with the parameters that FateAvatar's authors add to it.

    <subject>/transforms_train.json transforms_test.json    cameras: camera-to-world, OpenCV axes, metres; one K
              images/00000.png                              RGBA, background and clothing removed
              flame/exp/00000.txt                           100 numbers, one a line
              flame/{shape,jaw,eyes,eyelids}/00000.txt      300, 6, 12, 2; not in the stock script's output
              seg_mask/00000.png                            optional, classes in the red channel

The head's motion is in the camera: FLAME's root and neck never turn. INSTA: Zielonka et al., "Instant Volumetric Head
Avatars", CVPR 2023. FateAvatar: Zhang et al., CVPR 2025.
"""

from pathlib import Path

import numpy as np

from formats.codecs.json_file import Fields, read_json
from formats.datasets import folder
from formats.datasets.frames import Frames
from formats.datasets.insta_flame import read_parameters
from formats.datasets.joining import join_sequences
from formats.datasets.segmentation import seen_eyes
from formats.errors import FormatError, MissingAsset, naming
from formats.sequence import Sequence

EYE_CODES = (210, 200)
"""Of the left and the right eye in a seg_mask's red channel."""


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by name when the nouns are built
def read(root: Path, split: str, edition: str | None = None) -> Frames:
    """Return one split of the subject in `root`, in the order of the frames' numbers; holes in the list are left out.

    `points2d["eyes"]` holds the middles of the eyes that seg_mask shows, in a sample of the frames.

    Raises:
        MissingAsset: The folder, the split, a picture or a parameter file is not there.
        FormatError: A file is damaged, or names files outside the folder.
    """
    folder.check_split(split)
    subject = folder.subject(Path(root), lambda path: any(path.glob("transforms*.json")), "transforms_train.json")
    entries, named, sequence = _motion(subject, split, folder.edition_of(subject, edition), folder.FPS)
    images = tuple(folder.picture(name.with_suffix(""), entry.where) for name, entry in zip(named, entries, strict=True))
    masks = [folder.inside(subject, entry.text("seg_mask_path", f"seg_mask/{name.stem}.png"),
                           f"{entry.where}: 'seg_mask_path'") for name, entry in zip(named, entries, strict=True)]
    eyes = seen_eyes(masks, EYE_CODES)
    return Frames(subject.name, split, sequence, images, (), tuple(name.stem for name in named),
                  {} if eyes is None else {"eyes": eyes})


@np.errstate(over="ignore", invalid="ignore")
def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return the motion of the subject in `root`, `train` before `test`; no pictures are needed.

    Raises:
        MissingAsset: There is no such folder, or a parameter file is not there.
        FormatError: A file is damaged.
    """
    subject = folder.subject(Path(root), holds, "transforms_train.json and flame/exp")
    splits = [split for split in folder.SPLITS if (subject / f"transforms_{split}.json").is_file()] or ["train"]
    basis, rate = folder.edition_of(subject, edition), folder.FPS if fps is None else fps
    parts = [_motion(subject, split, basis, rate)[2] for split in splits]
    sequence = join_sequences(parts, str(subject))
    return folder.ranged(sequence, len(parts[0])) if splits[0] == "train" else sequence


def holds(root: Path) -> bool:
    """Tell whether `root` is a subject's folder of this layout."""
    return (root / "flame" / "exp").is_dir() and any(root.glob("transforms*.json"))


def _motion(subject: Path, split: str, basis: str, fps: float) -> tuple[list[Fields], list[Path], Sequence]:
    """Return a split's entries, the pictures they name, and motion with cameras, in the order of the frames' numbers."""
    path = subject / f"transforms_{split}.json"
    if not path.is_file():
        raise MissingAsset(f"{path}: no such file; found {folder.listing(sorted(subject.glob('transforms*.json')))}. INSTA's "
                           "script writes the split: the last 350 frames are held out")
    fields = Fields(read_json(path), str(path))
    entries = [Fields(entry, f"{path}: frame {i}") for i, entry in enumerate(fields.items("frames")) if entry is not None]
    if not entries:
        raise FormatError(f"{path}: 'frames' is empty; give the split some frames, or train without it")
    named = [folder.inside(subject, entry.text("file_path"), f"{entry.where}: 'file_path'") for entry in entries]
    numbers = [folder.frame_number(name, entry.where) for name, entry in zip(named, entries, strict=True)]
    order = sorted(range(len(entries)), key=numbers.__getitem__)
    twice = next((i for i, j in zip(order[1:], order, strict=False) if numbers[i] == numbers[j]), None)
    if twice is not None:
        raise FormatError(f"{entries[twice].where}: a second frame {named[twice].stem}; remove one of them")
    entries, named = [entries[i] for i in order], [named[i] for i in order]
    cameras = _cameras(fields, entries)
    exp = [folder.inside(subject, entry.text("exp_path", f"flame/exp/{name.stem}.txt"), f"{entry.where}: 'exp_path'")
           for name, entry in zip(named, entries, strict=True)]
    flame = read_parameters(exp)
    with naming(path):
        return entries, named, Sequence(basis, fps, flame["expr"], jaw=flame["jaw"], eyes=flame["eyes"],
                                        eyelids=flame["eyelids"], shape=flame["shape"], cameras=cameras)


def _cameras(fields: Fields, entries: list[Fields]) -> dict[str, np.ndarray]:
    """Return the cameras, one K for all: the sheet's files hold it once."""
    names = ("w", "h", "fl_x", "fl_y", "cx", "cy")
    width, height, fl_x, fl_y, cx, cy = (fields.number(name) for name in names)
    if not (width == int(width) and height == int(height) and 1 <= width <= 16384 and 1 <= height <= 16384):
        raise FormatError(f"{fields.where}: 'w' and 'h': expected whole pixels in 1..16384, got {width:g} x {height:g}")
    if not (fl_x > 0 and fl_y > 0):
        raise FormatError(f"{fields.where}: 'fl_x' and 'fl_y': expected positive pixels, got {fl_x:g} and {fl_y:g}; write "
                          "INSTA's transforms again")
    if not (0 < cx < width and 0 < cy < height):
        raise FormatError(f"{fields.where}: 'cx' and 'cy': {cx:g}, {cy:g} is outside the {width:g} x {height:g} picture; they "
                          "are pixels from its top-left corner")
    world_to_camera = np.stack([_world_to_camera(entry) for entry in entries])
    count = len(entries)
    k = np.array([[fl_x, 0, cx], [0, fl_y, cy], [0, 0, 1]])
    return {"K": np.tile(k, (count, 1, 1)), "world_to_camera": world_to_camera,
            "size": np.tile([width, height], (count, 1))}


def _world_to_camera(entry: Fields) -> np.ndarray:
    # Named after NeRF's files, but the axes are OpenCV's already: no flip.
    return folder.inverse_camera(entry.numbers("transform_matrix"), f"{entry.where}: 'transform_matrix'")
