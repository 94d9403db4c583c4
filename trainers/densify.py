"""Gaussians that come and go while an optimiser keeps its memory of those that stay."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from formats.errors import UnsupportedFeature
from trainers.cuda_graph import InPlace


def reindex(optimizers: Iterable[Optimizer], old: Parameter, rows: Tensor, fresh: int = 0) -> Parameter:
    """Return a parameter of `old`'s rows `rows`, put in its place in whichever optimiser holds it.

    State tensors of the parameter's own shape (Adam's moments) take the same rows; those of the last `fresh` rows start
    at 0. Scalars (the step count) stay.

    Args:
        optimizers: Where to look.
        old: [N, ...].
        rows: int64 [M], may repeat.
        fresh: How many rows at the end are new Gaussians.
    """
    new = Parameter(old.detach()[rows].contiguous(), requires_grad=old.requires_grad)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for place, parameter in enumerate(group["params"]):
                if parameter is not old:
                    continue
                group["params"][place] = new
                state = optimizer.state.pop(old, None)
                if state is None:
                    continue
                for name, value in state.items():
                    if torch.is_tensor(value) and value.shape == old.shape:
                        value = value[rows].contiguous()
                        if fresh:
                            value[len(rows) - fresh:] = 0
                        state[name] = value
                optimizer.state[new] = state
    return new


def swap(optimizers: Iterable[Optimizer], old: Parameter, value: Tensor) -> Parameter:
    """Return a parameter that holds `value` in `old`'s place, with nothing remembered: for loading another size."""
    new = Parameter(value.detach().clone().to(old.device, old.dtype), requires_grad=old.requires_grad)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
        optimizer.state.pop(old, None)
    return new


def forget(optimizers: Iterable[Optimizer], parameter: Parameter) -> None:
    """Zero the moments of a parameter; its step count stays (opacity reset, Kerbl et al. 2023)."""
    for optimizer in optimizers:
        state: Mapping = optimizer.state.get(parameter, {})
        for value in state.values():
            if torch.is_tensor(value) and value.shape == parameter.shape:
                value.zero_()


def draw_rows(weight: Tensor, count: int, seed: tuple[int, int]) -> Tensor:
    """Return `count` rows drawn with replacement in proportion to `weight` [N]; even when all weights are 0.

    Drawn on the CPU: the same seed gives the same rows on every device.
    """
    w = weight.detach().double().cpu().numpy()
    w = np.where(np.isfinite(w), np.maximum(w, 0), 0)
    total = w.sum()
    p = w / total if total > 0 else None
    rows = np.random.default_rng(seed).choice(len(w), count, p=p)
    return torch.from_numpy(rows).to(weight.device)


def random_barycentric(count: int, seed: tuple[int, ...]) -> np.ndarray:
    """Return [count, 3] float32 weights: three uniform numbers over their sum, FateAvatar's way (not even in area)."""
    w = np.random.default_rng(seed).uniform(1e-6, 1, (count, 3))
    return (w / w.sum(axis=1, keepdims=True)).astype(np.float32)


class ScreenGradients:
    """How hard the picture pulls each Gaussian across the screen, summed over steps.

    Adds |dL / d mean2D| of the visible ones, in the unit of 3DGS (Kerbl et al. 2023): per half picture instead of per
    pixel, dL/d ndc = dL/d pixel * (W / 2, H / 2). For square pictures of one size that is a constant factor.
    """

    def __init__(self, count: int, device: torch.device | str) -> None:
        self.total = torch.zeros(count, device=device)
        self.seen = torch.zeros(count, device=device)
        self._note = InPlace(_note_pull)

    def add(self, gradient: Tensor, visible: Tensor, width: int, height: int) -> None:
        """Take in one picture's gradient [N, 2] in pixels."""
        self._note((self.total, self.seen), (gradient, visible), width, height)

    def keep(self, rows: Tensor) -> None:
        """Follow the Gaussians that stay."""
        self.total, self.seen = self.total[rows], self.seen[rows]

    def clear(self, count: int) -> None:
        """Start again for `count` Gaussians."""
        self.total, self.seen = self.total.new_zeros(count), self.seen.new_zeros(count)


def _note_pull(total: Tensor, seen: Tensor, gradient: Tensor, visible: Tensor, width: int, height: int) -> None:
    pull = torch.hypot(gradient[:, 0] * (width / 2), gradient[:, 1] * (height / 2))
    total += torch.where(visible, pull, torch.zeros_like(pull))
    seen += visible


class ScreenRadii:
    """Keeps the largest radius of each Gaussian on any picture, in a buffer of the model's."""

    def __init__(self) -> None:
        self._note = InPlace(_note_radii)

    def add(self, most: Tensor, drawing: Any) -> None:
        """Raise `most` [N], pixels, to what a `trainers.model.Drawing` shows.

        Raises:
            UnsupportedFeature: What drew it tells no ellipses.
        """
        ellipses, conics = _ellipses_of(drawing)
        self._note((most,), (ellipses, drawing.visible), conics)


def _note_radii(most: Tensor, ellipses: Tensor, visible: Tensor, conics: bool) -> None:
    torch.maximum(most, torch.where(visible, _radii(ellipses, conics), torch.zeros_like(most)), out=most)


def screen_radii(drawing: Any) -> Tensor:
    """Return radii [N] of a drawing's ellipses, pixels: three standard deviations of the longest axis, in whole pixels.

    Raises:
        UnsupportedFeature: What drew it tells no ellipses.
    """
    return _radii(*_ellipses_of(drawing))


def _ellipses_of(drawing: Any) -> tuple[Tensor, bool]:
    """Return what a rasteriser tells of ellipses, [N, 3], and whether that is conics."""
    for name in ("conics", "shapes"):
        if name in drawing.extra:
            return drawing.extra[name], name == "conics"
    raise UnsupportedFeature("the rasteriser tells no radii, by which Gaussians are to be removed; install gsplat, or train "
                             "with --set prune_radius=0")


def _radii(ellipses: Tensor, conics: bool) -> Tensor:
    a, b, c = ellipses.unbind(dim=1)
    if conics:
        area = 1 / (a * c - b * b)
        xx, yy = c * area, a * area
    else:
        yy = 1 / c
        xx, area = 1 / a + b * b * yy, yy / a
    middle = (xx + yy) / 2
    longest = middle + (middle * middle - area).clamp_min(0).sqrt()
    return (3 * longest.sqrt()).ceil()
