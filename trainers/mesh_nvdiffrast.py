"""nvdiffrast behind `trainers.rasterize_mesh`, where it is installed. Its licence allows non-commercial use only.

Laine et al., "Modular Primitives for High-Performance Differentiable Rendering", SIGGRAPH Asia 2020. It draws both sides,
so what shows its back is taken out before; pixels whose centre lies on an edge within its subpixel grid may see the
neighbour that the definition does not.
"""

import importlib
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from formats.errors import MissingAsset
from trainers.model import View

FAR = 100.0
"""Metres; farther surfaces are not drawn."""


def nearest(vertices: Tensor, faces: Tensor, view: View, near: float) -> Tensor:
    """Return the nearest triangle of each pixel, int64 [H, W], -1 for none; camera-space vertices on a CUDA device."""
    package = _package()
    corners = vertices[faces.long()]
    facing = torch.linalg.det(corners) < 0
    kept = facing.nonzero().squeeze(1)
    x, y, z = vertices.T
    K = view.K.float()
    # Row 0 of its pictures is at y = -1 of clip space, and of ours at the top.
    clip = torch.stack([2 * (K[0, 0] * x + K[0, 2] * z) / view.width - z, 2 * (K[1, 1] * y + K[1, 2] * z) / view.height - z,
                        ((FAR + near) * z - 2 * FAR * near) / (FAR - near), z], dim=1)
    if not len(kept):
        return torch.full((view.height, view.width), -1, device=vertices.device)
    drawn, _ = package.rasterize(_context(vertices.device.index or 0), clip[None].contiguous(), faces[kept].int().contiguous(),
                                 (view.height, view.width), grad_db=False)
    found = drawn[0, ..., 3].long() - 1
    return torch.where(found >= 0, kept[found.clamp_min(0)], -1)


@lru_cache
def _context(index: int) -> Any:
    return _package().RasterizeCudaContext(torch.device("cuda", index))


def _package() -> Any:
    try:
        return importlib.import_module("nvdiffrast.torch")
    except ImportError as error:
        raise MissingAsset("nvdiffrast is not installed; its licence is for non-commercial use only, so it is not among "
                           f"flameport's packages: leave the backend out to draw without it ({error})") from error
