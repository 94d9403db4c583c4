"""Corrections of a video's tracking, one row per frame: expression, rotations, eyelids, camera translation."""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from trainers.model import Motion, View
from trainers.row_adam import RowAdam

ROTATIONS = (("rotation", 3), ("neck", 3), ("jaw", 3), ("eyes", 6))
"""What a row of `pose` holds, in FLAME's order; two eyelids follow where the data has them."""


class Refinement(nn.Module):
    """What is added to each frame's tracked numbers; zeros to start with.

    Tables with sparse gradients under `trainers.row_adam.RowAdam`: a step moves the row of the frame it saw and no other,
    neither its numbers nor its moments. Source: FATE's released trainer, where embeddings hold the tracked values
    themselves; a sum with zeros is the same.
    """

    rows: Tensor

    def __init__(self, frames: int, expressions: int, eyelids: bool, device: torch.device | str = "cpu") -> None:
        super().__init__()
        def zeros(width: int) -> nn.Embedding:
            return nn.Embedding.from_pretrained(torch.zeros(frames, width, device=device), freeze=False, sparse=True)

        self.expr = zeros(expressions)
        self.pose = zeros(sum(width for _, width in ROTATIONS) + 2 * eyelids)
        self.camera = zeros(3)
        # An index that lies on the device already: no copy to wait for.
        self.register_buffer("rows", torch.arange(frames, device=device), persistent=False)

    def __len__(self) -> int:
        return self.camera.num_embeddings

    def optimizer(self, expr: float, pose: float, camera: float) -> RowAdam:
        """Return the optimiser of all rows, with a learning rate for each kind."""
        return RowAdam([
            {"params": [part.weight], "lr": rate, "name": f"frame_{name}"}
            for name, part, rate in (("expr", self.expr, expr), ("pose", self.pose, pose), ("camera", self.camera, camera))])

    def correct(self, index: int, motion: Motion) -> tuple[Motion, Tensor]:
        """Return one frame's motion with its corrections, and what is added to its camera's translation, [3] metres."""
        expr, pose, camera = self.row(index)
        return corrected(motion, expr, pose), camera

    def row(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return one frame's corrections: expression, rotations with eyelids, camera. Their gradients are sparse."""
        return _Row.apply(index, self.rows, self.expr.weight, self.pose.weight, self.camera.weight)

    def correct_all(self, motion: Motion) -> Motion:
        """Return every frame's motion, fields [T, ...], with its corrections, out of the graph."""
        return corrected(motion, self.expr.weight.detach(), self.pose.weight.detach())


def corrected(motion: Motion, expr: Tensor, pose: Tensor) -> Motion:
    """Return a motion with corrections [..., E] of its expression and [..., 15 or 17] of its rotations and eyelids."""
    names, widths = [n for n, _ in ROTATIONS], [w for _, w in ROTATIONS]
    eyelids = pose.shape[-1] > sum(widths)
    parts = dict(zip([*names, "eyelids"], pose.split([*widths, *([2] * eyelids)], dim=-1), strict=False))
    changed = {name: getattr(motion, name) + part for name, part in parts.items()}
    return dataclasses.replace(motion, expr=motion.expr + expr, **changed)


class _Row(torch.autograd.Function):
    # What an embedding of one row does, without a kernel: views forwards, sparse tensors made of what is there backwards.
    @staticmethod
    def forward(ctx: Any, index: int, rows: Tensor, *tables: Tensor) -> tuple[Tensor, ...]:
        ctx.place, ctx.shapes = rows[index:index + 1][None], [table.shape for table in tables]
        ctx.set_materialize_grads(False)
        return tuple(table.detach()[index] for table in tables)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None, None, *(None if grad is None else torch.ops.aten._sparse_coo_tensor_with_dims_and_tensors(
            1, 1, shape, ctx.place, grad[None], dtype=grad.dtype, layout=torch.sparse_coo, device=grad.device,
            is_coalesced=True) for grad, shape in zip(grads, ctx.shapes, strict=True)))


def shift(view: View, translation: Tensor) -> Tensor:
    """Return what to add to points [3], world, in place of adding `translation` to the camera's: x R^T.

    R (p + R^T d) + t = R p + (t + d): rasterisers give no gradient to cameras, points have one.
    """
    return translation @ view.viewmat[:3, :3]
