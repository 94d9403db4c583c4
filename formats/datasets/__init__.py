"""Tracked videos on disk to `Frames`, one file per layout: `read(root, split, edition)`.

To add one: write the file, add a line to `DATASETS`, and a line to the table in `tests/formats/test_datasets.py`. Axis flips,
scales and splits of a layout live in its reader and nowhere else.
"""

import importlib
from pathlib import Path

from formats.datasets.frames import Frames
from formats.errors import UnsupportedFeature

DATASETS = {
    "imavatar": "formats.datasets.imavatar",
    "insta": "formats.datasets.insta",
    "metrical-tracker": "formats.datasets.metrical_tracker",
    "vhap": "formats.datasets.vhap",
}
"""Name to module. The user names the layout; nothing is guessed from a path."""


def read(name: str, root: Path, split: str = "train", edition: str | None = None) -> Frames:
    """Return one split of the tracked video in the folder `root`, laid out as `name` says.

    Args:
        name: A key of `DATASETS`.
        root: The subject's folder.
        split: `train` or `test`.
        edition: FLAME edition of the coefficients, one of `head_model.EDITIONS`; when None, the tag that `flameport
            capture` leaves in the folder (`capture.json`), else what the layout's trackers use.

    Raises:
        UnsupportedFeature: There is no such layout.
        MissingAsset: The folder, or a file it names, is not there.
        FormatError: Something in it is wrong; the message names the file.
    """
    if name not in DATASETS:
        raise UnsupportedFeature(f"unknown data set layout '{name}'; available are {', '.join(DATASETS)}")
    return importlib.import_module(DATASETS[name]).read(Path(root), split, edition)
