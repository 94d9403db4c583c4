"""The two loops of `formats.rasterize`, compiled. Importing this needs numba; each call draws one band of rows."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from formats.rasterize import ALPHA_MAX, ALPHA_MIN, EDGE

SPENT = 1e-10
"""A pixel is finished when less of what lies behind shows than this. What is then left out sums to at most SPENT times
the largest colour, because the weights T alpha of everything behind sum to at most T: a hundredth of one float32 step
at 1. The background keeps its own T, so `colour + T background` changes by no more than that either."""


def _compiled(function: Callable[..., None]) -> Any:
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder that may hold the cache, as on a read-only disk: compile in each process
        return njit(nogil=True)(function)


@_compiled
def accumulate_rows(means2d: np.ndarray, conics: np.ndarray, rgb: np.ndarray, opacities: np.ndarray,
                    boxes: np.ndarray, first: int, end: int, color: np.ndarray, transmittance: np.ndarray) -> None:
    """Add Gaussians, nearest first, to rows first..end-1 of `color` and `transmittance`, in place."""
    for k in range(len(means2d)):
        top, bottom = max(boxes[k, 1], first), min(boxes[k, 3], end)
        if top >= bottom:
            continue
        mean_x, mean_y, opacity = means2d[k, 0], means2d[k, 1], opacities[k]
        xx, xy, yy = conics[k, 0], conics[k, 1], conics[k, 2]
        red, green, blue = rgb[k, 0], rgb[k, 1], rgb[k, 2]
        reach = 2 * math.log(opacity / ALPHA_MIN)
        for y in range(top, bottom):
            dy = y + 0.5 - mean_y
            # The row meets the ellipse q = reach between the roots of xx dx^2 + 2 xy dx dy + yy dy^2 = reach.
            half = xy * dy
            inner = half * half - xx * (yy * dy * dy - reach)
            root = math.sqrt(max(inner, 0.0))
            left = max(boxes[k, 0], math.ceil(mean_x - (half + root) / xx - 0.5 - EDGE))
            right = min(boxes[k, 2], math.floor(mean_x - (half - root) / xx - 0.5 + EDGE) + 1)
            for x in range(left, right):
                behind = transmittance[y, x]
                if behind < SPENT:
                    continue
                dx = x + 0.5 - mean_x
                alpha = min(ALPHA_MAX, opacity * math.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy))
                if alpha < ALPHA_MIN:
                    continue
                weight = behind * alpha
                color[y, x, 0] += weight * red
                color[y, x, 1] += weight * green
                color[y, x, 2] += weight * blue
                transmittance[y, x] = behind * (1 - alpha)


@_compiled
def cover_rows(edges: np.ndarray, det: np.ndarray, boxes: np.ndarray, ids: np.ndarray, rays_x: np.ndarray,
               rays_y: np.ndarray, near: float, first: int, end: int, face: np.ndarray, weights: np.ndarray,
               nearest: np.ndarray) -> None:
    """Put the nearest triangle into rows first..end-1 of `face`, `weights` and `nearest`, in place."""
    for k in range(len(ids)):
        for y in range(max(boxes[k, 1], first), min(boxes[k, 3], end)):
            dy = rays_y[y]
            for x in range(boxes[k, 0], boxes[k, 2]):
                dx = rays_x[x]
                e0 = edges[k, 0, 0] * dx + edges[k, 0, 1] * dy + edges[k, 0, 2]
                e1 = edges[k, 1, 0] * dx + edges[k, 1, 1] * dy + edges[k, 1, 2]
                e2 = edges[k, 2, 0] * dx + edges[k, 2, 1] * dy + edges[k, 2, 2]
                if e0 > 0 or e1 > 0 or e2 > 0:
                    continue
                total = e0 + e1 + e2
                if not total < 0:
                    continue
                z = det[k] / total
                if z > near and z < nearest[y, x]:
                    nearest[y, x] = z
                    face[y, x] = ids[k]
                    weights[y, x, 0] = e0 / total
                    weights[y, x, 1] = e1 / total
                    weights[y, x, 2] = e2 / total
