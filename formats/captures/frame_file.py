"""metrical-tracker's `.frame` files: what `torch.save` makes of a dict of NumPy arrays, written without torch.

A zip, not compressed, of `archive/data.pkl` (pickle, protocol 2), `archive/byteorder` and `archive/version`. There are no
tensors in it, so no storages.
"""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = "archive"
VERSION = b"3\n"
"""Of torch's zip container."""
NAMES = ((b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"),)
"""NumPy 2's name of a module, and the one that the tracker's NumPy wrote and that every NumPy reads."""


def write_frame(value: Mapping[str, Any], path: Path) -> None:
    """Write a dict of dicts, arrays, text and integers as `torch.load` reads it; the same value gives the same bytes."""
    data = pickle.dumps(dict(value), protocol=2)
    for ours, theirs in NAMES:
        data = data.replace(ours, theirs)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (("data.pkl", data), ("byteorder", b"little"), ("version", VERSION)):
            archive.writestr(zipfile.ZipInfo(f"{ROOT}/{name}"), content)
