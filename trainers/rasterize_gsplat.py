"""gsplat on CUDA behind `trainers.rasterize`: `formats.render`'s picture of Gaussians, with gradients.

The steps of `gsplat.rasterization(packed=False, absgrad=False, rasterize_mode="classic")` one by one, because that keeps
the centres with a camera axis in front, and a view without it would lie beside the path to the picture and get no
gradient. gsplat waits for the device once per call (to learn how many tiles are met); nothing here adds to that.

Where its picture is another than the definition's:

- Its alpha is capped at 0.999, ours at 0.99. Opacities go in as they are: up to 0.99 there is no difference, above only
  pixels within sqrt(2 ln(o / 0.99)) standard deviations of the centre (0.14 for o = 1) differ, by 0.009 of alpha at
  most. Opacities clamped to 0.99 would be wrong by up to 0.0099 over the whole of such a Gaussian instead, and those
  would lose their gradient.
- It stops before the Gaussian of alpha a that would leave 1e-4 or less of what lies behind. What is left to the background
  then, where the definition goes on, is at most 1e-4 / (1 - a) of a pixel: up to 0.01 for opacities up to 0.99, and up to
  0.1 at the middle of Gaussians that reach gsplat's cap (0.045 in front of one of them is enough for it to be left out).
- Single precision: pixels where alpha is within rounding of 1/255 may differ by a step, equal depths may swap.
- Numbers that are not finite are not looked for; a Gaussian that has them is drawn as gsplat sees fit.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from formats.errors import MissingAsset
from trainers.model import Drawing, View

TILE = 16
"""Pixels on a side of gsplat's tiles, its own default."""


@dataclass(frozen=True, eq=False)
class Ellipses:
    """N Gaussians on the picture, as gsplat has them."""

    means2d: Tensor
    """[N, 2] pixels."""
    conics: Tensor
    """[N, 3], upper triangles of inverse covariances."""
    depths: Tensor
    """[N]"""
    radii: Tensor
    """int32 [N, 2] pixels, 0 where nothing is seen."""
    visible: Tensor
    """bool [N]"""


def draw(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, rgb: Tensor, view: View, background: Tensor,
         near: float, low_pass: float) -> Drawing:
    """Return the picture; arguments as `trainers.rasterize.rasterize`, on a CUDA device.

    Raises:
        MissingAsset: gsplat is not installed.
    """
    width, height = view.width, view.height
    if not len(means):
        # The graph stays whole: a loss of nothing has gradients of no rows.
        means2d = means[:, :2] * 1
        nothing = means2d.sum() + quats.sum() + scales.sum() + opacities.sum() + rgb.sum()
        return Drawing(background.expand(height, width, 3) + nothing, nothing.expand(height, width), means2d,
                       torch.zeros(0, dtype=torch.bool, device=means.device), {})
    return paint(project(means, quats, scales, opacities, view, near, low_pass), opacities, rgb, view, background)


def project(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, view: View, near: float,
            low_pass: float) -> Ellipses:
    """Return what `draw`'s Gaussians are on the picture; waits for nothing, so that it fits into a CUDA graph."""
    radii, centres, depths, conics, _ = _gsplat().fully_fused_projection(
        means.float(), None, quats.float(), scales.float(), view.viewmat[None].float(), view.K[None].float(), view.width,
        view.height, eps2d=low_pass, near_plane=near, packed=False, opacities=opacities.float())
    # Axes come and go as views: a look-up of row 0 would be a copy of everything in the backward pass.
    means2d, radii = centres.squeeze(0), radii.squeeze(0)
    return Ellipses(means2d, conics.squeeze(0), depths.squeeze(0), radii, (radii > 0).all(dim=-1))


def paint(ellipses: Ellipses, opacities: Tensor, rgb: Tensor, view: View, background: Tensor) -> Drawing:
    """Return the picture of projected Gaussians."""
    gsplat, means2d = _gsplat(), ellipses.means2d
    width, height = view.width, view.height
    across, down = -(-width // TILE), -(-height // TILE)
    _, keys, ids = gsplat.isect_tiles(means2d.detach()[None], ellipses.radii[None], ellipses.depths.detach()[None], TILE,
                                      across, down, packed=False)
    offsets = gsplat.isect_offset_encode(keys, 1, across, down).reshape(1, down, across)
    picture, alpha = gsplat.rasterize_to_pixels(
        means2d[None], ellipses.conics[None], rgb.float()[None], opacities.float()[None], width, height, TILE, offsets, ids,
        backgrounds=background[None].float(), packed=False)
    return Drawing(picture.squeeze(0), alpha.squeeze(0).squeeze(-1), means2d, ellipses.visible,
                   {"conics": ellipses.conics.detach()})


def harmonics(sh: Tensor, directions: Tensor, degree: int) -> Tensor:
    """Return sum_k sh_k Y_k, [N, 3], of coefficients [N, K, 3] at directions [N, 3] of any length, in one kernel."""
    return _gsplat().spherical_harmonics(degree, directions, sh)


def _gsplat() -> Any:
    try:
        return importlib.import_module("gsplat")
    except ImportError as error:
        raise MissingAsset("drawing on a GPU needs gsplat: pip install 'flameport[train]', or train with "
                           f"--device cpu ({error})") from error
