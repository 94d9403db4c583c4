"""PyTorch3D behind `trainers.rasterize_mesh`, where it is installed (BSD licence; it is not on the package index).

Ravi et al., "Accelerating 3D Deep Learning with PyTorch3D", 2020. Its axes run left and up, and its screen's shorter side
from -1 to 1.
"""

import importlib
from typing import Any

import torch
from torch import Tensor

from formats.errors import MissingAsset
from trainers.model import View


def nearest(vertices: Tensor, faces: Tensor, view: View, near: float) -> Tensor:
    """Return the nearest triangle of each pixel, int64 [H, W], -1 for none; camera-space vertices."""
    package = _package()
    x, y, z = vertices.T
    K, half = view.K.float(), min(view.width, view.height) / 2
    # Corners behind the camera have no place on the screen; triangles that cross the near plane are left out whole.
    front = z > near
    depth = torch.where(front, z, 1.0)
    screen = torch.stack([(view.width / 2 - K[0, 0] * x / depth - K[0, 2]) / half,
                          (view.height / 2 - K[1, 1] * y / depth - K[1, 2]) / half, depth], dim=1)
    corners = faces.long()
    kept = (front[corners].all(dim=1) & (torch.linalg.det(vertices[corners]) < 0)).nonzero().squeeze(1)
    if not len(kept):
        return torch.full((view.height, view.width), -1, device=vertices.device)
    meshes = package.structures.Meshes([screen], [corners[kept]])
    found, *_ = package.renderer.mesh.rasterize_meshes(meshes, image_size=(view.height, view.width), blur_radius=0.0,
                                                       faces_per_pixel=1, perspective_correct=True, cull_backfaces=False)
    found = found[0, ..., 0]
    return torch.where(found >= 0, kept[found.clamp_min(0)], -1)


def _package() -> Any:
    try:
        importlib.import_module("pytorch3d.structures")
        importlib.import_module("pytorch3d.renderer.mesh")
        return importlib.import_module("pytorch3d")
    except ImportError as error:
        raise MissingAsset("pytorch3d is not installed, see its own pages for how; leave the backend out to draw without it "
                           f"({error})") from error
