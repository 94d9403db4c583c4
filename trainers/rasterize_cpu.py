"""Our own rasteriser on the processor: `formats.render`'s picture of Gaussians, with gradients. Needs numba.

Two differentiable steps, so that the ellipses' centres lie in the graph between them: `Projection` (compiled in
`trainers.rasterize_projection`) and `Painting` (in `trainers.rasterize_bins` and `trainers.rasterize_kernels`).
Gradients are the exact derivatives of what is drawn: none through the order, the 1/255 edge or a capped alpha.

As many threads as torch has (`torch.set_num_threads`); the result does not depend on it, not in one bit.
"""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from formats.errors import UnsupportedFeature
from trainers import rasterize_bins as bins
from trainers import rasterize_kernels as kernels
from trainers import rasterize_projection as projection
from trainers.model import Drawing, View

CHUNK = 2048
"""Gaussians that one thread projects at a time."""


@functools.cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    del process  # a forked child has its parent's pool object and none of its threads
    return ThreadPoolExecutor(workers, "rasterize")


def spread(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Return `work(i)` for i in 0..count-1, done in that order by as many threads as torch has.

    Threads around kernels that release the lock, not numba's own parallel loops: see `formats.rasterize`.
    """
    workers = min(torch.get_num_threads(), count)
    if workers < 2:
        return [work(i) for i in range(count)]
    results: list[Any] = [None] * count
    left = itertools.count()

    def some() -> None:
        while (i := next(left)) < count:
            results[i] = work(i)

    helpers = [_pool(os.getpid(), workers - 1).submit(some) for _ in range(workers - 1)]
    some()
    for helper in helpers:
        helper.result()
    return results


def _spread_rows(count: int, work: Callable[[int, int], Any]) -> list[Any]:
    return spread(-(-count // CHUNK), lambda i: work(i * CHUNK, min(count, (i + 1) * CHUNK)))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _array_or_zeros(grad: Tensor | None, shape: tuple[int, ...]) -> np.ndarray:
    # NumPy's zeros: torch would fill in parallel, and its threads, waiting for more to do, then keep a core from ours.
    return np.zeros(shape, np.float32) if grad is None else _array(grad)


class Projection(torch.autograd.Function):
    """means, quats, scales -> means2d [N, 2], shapes [N, 3], depths [N] float64, visible [N], how many are not finite."""

    @staticmethod
    def forward(ctx: Any, means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, rgb: Tensor,
                camera: tuple[np.ndarray, np.ndarray, int, int], near: float, low_pass: float) -> Any:
        n = len(means)
        means2d, shapes, visible = torch.empty(n, 2), torch.empty(n, 3), torch.empty(n, dtype=torch.bool)
        depths = torch.empty(n, dtype=torch.float64)
        given = [_array(t) for t in (means, quats, scales, opacities, rgb)]
        made = [t.numpy() for t in (means2d, shapes, depths, visible)]
        broken = sum(_spread_rows(n, lambda a, b: projection.project(a, b, *given, *camera, near, low_pass, *made)))
        ctx.save_for_backward(means, quats, scales, visible, shapes)
        ctx.camera = camera
        ctx.mark_non_differentiable(depths, visible)
        ctx.set_materialize_grads(False)
        return means2d, shapes, depths, visible, broken

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        means, quats, scales, visible, shapes = (_array(t) for t in ctx.saved_tensors)
        made = [torch.empty(len(means), k) for k in (3, 4, 3)]
        arrays = [_array_or_zeros(grads[0], (len(means), 2)), _array_or_zeros(grads[1], (len(means), 3)),
                  *(t.numpy() for t in made)]
        _spread_rows(len(means), lambda a, b: projection.project_back(
            a, b, means, quats, scales, *ctx.camera, visible, shapes, *arrays))
        return *made, None, None, None, None, None


class Painting(torch.autograd.Function):
    """means2d, shapes, opacities, rgb -> the picture [H, W, 3] on its background and its alpha [H, W]."""

    @staticmethod
    def forward(ctx: Any, means2d: Tensor, shapes: Tensor, opacities: Tensor, rgb: Tensor, depths: Tensor,
                visible: Tensor, background: np.ndarray, width: int, height: int) -> Any:
        ids = bins.order_by_depth(depths.numpy(), visible.numpy())
        rows, bands = np.empty((len(ids), kernels.ROW), np.float32), np.empty((len(ids), 2), np.int32)
        given = [_array(t) for t in (means2d, shapes, opacities, rgb)]
        _spread_rows(len(ids), lambda a, b: bins.pack(a, b, ids, *given, height, rows, bands))
        firsts = np.zeros(len(ids) + 1, np.int64)
        np.cumsum(bands[:, 1] - bands[:, 0], out=firsts[1:])
        spans = np.empty((firsts[-1], 2), np.int32)
        _spread_rows(len(ids), lambda a, b: bins.cross(a, b, rows, bands, firsts, width, spans))
        across, down = -(-width // kernels.TILE), -(-height // kernels.TILE)
        slots, owners, entries, starts = bins.sort_into_tiles(firsts, bands, spans, across, down)
        picture, alpha = torch.empty(height, width, 3), torch.empty(height, width)
        through, last = np.empty((2, across * down, kernels.TILE, kernels.TILE), np.float32)
        # The busiest bands first, so that no thread is left with one at the end.
        order = np.argsort(-np.diff(starts[::across]), kind="stable").tolist()
        arrays = (rows, owners, entries, starts, background)
        made = (picture.numpy(), alpha.numpy(), through, last)
        spread(down, lambda i: kernels.draw_band(order[i], *arrays, *made))
        ctx.save_for_backward(opacities)
        ctx.set_materialize_grads(False)
        ctx.shape = height, width
        ctx.kept = ids, firsts, slots, order, arrays, through, last
        return picture, alpha

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        ids, firsts, slots, order, arrays, through, last = ctx.kept
        opacities = _array(ctx.saved_tensors[0])
        given = [_array_or_zeros(grads[0], (*ctx.shape, 3)), _array_or_zeros(grads[1], ctx.shape)]
        moments = np.zeros((len(slots), kernels.MOMENTS), np.float32)
        spread(len(order), lambda i: kernels.grade_band(order[i], *arrays, through, last, *given, moments))
        made = [np.zeros((len(opacities), *k), np.float32) for k in ((2,), (3,), (), (3,))]
        _spread_rows(len(ids), lambda a, b: kernels.gather(
            a, b, ids, arrays[0], firsts, slots, moments, opacities, *made))
        return *(torch.from_numpy(a) for a in made), None, None, None, None, None


def draw(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, rgb: Tensor, view: View, background: Tensor,
         near: float, low_pass: float) -> Drawing:
    """Return the picture; arguments as `trainers.rasterize.rasterize`.

    A Gaussian with a number that is not finite turns the whole picture into NaN, so that no loss can overlook it.

    Raises:
        ValueError: A tensor has another shape than it should; the loops below would not notice.
        UnsupportedFeature: The camera has skew.
    """
    n = len(means)
    for name, tensor, shape in (("means", means, (n, 3)), ("quats", quats, (n, 4)), ("scales", scales, (n, 3)),
                                ("opacities", opacities, (n,)), ("rgb", rgb, (n, 3)), ("background", background, (3,))):
        if tensor.shape != shape:
            raise ValueError(f"rasterize: {name} must be {list(shape)}, got {list(tensor.shape)}")
    k = view.K.detach().double().numpy()
    if abs(k[0, 1]) > 1e-6 * k[0, 0]:
        raise UnsupportedFeature(f"View.K: skew {k[0, 1]:.4g} cannot be drawn; undistort the frames to square axes")
    camera = (np.ascontiguousarray(view.viewmat.detach().double().numpy()), k[[0, 1, 0, 1], [0, 1, 2, 2]], view.width,
              view.height)
    means, quats, scales, opacities, rgb = (t.float() for t in (means, quats, scales, opacities, rgb))
    means2d, shapes, depths, visible, broken = Projection.apply(means, quats, scales, opacities, rgb, camera, near,
                                                                low_pass)
    picture, alpha = Painting.apply(means2d, shapes, opacities, rgb, depths, visible, _array(background.float()),
                                    view.width, view.height)
    if broken:
        picture, alpha = picture * torch.nan, alpha * torch.nan
    return Drawing(picture, alpha, means2d, visible, {"shapes": shapes.detach()})
