"""View-dependent colour in torch: the twin of `formats.spherical_harmonics`, which holds the basis."""

import importlib
import importlib.util

import torch
from torch import Tensor

from formats.conventions import SH_C0
from formats.spherical_harmonics import varying_basis
from trainers.rotations import normalize


def colors_from(sh: Tensor, means: Tensor, viewmat: Tensor) -> Tensor:
    """Return display colours [N, 3], max(0, 0.5 + sum_k sh_k Y_k), of Gaussians as a camera sees them, with gradients to the
    coefficients and to where the Gaussians are.

    Args:
        sh: [N, K, 3], K = (degree + 1)^2, degree 0..3.
        means: World space, [N, 3].
        viewmat: World to camera, [4, 4].
    """
    degree = round(sh.shape[1] ** 0.5) - 1
    assert (degree + 1) ** 2 == sh.shape[1] and 0 <= degree <= 3, f"sh of shape {list(sh.shape)}"
    if degree == 0:
        return torch.relu(0.5 + SH_C0 * sh[:, 0])
    # -R^T t is where the camera stands.
    directions = means + viewmat[:3, 3] @ viewmat[:3, :3]
    if sh.is_cuda and importlib.util.find_spec("gsplat") is not None:
        return torch.relu(0.5 + importlib.import_module("trainers.rasterize_gsplat").harmonics(sh, directions, degree))
    # Tables of one component each, as everywhere here: fast on a CPU.
    basis = torch.stack(sh_basis(normalize(directions.t().contiguous(), 0), degree))
    return torch.relu(0.5 + (basis.t()[:, :, None] * sh).sum(dim=1))


def sh_basis(directions: Tensor, degree: int) -> list[Tensor]:
    """Return the (degree + 1)^2 basis functions [N] at unit directions [3, N]."""
    x, y, z = directions.unbind()
    return [torch.full_like(x, SH_C0), *varying_basis(x, y, z, degree)]
