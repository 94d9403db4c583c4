"""Other systems' own files to avatars: one module each, NumPy only.

A module has `read(path, head, sides, *, as_original=False, ...) -> Avatar`. Adding one means a line in `IMPORTERS`,
which names the module so that nothing is imported before it is needed.
"""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from formats.avatar import Avatar
from formats.errors import UnsupportedFeature
from formats.head_model import HeadModel

IMPORTERS: dict[str, str] = {
    "lam": "formats.importers.lam",
}
"""System name on the command line to the module that reads its files."""

LATER = ("fate", "gaussian-avatars", "flash-avatar", "splatting-avatar", "mono-gaussian-avatar", "gaussian-head-avatar",
         "osgap", "baked-avatar")
"""Systems whose files this version does not read yet."""


def read(system: str, path: str | os.PathLike[str], head: HeadModel | None = None,
         sides: Mapping[str, Path] | None = None, **options: Any) -> Avatar:
    """Return the avatar in another system's own files.

    Args:
        system: One of `IMPORTERS`.
        path: The file or folder.
        head: For systems that ride FLAME: the head their files were made with.
        sides: Further inputs by name, for systems that need them and do not find them beside `path`.
        options: As the system's module describes them; all know `as_original`.

    Raises:
        UnsupportedFeature: No such system, or not in this version.
        AvatarError: What the system's module raises.
    """
    if system not in IMPORTERS:
        later = "" if system not in LATER else f"importing '{system}' comes with a later version; "
        raise UnsupportedFeature(f"{later or f'there is no system {system!r}; '}this version imports "
                                 f"{', '.join(IMPORTERS)}")
    module = importlib.import_module(IMPORTERS[system])
    return module.read(Path(path), head, sides or {}, **options)
