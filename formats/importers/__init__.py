"""Other systems' own files to avatars: one module each, NumPy only.

A module has `read(path, head, sides, *, as_original=False, ...) -> Avatar`. Adding one means a line in `IMPORTERS`,
which names the module so that nothing is imported before it is needed.
"""

import importlib
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from formats.avatar import Avatar
from formats.errors import FormatError, UnsupportedFeature
from formats.head_model import HeadModel

IMPORTERS: dict[str, str] = {
    "fate": "formats.importers.fate",
    "gaussian-avatars": "formats.importers.gaussian_avatars",
    "flash-avatar": "formats.importers.flash_avatar",
    "splatting-avatar": "formats.importers.splatting_avatar",
    "mono-gaussian-avatar": "formats.importers.mono_gaussian_avatar",
    "gaussian-head-avatar": "formats.importers.gaussian_head_avatar",
    "osgap": "formats.importers.osgap",
    "baked-avatar": "formats.importers.baked_avatar",
    "lam": "formats.importers.lam",
}
"""System name on the command line to the module that reads its files."""
_NOT_OPTIONS = ("path", "head", "sides")


def module_of(system: str) -> ModuleType:
    """Return the module of a system.

    Raises:
        UnsupportedFeature: There is no such system.
    """
    if system not in IMPORTERS:
        raise UnsupportedFeature(f"there is no system '{system}'; this version imports {', '.join(IMPORTERS)}")
    return importlib.import_module(IMPORTERS[system])


def options(system: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the options of a system's reader from text, by their types.

    Raises:
        UnsupportedFeature: There is no such system or option; the message lists them.
        FormatError: A text is no value of the option's type.
    """
    known = {name: each for name, each in inspect.signature(module_of(system).read).parameters.items()
             if name not in _NOT_OPTIONS}
    values = {}
    for name, text in texts.items():
        if name not in known:
            raise UnsupportedFeature(f"--set {name}: {system} has no such option; it has {', '.join(known) or 'none'}")
        kind = type(known[name].default)
        try:
            values[name] = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError) as error:
            raise FormatError(f"--set {name}={text}: expected {'true or false' if kind is bool else kind.__name__}") from error
    return values


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
        UnsupportedFeature: No such system.
        AvatarError: What the system's module raises.
    """
    return module_of(system).read(Path(path), head, sides or {}, **options)
