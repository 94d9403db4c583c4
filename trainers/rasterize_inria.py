"""diff-gaussian-rasterization behind `trainers.rasterize`, where it is installed: what 3D Gaussian Splatting's authors use.

Its licence allows research only, so flameport neither ships nor needs it; it is there for those who compare with systems that
were trained with it. Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", SIGGRAPH 2023.

Where its picture is another than the definition's (`formats.render`): it stops before what would leave 1e-4 of what lies
behind; it draws to three standard deviations, which cuts off alpha below 0.011 of the opacity; its margin around the
picture, beyond which Jacobians are held, is laid around the middle of the picture and not around the principal point. It
gives no alpha: a second pass draws it, in white on black.
"""

import importlib
from typing import Any

import torch
from torch import Tensor

from formats.errors import MissingAsset, UnsupportedFeature
from trainers.model import Drawing, View

NEAR, LOW_PASS = 0.2, 0.3
"""Compiled into it."""
FAR = 100.0
"""Metres; only the depth that it does not use depends on it."""


def draw(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, rgb: Tensor, view: View, background: Tensor,
         near: float, low_pass: float) -> Drawing:
    """Return the picture; arguments as `trainers.rasterize.rasterize`, on a CUDA device.

    Raises:
        MissingAsset: diff-gaussian-rasterization is not installed.
        UnsupportedFeature: Another near plane or low-pass than those compiled into it.
    """
    if abs(near - NEAR) > 1e-9 or abs(low_pass - LOW_PASS) > 1e-9:
        raise UnsupportedFeature(f"diff-gaussian-rasterization: near {near} and low_pass {low_pass}; {NEAR} and {LOW_PASS} are "
                                 "compiled into it, use gsplat")
    package = _package()
    viewmat = view.viewmat.float()
    fx, fy = float(view.K[0, 0]), float(view.K[1, 1])

    def passed(colors: Tensor, behind: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        settings = package.GaussianRasterizationSettings
        values = {"image_height": view.height, "image_width": view.width, "tanfovx": view.width / (2 * fx),
                  "tanfovy": view.height / (2 * fy), "bg": behind.float(), "scale_modifier": 1.0,
                  # It multiplies rows by matrices.
                  "viewmatrix": viewmat.T.contiguous(), "projmatrix": (_clip(view) @ viewmat).T.contiguous(), "sh_degree": 0,
                  "campos": -viewmat[:3, :3].T @ viewmat[:3, 3], "prefiltered": False, "debug": False,
                  "antialiasing": False}
        picture, radii, *_ = package.GaussianRasterizer(settings(**{name: values[name] for name in settings._fields}))(
            means3D=means.float(), means2D=centres, opacities=opacities.float()[:, None], colors_precomp=colors.float(),
            scales=scales.float(), rotations=torch.nn.functional.normalize(quats.float(), dim=1))
        return picture.permute(1, 2, 0), radii

    means2d = _centres(means.detach().float(), view).requires_grad_()
    # Its gradients of centres are those of normalised device coordinates; the values themselves are not read.
    half = means2d.new_tensor([view.width / 2, view.height / 2])
    centres = torch.cat([(means2d - means2d.detach()) / half, means2d.new_zeros(len(means2d), 1)], dim=1)
    picture, radii = passed(rgb, background, centres)
    alpha, _ = passed(torch.ones_like(rgb), torch.zeros_like(background), centres)
    return Drawing(picture, alpha[..., 0], means2d, radii > 0, {})


def _centres(means: Tensor, view: View) -> Tensor:
    """Return where means [N, 3] are on the picture, pixels [N, 2]."""
    x, y, z = (means @ view.viewmat[:3, :3].T.float() + view.viewmat[:3, 3].float()).T
    z = torch.where(z > NEAR, z, 1.0)
    return torch.stack([view.K[0, 0] * x / z + view.K[0, 2], view.K[1, 1] * y / z + view.K[1, 2]], dim=1)


def _clip(view: View) -> Tensor:
    """Return the matrix [4, 4] from camera to clip space whose pixels are K's."""
    width, height, out = view.width, view.height, torch.zeros_like(view.viewmat, dtype=torch.float32)
    out[0, 0], out[0, 2] = 2 * view.K[0, 0] / width, 2 * view.K[0, 2] / width - 1
    out[1, 1], out[1, 2] = 2 * view.K[1, 1] / height, 2 * view.K[1, 2] / height - 1
    out[2, 2], out[2, 3] = FAR / (FAR - NEAR), -FAR * NEAR / (FAR - NEAR)
    out[3, 2] = 1
    return out


def _package() -> Any:
    try:
        return importlib.import_module("diff_gaussian_rasterization")
    except ImportError as error:
        raise MissingAsset("diff-gaussian-rasterization is not installed; its licence is for research only, so it is not among "
                           f"flameport's packages: leave the backend out to draw with gsplat ({error})") from error
