"""Corrections of a video's tracking, one row per frame: expression, rotations, eyelids, camera translation."""

import dataclasses

import torch
from torch import Tensor, nn

from trainers.model import Motion, View

ROTATIONS = (("rotation", 3), ("neck", 3), ("jaw", 3), ("eyes", 6))
"""What a row of `pose` holds, in FLAME's order; two eyelids follow where the data has them."""


class Refinement(nn.Module):
    """What is added to each frame's tracked numbers; zeros to start with.

    Embeddings with sparse gradients under `torch.optim.SparseAdam`: a step moves the row of the frame it saw and no other,
    neither its numbers nor its moments. Source: FATE's released trainer, where embeddings hold the tracked values
    themselves; a sum with zeros is the same.
    """

    rows: Tensor

    def __init__(self, frames: int, expressions: int, eyelids: bool, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.eyelids = eyelids

        def zeros(width: int) -> nn.Embedding:
            return nn.Embedding.from_pretrained(torch.zeros(frames, width, device=device), freeze=False, sparse=True)

        self.expr = zeros(expressions)
        self.pose = zeros(sum(width for _, width in ROTATIONS) + 2 * eyelids)
        self.camera = zeros(3)
        # An index that lies on the device already: no copy to wait for.
        self.register_buffer("rows", torch.arange(frames, device=device), persistent=False)

    def __len__(self) -> int:
        return self.camera.num_embeddings

    def optimizer(self, expr: float, pose: float, camera: float) -> torch.optim.SparseAdam:
        """Return the optimiser of all rows, with a learning rate for each kind."""
        return torch.optim.SparseAdam([
            {"params": [part.weight], "lr": rate, "name": f"frame_{name}"}
            for name, part, rate in (("expr", self.expr, expr), ("pose", self.pose, pose), ("camera", self.camera, camera))])

    def correct(self, index: int, motion: Motion) -> tuple[Motion, Tensor]:
        """Return one frame's motion with its corrections, and what is added to its camera's translation, [3] metres."""
        row = self.rows[index:index + 1]
        expr, pose, camera = self.expr(row)[0], self.pose(row)[0], self.camera(row)[0]
        return self._add(motion, expr, pose), camera

    def correct_all(self, motion: Motion) -> Motion:
        """Return every frame's motion, fields [T, ...], with its corrections, out of the graph."""
        return self._add(motion, self.expr.weight.detach(), self.pose.weight.detach())

    def _add(self, motion: Motion, expr: Tensor, pose: Tensor) -> Motion:
        names, widths = [n for n, _ in ROTATIONS], [w for _, w in ROTATIONS]
        parts = dict(zip([*names, "eyelids"], pose.split([*widths, *([2] * self.eyelids)], dim=-1), strict=False))
        changed = {name: getattr(motion, name) + part for name, part in parts.items()}
        return dataclasses.replace(motion, expr=motion.expr + expr, **changed)


def shift(view: View, translation: Tensor) -> Tensor:
    """Return what to add to points [3], world, in place of adding `translation` to the camera's: x R^T.

    R (p + R^T d) + t = R p + (t + d): rasterisers give no gradient to cameras, points have one.
    """
    return translation @ view.viewmat[:3, :3]
