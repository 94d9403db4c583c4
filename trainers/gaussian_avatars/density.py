"""Adaptive density control with binding inheritance: which Gaussians come, which go, and where the new ones lie.

Kerbl et al., "3D Gaussian Splatting", 2023, section 5.2, on triangles: children ride their parent's, and no triangle is left
without any. Qian et al. 2024, section 3.2. Everything here is asked for once in thousands of steps and may wait for the device.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.gaussian_avatars.config import Config


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


def pulled(pull: Tensor, sizes: Tensor, config: Config, extent: float) -> tuple[Tensor, Tensor]:
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


def change_of(pull: Tensor, sizes: Tensor, opacities: Tensor, radii: Tensor, face_index: Tensor, config: Config, extent: float,
              old: bool) -> Change:
    """Return what comes and goes.

    Args:
        pull: Mean pull across the screen, [N].
        sizes: Longest axis in the world, metres, [N].
        opacities: 0..1, [N].
        radii: Largest on any picture, pixels, [N].
        face_index: The triangle of each, [N].
        config: Thresholds.
        extent: E, metres.
        old: Whether too large ones go too.
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
    left = ~spared(gone, face_index[rows])
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


def shrink(config: Config) -> float:
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
