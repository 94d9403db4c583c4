"""Adaptive density control: which Gaussians come, which go, and where the new ones lie.

Kerbl et al., "3D Gaussian Splatting", ACM TOG 2023, section 5.2. On triangles children ride their parent's; GaussianAvatars
(Qian et al., CVPR 2024, section 3.2) leaves no triangle without any. Everything here is asked for once in a hundred steps or
more, and may wait for the device.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Thresholds(Protocol):
    """What a system's `Config` says about it."""

    @property
    def densify_gradient(self) -> float:
        """Pull across the screen from which a Gaussian is cloned or split."""
        ...

    @property
    def densify_limit(self) -> int:
        """No more Gaussians than this; 0 for no limit."""
        ...

    @property
    def split_size(self) -> float:
        """Size, times the extent, up to which Gaussians are cloned."""
        ...

    @property
    def split_parts(self) -> int:
        """Gaussians that a split leaves."""
        ...

    @property
    def prune_opacity(self) -> float:
        """Gaussians less opaque than this go."""
        ...

    @property
    def prune_size(self) -> float:
        """Size, times the extent, from which Gaussians go."""
        ...

    @property
    def prune_radius(self) -> float:
        """Pixels of radius from which Gaussians go; 0 for any."""
        ...


@dataclass(frozen=True, eq=False)
class Change:
    """What Gaussians become, as rows of what they were."""

    rows: Tensor
    """int64 [M]: those that stay, in their order, then clones, then parts of splits."""
    clones: int
    parts: int
    """How many of the rows are clones, and parts of splits."""

    @property
    def fresh(self) -> int:
        """How many of the rows are new."""
        return self.clones + self.parts


def pulled(pull: Tensor, sizes: Tensor, config: Thresholds, extent: float) -> tuple[Tensor, Tensor]:
    """Return the rows to clone and to split, int64.

    Args:
        pull: Mean pull across the screen, [N].
        sizes: Longest axis in the world, metres, [N].
        config: Thresholds.
        extent: E, metres.
    """
    chosen = pull >= config.densify_gradient
    if config.densify_limit:
        # A clone brings one more, a split all its parts but one.
        room = max(config.densify_limit - len(pull), 0) // max(config.split_parts - 1, 1)
        rank = torch.argsort(torch.argsort(pull, descending=True, stable=True))
        chosen = chosen & (rank < room)
    small = sizes <= config.split_size * extent
    return torch.nonzero(chosen & small)[:, 0], torch.nonzero(chosen & ~small)[:, 0]


def change_of(pull: Tensor, sizes: Tensor, opacities: Tensor, radii: Tensor, config: Thresholds, extent: float, old: bool,
              face_index: Tensor | None = None) -> Change:
    """Return what comes and goes.

    Args:
        pull: Mean pull across the screen, [N].
        sizes: Longest axis in the world, metres, [N].
        opacities: 0..1, [N].
        radii: Largest on any picture, pixels, [N].
        config: Thresholds.
        extent: E, metres.
        old: Whether too large ones go too.
        face_index: The triangle of each, [N], where none may lose all of its own.
    """
    clone, split = pulled(pull, sizes, config, extent)
    keep = torch.ones(len(pull), dtype=torch.bool, device=pull.device)
    keep[split] = False
    stay = torch.nonzero(keep)[:, 0]
    parts = split.repeat(config.split_parts)
    rows = torch.cat([stay, clone, parts])
    smaller = torch.ones(len(rows), device=pull.device)
    smaller[len(stay) + len(clone):] = shrink(config)
    gone = opacities[rows] < config.prune_opacity
    if old:
        gone |= sizes[rows] / smaller > config.prune_size * extent
        if config.prune_radius:
            # New ones were on no picture yet.
            gone[:len(stay)] |= radii[stay] > config.prune_radius
    left = ~(gone if face_index is None else spared(gone, face_index[rows]))
    count = left.cumsum(0)
    ends = [len(stay), len(stay) + len(clone), len(rows)]
    first, second, third = (int(count[end - 1]) if end else 0 for end in ends)
    return Change(rows[left], second - first, third - second)


def spared(gone: Tensor, face_index: Tensor) -> Tensor:
    """Return `gone` [N], bool, without the Gaussians of triangles that would lose all of theirs."""
    if not len(gone):
        return gone
    left = torch.zeros(int(face_index.max()) + 1, device=gone.device).index_add_(0, face_index, (~gone).float())
    return gone & (left[face_index] > 0)


def shrink(config: Thresholds) -> float:
    """Return by how much a part is smaller than what was split."""
    return 0.8 * config.split_parts


def spread(quats: Tensor, sizes: Tensor, seed: tuple[int, ...]) -> Tensor:
    """Return offsets [M, 3] drawn from Gaussians of `quats` [M, 4] wxyz, not unit, and `sizes` [M, 3].

    Drawn on the CPU: the same seed gives the same offsets on every device.
    """
    drawn = np.random.default_rng(seed).normal(size=(len(quats), 3)).astype(np.float32)
    along = torch.from_numpy(drawn).to(sizes) * sizes
    # v + 2 w (u x v) + 2 u x (u x v), for q = (w, u).
    q = torch.nn.functional.normalize(quats, dim=1)
    once = torch.linalg.cross(q[:, 1:], along)
    return along + 2 * (q[:, :1] * once + torch.linalg.cross(q[:, 1:], once))
