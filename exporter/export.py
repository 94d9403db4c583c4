"""Avatar to target: check what the target can carry, refuse or tell what is lost, write, report."""

import dataclasses
import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from exporter.capabilities import Loss, fit, refuse
from formats.avatar import Avatar, check_driver
from formats.errors import UnsupportedFeature
from formats.retarget import with_head_motion
from formats.sequence import Sequence

TARGETS = {
    "baked-avatar-web": "exporter.targets.baked_avatar_web",
    "glb": "exporter.targets.glb",
    "lam": "exporter.targets.lam",
    "onnx": "exporter.targets.onnx",
    "ply": "exporter.targets.ply",
    "sequence": "exporter.targets.sequence",
    "spz": "exporter.targets.spz",
    "textures": "exporter.targets.textures",
    "unity": "exporter.targets.unity",
    "web": "exporter.targets.web",
}
"""Name to module: one file with `Options`, `CAPABILITIES` and `write(avatar, out, options) -> list[Path]`; and, where its options
lose something, `losses(avatar, options) -> list[Loss]`."""


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote and what it left out."""

    paths: tuple[Path, ...]
    bytes: int
    """Of all `paths` together."""
    losses: tuple[Loss, ...]


def export(avatar: Avatar, target: str, out: Path, options: Any = None, sequence: Sequence | None = None,
           allow_loss: bool = False) -> ExportReport:
    """Write `avatar` for `target` to `out`, whole or not at all, and return what was written and lost.

    Args:
        avatar: What to write.
        target: A key of `TARGETS`.
        out: File or folder; a previous one is replaced in one step.
        options: The target's `Options`; its defaults when absent.
        sequence: The clip to put in; the avatar's own when absent.
        allow_loss: Write even when the target cannot carry everything that shows.

    Raises:
        UnsupportedFeature: There is no such target, or it cannot carry something and `allow_loss` is off.
        CheckpointMismatch: The clip does not fit the avatar's head.
    """
    module = _module(target)
    if options is None:
        options = module.Options()
    if sequence is not None:
        check_driver(avatar.head, sequence)
        avatar = dataclasses.replace(avatar, sequence=sequence)
    if avatar.sequence is not None and avatar.sequence.cameras and module.CAPABILITIES.subject == "avatar":
        mode = getattr(options, "head_motion", "head")
        avatar = dataclasses.replace(avatar, sequence=with_head_motion(avatar.sequence, avatar.head, mode))
    fitted = fit(avatar, module.CAPABILITIES)
    lost = list(fitted.losses)
    if hasattr(module, "losses"):
        lost += module.losses(fitted.avatar, options)
    if not allow_loss:
        refuse([loss for loss in lost if loss.blocking], target)
    paths = tuple(module.write(fitted.avatar, Path(out), options))
    return ExportReport(paths, sum(path.stat().st_size for path in paths), tuple(lost))


def options_type(target: str) -> type:
    """Return the `Options` dataclass of a target."""
    return _module(target).Options


def _module(target: str) -> ModuleType:
    if target not in TARGETS:
        raise UnsupportedFeature(f"unknown export target '{target}'; available are {', '.join(TARGETS)}")
    return importlib.import_module(TARGETS[target])
