"""The one door to a Gaussian rasteriser. Both backends draw what `formats.render` defines and can be differentiated.

`gsplat` on CUDA, our own compiled loops (`trainers.rasterize_cpu`) elsewhere. Nothing else in this room may import either.
"""

import importlib

from torch import Tensor

from trainers.model import Drawing, View

BACKENDS = {"gsplat": "trainers.rasterize_gsplat", "cpu": "trainers.rasterize_cpu"}
"""Name to module with `draw(means, quats, scales, opacities, rgb, view, background, near, low_pass) -> Drawing`."""


def rasterize(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, rgb: Tensor, view: View,
              background: Tensor, near: float = 0.2, low_pass: float = 0.3, backend: str | None = None) -> Drawing:
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
    name = backend or ("gsplat" if means.is_cuda else "cpu")
    return importlib.import_module(BACKENDS[name]).draw(means, quats, scales, opacities, rgb, view, background, near,
                                                         low_pass)
