"""Avatars from tracked videos. The only room with torch; it reads `formats.datasets` and leaves bundles behind.

A trainer is one module, or folder, that exports

- `Config`: a frozen dataclass of numbers, the paper's by default, each field explained by the string under it;
- `PRESETS`: name to `Config`; `paper` and `demo` at least;
- `IN_STEPS`: names of the fields that count steps, beside `steps`: what a shorter training makes shorter with it;
- `Model`: what `trainers.model.Model` describes, made by `Model(config, head, store)`;
- `head_of`, where the system rides a head of its own: `head_of(config, head)`, before a person is put in;
- `bake`, where the system bakes: as `trainers.bake` below, without the look-up.

A system of Gaussians on a FLAME head derives its `Model` from `trainers.splat_model.SplatModel`, whose text says what is left
to fill in: parameters that come and go with their optimisers' memory (`take`, `keep`), scenes and terms that a CUDA graph
replays (`trainers.scene`), corrections of each frame's tracking (`trainers.refinement`), refits of held-out frames, resume.
Places on the UV layout, and distances between them, are in `trainers.sampling`, first colours from the pictures in
`trainers.shown_colors`, what comes and goes in `trainers.densify`. `trainers.fate_avatar.model` is an example.

To add one: write it, add a line to `TRAINERS`, a row to the README's table, and a test file in `tests/trainers`.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from formats.errors import MissingAsset, UnsupportedFeature

# Read when torch is first imported: its idle threads otherwise spin on the core that our compiled loops need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

TRAINERS = {
    "fate": "trainers.fate_avatar",
    "flash-avatar": "trainers.flash_avatar",
    "gaussian-avatars": "trainers.gaussian_avatars",
    "splatting-avatar": "trainers.splatting_avatar",
    "mono-gaussian-avatar": "trainers.mono_gaussian_avatar",
}
"""The command line's SYSTEM to module."""

STAGES = {
    "fate-bake": "trainers.fate_avatar.baking",
}
"""What follows a training in a run of its own, to module; the same exports, but no command starts it by this name."""

PLANNED = ("gaussian-head-avatar", "osgap",
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
    if system not in TRAINERS and system not in STAGES:
        raise UnsupportedFeature(f"unknown system '{system}'; available are {', '.join(TRAINERS)}")
    require_torch()
    return importlib.import_module((TRAINERS | STAGES)[system])


def require_torch() -> None:
    """Raise `MissingAsset` unless torch and, for the CPU, numba can be imported."""
    for name in ("torch", "numba"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingAsset(f"training needs {name}: pip install 'flameport[train]' ({error})") from error


def bake(run: Path, out: Path, *, preset: str | None = None, steps: int | None = None, data: Path | None = None,
         device: str | None = None, resume: bool = False, overrides: Mapping[str, str] = {},  # noqa: B006
         progress: Callable[[str], None] = lambda text: None) -> Any:
    """Bake a trained run to UV maps and write the bundle `out`; return a summary with `rows()` for a table.

    Args:
        run: The run folder.
        out: Bundle to write.
        preset: Named settings; those of the run's own preset when None.
        steps: Of the baking network; the preset's when None.
        data: The subject's folder, if it has moved since.
        device: `cuda` or `cpu`.
        resume: Go on from where an interrupted bake stopped.
        overrides: Settings by name, as text.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: The run's system does not bake.
        MissingAsset: There is no run, or its data are gone.
    """
    require_torch()
    system = importlib.import_module("trainers.run").Run.open(run).system
    module = trainer(system)
    if not hasattr(module, "bake"):
        raise UnsupportedFeature(f"{run}: '{system}' has nothing to bake; export {run / 'avatar.avatar'} as it is, or "
                                 "turn its networks into tables with --linearise")
    return module.bake(run, out, preset=preset, steps=steps, data=data, device=device, resume=resume,
                       overrides=overrides, progress=progress)
