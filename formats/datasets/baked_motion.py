"""BakedAvatar's `sequence_data` folder, as one of the folders of motion (`formats.codecs.baked_sequence`)."""

import dataclasses
from pathlib import Path

from formats.codecs import baked_sequence
from formats.datasets import folder
from formats.sequence import Sequence


def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return the motion with its named ranges.

    Raises:
        MissingAsset: A file is not there.
        FormatError: A file is damaged.
    """
    place = _place(Path(root))
    sequence = baked_sequence.read(place, folder.edition_of(place.parent, edition, baked_sequence.BASIS))
    return sequence if fps is None else dataclasses.replace(sequence, fps=fps)


def holds(root: Path) -> bool:
    """Tell whether `root` is such a folder, or a demo's folder with one in it."""
    return (_place(root) / baked_sequence.FRAMES_FILE).is_file()


def _place(root: Path) -> Path:
    return root if (root / baked_sequence.FRAMES_FILE).is_file() else root / "sequence_data"
