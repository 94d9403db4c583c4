"""Torch files of NumPy arrays as torch 1 with NumPy 1 wrote them: the modules' old names, two members in the archive."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch


def save(held: Any, path: Path, old: bool = True) -> Path:
    """Write `held` with torch.save; when `old`, under NumPy 1's module names and with `data.pkl` and `version` only.

    Protocol 2 names a global in plain text up to a newline, so that renaming needs no lengths changed.
    """
    if not old:
        torch.save(held, path)
        return path
    made = io.BytesIO()
    torch.save(held, made)
    with zipfile.ZipFile(made) as archive:
        pickled = next(archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl"))
    pickled = pickled.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{path.stem}/data.pkl", pickled)
        archive.writestr(f"{path.stem}/version", "3\n")
    return path
