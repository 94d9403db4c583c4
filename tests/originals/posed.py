"""What a fixture hands over: the files it wrote, and what the original would draw from them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from formats.head_model import HeadModel
from formats.sequence import Sequence


@dataclass(frozen=True, eq=False)
class Posed:
    """Gaussians in world space, frame by frame: metres, our axes, activated values, the file's own order."""

    means: np.ndarray
    """[T, N, 3] metres."""
    quats: np.ndarray
    """[T, N, 4] wxyz, unit; compare up to sign."""
    scales: np.ndarray
    """[T, N, 3] metres, linear."""
    opacities: np.ndarray
    """[T, N], 0..1."""
    rgb: np.ndarray | None = None
    """[T, N, 3] colour where it does not depend on the view (no upper clamp where the original has none)."""
    sh: np.ndarray | None = None
    """[T, N, K, 3] spherical harmonics where it does; DC first."""


@dataclass(frozen=True, eq=False)
class Original:
    """One written fixture."""

    path: Path
    """What a user imports."""
    posed: Posed
    sequence: Sequence
    """Drives the imported avatar to `posed`, frame for frame."""
    sides: dict[str, Path] = field(default_factory=dict)
    """Side files by a descriptive name; those that lie where the original puts them are found without."""
    head: HeadModel | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """For the importer's `read`."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Further truths about the file, for tests that want them."""
