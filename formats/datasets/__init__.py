"""Tracked videos on disk to `Frames`, one file per layout: `read(root, split, edition)`.

To add one: write the file, add a line to `DATASETS`, and a line to the table in `tests/formats/test_datasets.py`. Axis flips,
scales and splits of a layout live in its reader and nowhere else.
"""

import importlib
from pathlib import Path

from formats.datasets.frames import Frames
from formats.errors import UnsupportedFeature
from formats.head_model import HeadModel

DATASETS = {
    "imavatar": "formats.datasets.imavatar",
    "insta": "formats.datasets.insta",
    "point-avatar": "formats.datasets.point_avatar",
    "metrical-tracker": "formats.datasets.metrical_tracker",
    "vhap": "formats.datasets.vhap",
    "nersemble": "formats.datasets.nersemble",
    "nersemble-benchmark": "formats.datasets.nersemble_benchmark",
    "gaussian-head-avatar": "formats.datasets.gaussian_head_avatar",
}
"""Name to module. The user names the layout; nothing is guessed from a path."""


PLACED = ("nersemble-benchmark", "gaussian-head-avatar")
"""Layouts that place the head by a similarity about the model's origin, which only the head's tables make a turn of its root."""


def read(name: str, root: Path, split: str = "train", edition: str | None = None, head: HeadModel | None = None) -> Frames:
    """Return one split of the tracked video in the folder `root`, laid out as `name` says.

    Args:
        name: A key of `DATASETS`.
        root: The subject's folder.
        split: `train` or `test`.
        edition: FLAME edition of the coefficients, one of `head_model.EDITIONS`; when None, the tag that `flameport
            capture` leaves in the folder (`capture.json`), else what the layout's trackers use.
        head: What the video was tracked with, identity directions included. In layouts of `PLACED` it then moves; without
            it their cameras move about a still head, which shows the same. Other layouts have no use for it.

    Raises:
        UnsupportedFeature: There is no such layout.
        MissingAsset: The folder, or a file it names, is not there.
        FormatError: Something in it is wrong; the message names the file.
    """
    if name not in DATASETS:
        raise UnsupportedFeature(f"unknown data set layout '{name}'; available are {', '.join(DATASETS)}")
    module = importlib.import_module(DATASETS[name])
    return module.read(Path(root), split, edition, *([head] if name in PLACED else []))
