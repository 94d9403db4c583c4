"""Whose file is this: the signs by which other systems' checkpoints, folders and clips are told apart.

Nothing is loaded that is not needed for it: of a torch file its pickle (and a few rows where keys do not tell), of a PLY
its header, of a folder its names.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from formats import codecs
from formats.codecs import torch_file
from formats.errors import AvatarError
from formats.importers import folder_signs, torch_signs
from formats.importers.lam_archive import LamArchive
from formats.importers.recognition import Finding
from formats.importers.torch_signs import fate_kind

__all__ = ["fate_kind", "recognise"]


def recognise(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return a JSON-ready summary of what lies at `path` if it is one of the systems' we import; else None.

    `system` is the name for `flameport import` (empty for a tracker's frame), `variant` its version or stage, `flame` the
    edition it was made with, `needs` the further inputs and where they lie, `import` the line to run; counts besides.

    Raises:
        FormatError: It is one of them, but damaged.
        MissingAsset: There is no such file.
    """
    path = Path(path)
    found = _in_folder(path) if path.is_dir() else _in_file(path)
    return None if found is None else found.summary(path)


def _in_folder(path: Path) -> Finding | None:
    found = folder_signs.in_folder(path)
    if found is not None:
        return found
    main = folder_signs.main_file(path)
    found = None if main is None else _in_file(main)
    return None if found is None else replace(found, file=main)


def _in_file(path: Path) -> Finding | None:
    try:
        kind = codecs.sniff(path)
    except AvatarError:
        return _lam(path)
    if kind == "torch_file":
        return torch_signs.recognise(torch_file.open(path).root, path)
    if kind == "inria_ply":
        return folder_signs.in_ply(path)
    if kind == "npz":
        return folder_signs.in_npz(path)
    return folder_signs.in_pickle(path) if kind == "flame_pickle" else None


def _lam(path: Path) -> Finding | None:
    """Return what is said of a zip that the public LAM renderer plays; None for anything else."""
    try:
        with LamArchive(path) as archive:
            names = archive.names()
            if "offset.ply" in names:
                return Finding("lam", "avatar zip", "", {"name": archive.name, "files": sorted(names)})
    except AvatarError:
        pass  # whoever opens it says what is wrong
    return None
