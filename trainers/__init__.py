"""Avatars from tracked videos. The only room with torch; it reads `formats.datasets` and leaves bundles behind.

A trainer is one module, or folder, that exports

- `Config`: a frozen dataclass of numbers, the paper's by default, each field explained by the string under it;
- `PRESETS`: name to `Config`; `paper` and `demo` at least;
- `Model`: what `trainers.model.Model` describes, made by `Model(config, head, store)`.

To add one: write it, add a line to `TRAINERS`, a row to the README's table and to the table in `tests/test_trainers.py`.
"""

import importlib
from types import ModuleType

from formats.errors import MissingAsset, UnsupportedFeature

TRAINERS = {
    "fate": "trainers.fate_avatar",
}
"""The command line's SYSTEM to module."""

PLANNED = ("gaussian-avatars", "flash-avatar", "splatting-avatar", "mono-gaussian-avatar", "gaussian-head-avatar", "osgap",
           "baked-avatar")
"""Systems that are reserved; they say so instead of pretending."""


def trainer(system: str) -> ModuleType:
    """Return the module of a system.

    Raises:
        UnsupportedFeature: There is no such trainer.
        MissingAsset: torch is not installed.
    """
    if system in PLANNED:
        raise UnsupportedFeature(f"training '{system}' is planned and not available in this version; available are "
                                 f"{', '.join(TRAINERS)}")
    if system not in TRAINERS:
        raise UnsupportedFeature(f"unknown system '{system}'; available are {', '.join(TRAINERS)}")
    require_torch()
    return importlib.import_module(TRAINERS[system])


def require_torch() -> None:
    """Raise `MissingAsset` unless torch and, for the CPU, numba can be imported."""
    for name in ("torch", "numba"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingAsset(f"training needs {name}: pip install 'flameport[train]' ({error})") from error
