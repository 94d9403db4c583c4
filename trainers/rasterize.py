"""The one door to a Gaussian rasteriser. Both backends draw what `formats.render` defines and can be differentiated.

`gsplat` on CUDA, our own compiled loops (`trainers.rasterize_cpu`) elsewhere; where gsplat is not installed and
diff-gaussian-rasterization is (research only), that one. Nothing else in this room may import any of them.
"""

import importlib
import importlib.util

import torch
from torch import Tensor

from trainers.model import Drawing, View

BACKENDS = {"gsplat": "trainers.rasterize_gsplat", "diff-gaussian-rasterization": "trainers.rasterize_inria",
            "cpu": "trainers.rasterize_cpu"}
"""Name to module with `draw(means, quats, scales, opacities, rgb, view, background, near, low_pass) -> Drawing`."""


NEAR, LOW_PASS = 0.2, 0.3
"""Metres of view depth that what is drawn lies beyond; square pixels added to the diagonal of 2D covariances."""


def rasterize(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, rgb: Tensor, view: View,
              background: Tensor, near: float = NEAR, low_pass: float = LOW_PASS, backend: str | None = None) -> Drawing:
    """Return the picture of N Gaussians, with gradients to every tensor but the camera's and the background.

    Args:
        means: World space, metres, [N, 3].
        quats: wxyz, [N, 4]; need not be unit.
        scales: Metres, [N, 3].
        opacities: 0..1, [N].
        rgb: Display sRGB, [N, 3], not below 0; view-dependent colour is evaluated before.
        view: The camera.
        background: Display sRGB, [3].
        near: Metres of view depth; what lies at it or nearer is not drawn.
        low_pass: Square pixels added to the diagonal of 2D covariances.
        backend: A key of `BACKENDS`; by the device of `means` when None.
    """
    name = backend or default_backend(means.device)
    return importlib.import_module(BACKENDS[name]).draw(means, quats, scales, opacities, rgb, view, background, near,
                                                         low_pass)


def default_backend(device: torch.device) -> str:
    """Return what draws on `device`: a key of `BACKENDS`."""
    if device.type != "cuda":
        return "cpu"
    spare = importlib.util.find_spec("gsplat") is None and importlib.util.find_spec("diff_gaussian_rasterization") is not None
    return "diff-gaussian-rasterization" if spare else "gsplat"


def project(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, view: View) -> tuple[Tensor, ...]:
    """Return what `paint` draws: the half of `rasterize` on CUDA that waits for nothing, for a CUDA graph."""
    made = importlib.import_module(BACKENDS["gsplat"]).project(means, quats, scales, opacities, view, NEAR, LOW_PASS)
    return made.means2d, made.conics, made.depths, made.radii, made.visible


def paint(projected: tuple[Tensor, ...], opacities: Tensor, rgb: Tensor, view: View, background: Tensor) -> Drawing:
    """Return the picture of what `project` returned, as `rasterize` gives it."""
    backend = importlib.import_module(BACKENDS["gsplat"])
    return backend.paint(backend.Ellipses(*projected), opacities, rgb, view, background)
