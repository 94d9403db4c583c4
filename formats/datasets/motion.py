"""Folders of motion: any tracked video's parameters as a `Sequence`, pictures or no pictures.

To add one: give its module `holds(folder) -> bool` and `motion(folder, edition, fps) -> Sequence`, and add a line to `LAYOUTS`
where it should be asked.
"""

import importlib
import os
from pathlib import Path
from types import ModuleType

from formats.datasets import folder as names
from formats.errors import FormatError, MissingAsset
from formats.sequence import Sequence

LAYOUTS = {
    "imavatar": "formats.datasets.imavatar",
    "point-avatar": "formats.datasets.point_avatar",
    "insta": "formats.datasets.insta",
    "gaussian-head-avatar": "formats.datasets.gaussian_head_avatar",
    "nersemble-benchmark": "formats.datasets.nersemble_benchmark",
    "nersemble": "formats.datasets.nersemble",
    "vhap": "formats.datasets.vhap",
    "vhap-tracks": "formats.datasets.vhap_tracks",
    "metrical-tracker": "formats.datasets.metrical_tracker",
    "baked-sequence": "formats.datasets.baked_motion",
}
"""Name to module, in the order they are asked: the more particular comes first."""


def sniff_layout(folder: str | os.PathLike[str]) -> str | None:
    """Return the key of `LAYOUTS` that a folder, or the only fitting folder in it, is laid out as; None when it is none."""
    found = _find(Path(folder))
    return found[0] if found else None


def read_motion(folder: str | os.PathLike[str], edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return the motion in a folder that a tracker, or a data set's author, wrote.

    Ranges are called `train` and `test` where the layout has both. Of several cameras one is kept: the frontal one.

    Args:
        folder: Of one of `LAYOUTS`, or one that holds just one such.
        edition: FLAME edition of the coefficients; when None, the tag in the folder, else what the layout's tracker uses.
        fps: Frames a second, where the files do not say; 25 when None.

    Raises:
        MissingAsset: There is no such folder, or a file of it is not there.
        FormatError: It is no layout we know, or damaged.
    """
    root = Path(folder)
    if not root.is_dir():
        raise MissingAsset(f"{root}: no such folder")
    found = _find(root)
    if found is None:
        raise FormatError(f"{root}: no folder of motion; known are {', '.join(LAYOUTS)}, found "
                          f"{names.listing(sorted(root.iterdir())) or 'nothing'}. Name a subject's folder, or a file")
    return _module(found[0]).motion(found[1], edition, fps)


def _find(root: Path) -> tuple[str, Path] | None:
    if not root.is_dir():
        return None
    name = _named(root)
    if name:
        return name, root
    fitting = [(inner, path) for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")
               and (inner := _named(path))]
    if len(fitting) > 1:
        raise FormatError(f"{root}: holds several folders of motion: {names.listing([path for _, path in fitting])}; name one "
                          "of them")
    return fitting[0] if fitting else None


def _named(path: Path) -> str | None:
    return next((name for name in LAYOUTS if _module(name).holds(path)), None)


def _module(name: str) -> ModuleType:
    return importlib.import_module(LAYOUTS[name])
