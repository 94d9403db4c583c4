"""Corrections of a video's tracking, one row per moment: expression, rotations, eyelids, and where camera or head is."""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from trainers.model import Motion, View
from trainers.row_adam import RowAdam

ROTATIONS = (("rotation", 3), ("neck", 3), ("jaw", 3), ("eyes", 6))
"""What a row of `pose` holds, in FLAME's order; two eyelids follow where the data has them."""
MOVES = ("camera", "translation")
"""What the third table is added to: the camera's translation (FateAvatar), or the head's (GaussianAvatars); metres."""


class Refinement(nn.Module):
    """What is added to each frame's tracked numbers; zeros to start with.

    Tables with sparse gradients under `trainers.row_adam.RowAdam`: a step moves the row of the frame it saw and no other,
    neither its numbers nor its moments. Source: FATE's released trainer, where embeddings hold the tracked values
    themselves; a sum with zeros is the same. With `dense`, all rows move at each step, as in GaussianAvatars' released trainer:
    one that was not seen goes on where its momentum takes it, with thousands of frames some 25 times as far as in its own step.
    """

    rows: Tensor
    moments: Tensor | None

    def __init__(self, frames: int, expressions: int, eyelids: bool, device: torch.device | str = "cpu",
                 moves: str = "camera", dense: bool = False, moments: Tensor | None = None) -> None:
        """Make rows of zeros.

        Args:
            frames: How many pictures.
            expressions: Coefficients of each.
            eyelids: Correct them too.
            device: Where.
            moves: One of `MOVES`.
            dense: Let all rows move at each step.
            moments: int64 [frames], each picture's row, where pictures of several cameras share a moment.
        """
        super().__init__()
        self.moves, self.dense = moves, dense
        self._moment_of = None if moments is None else [int(m) for m in moments]
        count = frames if self._moment_of is None else max(self._moment_of, default=-1) + 1

        def zeros(width: int) -> nn.Embedding:
            return nn.Embedding.from_pretrained(torch.zeros(count, width, device=device), freeze=False, sparse=True)

        self.expr = zeros(expressions)
        self.pose = zeros(sum(width for _, width in ROTATIONS) + 2 * eyelids)
        setattr(self, moves, zeros(3))
        # An index that lies on the device already: no copy to wait for.
        self.register_buffer("rows", torch.arange(count, device=device), persistent=False)
        self.register_buffer("moments", None if moments is None else moments.to(device), persistent=False)

    def __len__(self) -> int:
        return self.expr.num_embeddings

    @property
    def place(self) -> nn.Embedding:
        """The third table."""
        return getattr(self, self.moves)

    def optimizer(self, expr: float, pose: float, place: float) -> RowAdam:
        """Return the optimiser of all rows, with a learning rate for each kind."""
        groups = [{"params": [part.weight], "lr": rate, "name": f"frame_{name}"} for name, part, rate in (
            ("expr", self.expr, expr), ("pose", self.pose, pose), (self.moves, self.place, place))]
        return RowAdam(groups, eps=1e-15, whole=True) if self.dense else RowAdam(groups)

    def correct(self, index: int, motion: Motion) -> tuple[Motion, Tensor]:
        """Return one frame's motion with its corrections, and what is added to its camera's translation, [3] metres."""
        expr, pose, camera = self.row(index)
        return corrected(motion, expr, pose), camera

    def row(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return one frame's corrections: expression, rotations with eyelids, place. Their gradients are sparse."""
        row = index if self._moment_of is None else self._moment_of[index]
        return _Row.apply(row, self.rows, self.expr.weight, self.pose.weight, self.place.weight)

    def correct_all(self, motion: Motion) -> Motion:
        """Return every frame's motion, fields [T, ...], with its corrections, out of the graph."""
        tables = [table.weight.detach() for table in (self.expr, self.pose, self.place)]
        expr, pose, place = tables if self.moments is None else [table[self.moments] for table in tables]
        return corrected(motion, expr, pose, place if self.moves == "translation" else None)


def corrected(motion: Motion, expr: Tensor, pose: Tensor, translation: Tensor | None = None) -> Motion:
    """Return a motion with corrections [..., E] of its expression, [..., 15 or 17] of its rotations and eyelids, and
    [..., 3] of its translation."""
    names, widths = [n for n, _ in ROTATIONS], [w for _, w in ROTATIONS]
    eyelids = pose.shape[-1] > sum(widths)
    parts = dict(zip([*names, "eyelids"], pose.split([*widths, *([2] * eyelids)], dim=-1), strict=False))
    if translation is not None:
        parts["translation"] = translation
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


def moments_of(motion: Motion) -> Tensor | None:
    """Return int64 [T], on the CPU: which pictures share a moment, having equal motions [T, ...]; None when none do."""
    table = torch.cat([getattr(motion, field.name).reshape(len(motion.expr), -1).cpu()
                       for field in dataclasses.fields(motion)], dim=1)
    _, inverse = torch.unique(table, dim=0, return_inverse=True)
    if int(inverse.max()) + 1 == len(table):
        return None
    # Numbered as they come.
    first = torch.full((int(inverse.max()) + 1,), len(table)).scatter_reduce(0, inverse, torch.arange(len(table)), "amin")
    return torch.argsort(torch.argsort(first))[inverse]
