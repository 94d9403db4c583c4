"""Adam for tables of which a step sees a few rows: `torch.optim.SparseAdam`'s numbers, or Adam's, in a handful of launches.

SparseAdam takes dozens of kernels per table; here a step on a CPU is fifteen operations on the rows that were seen, and
one replayed graph for all tables on a GPU. Kingma and Ba, "Adam: A method for stochastic optimization", ICLR 2015.
"""

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.cuda_graph import capture, copy_all, side_by_side


@dataclass(frozen=True, eq=False)
class _Visit:
    """One table's part of a step."""

    table: Tensor
    """[T, W], and its moments."""
    mean: Tensor
    square: Tensor
    rows: Tensor
    """int64 [n], each once."""
    gradient: Tensor
    """Of these rows, [n, W]."""
    length: float
    """Of the step: lr sqrt(1 - b2^t) / (1 - b1^t)."""
    betas: tuple[float, float]
    eps: float
    whole: bool
    """Move all rows of the table."""


class RowAdam(torch.optim.Optimizer):
    """Adam of rows with sparse gradients: others keep their numbers and their moments, and share the step count.

    State and numbers are `torch.optim.SparseAdam`'s, whose checkpoints it takes. With `whole` they are `torch.optim.Adam`'s,
    as if the gradients of other rows were zeros: those go on where their momentum takes them. (It weighs `eps` as SparseAdam
    does, against the square root of the second moment as it is stored.)
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, whole: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        self.whole = whole
        self._graph: _Graph | None = None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        if not set_to_none:
            return super().zero_grad(set_to_none)
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Move the rows that the gradients hold.

        Raises:
            RuntimeError: A gradient is not sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        visits = [self._visit(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if visits and all(visit.table.is_cuda for visit in visits):
            if self._graph is None or not self._graph.fits(visits):
                self._graph = _Graph(visits)
            self._graph.move(visits)
            return loss
        for visit in visits:
            _move(visit, visit.rows, visit.gradient, visit.length)
        return loss

    def _visit(self, group: dict[str, Any], p: Tensor) -> _Visit:
        gradient = p.grad
        assert gradient is not None
        if not gradient.is_sparse:
            raise RuntimeError("RowAdam takes sparse gradients; use Adam for dense ones")
        if gradient._nnz() > 1:
            gradient = gradient.coalesce()  # a row that was seen twice moves once, by the sum
        state = self.state[p]
        if not state:
            state |= {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        state["step"] += 1
        (b1, b2), step = group["betas"], state["step"]
        return _Visit(p, state["exp_avg"], state["exp_avg_sq"], gradient._indices()[0], gradient._values(),
                      group["lr"] * math.sqrt(1 - b2**step) / (1 - b1**step), (b1, b2), group["eps"], self.whole)


def _move(visit: _Visit, rows: Tensor, gradient: Tensor, length: float | Tensor) -> None:
    """Update one table in place, in SparseAdam's order of operations."""
    if visit.whole:
        return _move_all(visit, rows, gradient, length)
    (b1, b2), old_mean, old_square = visit.betas, visit.mean.index_select(0, rows), visit.square.index_select(0, rows)
    mean = (gradient - old_mean).mul_(1 - b1).add_(old_mean)
    square = gradient.pow(2).sub_(old_square).mul_(1 - b2).add_(old_square)
    visit.mean.index_copy_(0, rows, mean)
    visit.square.index_copy_(0, rows, square)
    visit.table.index_add_(0, rows, mean.div_(square.sqrt_().add_(visit.eps)) * -length)


def _move_all(visit: _Visit, rows: Tensor, gradient: Tensor, length: float | Tensor) -> None:
    b1, b2 = visit.betas
    visit.mean.mul_(b1).index_add_(0, rows, gradient * (1 - b1))
    visit.square.mul_(b2).index_add_(0, rows, gradient.square() * (1 - b2))
    visit.table.add_(visit.mean / visit.square.sqrt().add_(visit.eps) * -length)


class _Graph:
    """A step on CUDA tables as one graph, for as many rows as the first one saw."""

    def __init__(self, visits: list[_Visit]) -> None:
        self.key = _key(visits)
        self.rows = [visit.rows.clone() for visit in visits]
        self.gradients = [visit.gradient.clone() for visit in visits]
        self.lengths = [torch.zeros((), dtype=visit.table.dtype, device=visit.table.device) for visit in visits]

        parts = [functools.partial(_move, *part)
                 for part in zip(visits, self.rows, self.gradients, self.lengths, strict=True)]
        self.graph, _ = capture(lambda: side_by_side(parts))
        self.tables = [(visit.table, visit.mean, visit.square) for visit in visits]

    def fits(self, visits: list[_Visit]) -> bool:
        """Return whether the step is of the tables and the number of rows that were captured."""
        return _key(visits) == self.key

    def move(self, visits: list[_Visit]) -> None:
        """Take the step."""
        copy_all(self.rows + self.gradients, [v.rows for v in visits] + [v.gradient for v in visits])
        for place, visit in zip(self.lengths, visits, strict=True):
            place.fill_(visit.length)
        self.graph.replay()


def _key(visits: list[_Visit]) -> list[tuple[Any, ...]]:
    return [(v.table.data_ptr(), v.mean.data_ptr(), v.square.data_ptr(), len(v.rows), v.betas, v.eps, v.whole) for v in visits]
