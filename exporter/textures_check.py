"""Reading exported UV maps back: every map within half a step of the bundle's, a lossy albedo as far off as was said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from exporter.targets import textures
from exporter.validation_report import Measure, ValidationReport, decibels
from formats.avatar import Avatar
from formats.codecs.json_file import Fields, read_json
from formats.errors import CheckpointMismatch
from formats.uv_maps import UVMaps

HALF_STEP = 0.501
"""Levels: rounding to the nearest, and a little for single precision."""
SLACK_DB = 0.5
"""How much further off than textures.json says a KTX2 albedo may be: decoders round a little differently."""


def check(path: Path, avatar: Avatar, frames: int = 10, progress: Callable[[str], None] | None = None) -> ValidationReport:
    """Return how far the maps in the folder `path` are from those of `avatar`, within its mask.

    Args:
        path: What `export textures` wrote.
        avatar: The bundle it was made from.
        frames: Not used: maps do not move.
        progress: Told what is going on.

    Raises:
        FormatError: Something in it is not what it says.
        CheckpointMismatch: It was made from another bundle.
    """
    if progress is not None:
        progress("reading back")
    back, own = textures.read(path), avatar.maps
    if own is None or set(own.images) != set(back.images):
        raise CheckpointMismatch(f"{path}: holds maps {', '.join(back.images)}, the bundle "
                                 f"{', '.join(own.images) if own else 'none'}; validate it against the bundle it was made from")
    masks = [np.ones((1, 1), bool) if maps.mask is None else maps.mask for maps in (own, back)]
    differ = float(np.sum(masks[0] != masks[1])) if masks[0].shape == masks[1].shape else float(masks[0].size)
    measures = [Measure("mask: texels that differ", differ, "", 0)]
    entries = Fields(read_json(path / textures.ABOUT), str(path / textures.ABOUT)).fields("maps")
    for name, image in own.images.items():
        found = back.images[name]
        if image.shape != found.shape or own.color_spaces[name] != back.color_spaces[name]:
            raise CheckpointMismatch(f"{path}: '{name}' is {list(found.shape)} {back.color_spaces[name]}, the bundle's "
                                     f"{list(image.shape)} {own.color_spaces[name]}")
        seen = own.mask if own.mask is not None and own.mask.shape == image.shape[:2] else np.ones(image.shape[:2], bool)
        entry = entries.fields(name)
        if entry.has("bits"):
            measures.append(_exact(name, own, found, seen))
        else:
            measures.append(_lossy(name, image, found, seen, entry.fields("error").number("psnr")))
    return ValidationReport("textures", tuple(measures))


def _exact(name: str, own: UVMaps, found: np.ndarray, seen: np.ndarray) -> Measure:
    image = own.images[name]
    if own.color_spaces[name] == "srgb":
        image, low, high, levels = np.clip(image, 0, 1), np.zeros(1), np.ones(1), 255
    else:
        low, high = textures.bounds(own, name)
        levels = textures.STEPS
    # Single precision may be coarser than a step, where a channel hardly changes.
    step = (high - low) / levels + np.spacing(np.maximum(np.abs(low), np.abs(high)).astype(np.float32))
    error = np.abs(image.astype(np.float64) - found)[seen] / step
    return Measure(f"{name}: largest error, in {levels + 1} levels", float(error.max(initial=0)), "levels", HALF_STEP)


def _lossy(name: str, image: np.ndarray, found: np.ndarray, seen: np.ndarray, said: float) -> Measure:
    gap = (np.clip(image, 0, 1).astype(np.float64) - found)[seen]
    square = float(np.mean(gap**2)) if gap.size else 0.0
    return Measure(f"{name}: coded with loss", decibels(-10 * np.log10(max(square, 1e-15))), "dB", said - SLACK_DB,
                   at_least=True)
