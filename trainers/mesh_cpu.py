"""`formats.rasterize.nearest_triangles` behind `trainers.rasterize_mesh`: the definition itself, on any device's copy."""

import torch
from torch import Tensor

from formats.rasterize import nearest_triangles
from trainers.model import View


def nearest(vertices: Tensor, faces: Tensor, view: View, near: float) -> Tensor:
    """Return the nearest triangle of each pixel, int64 [H, W], -1 for none; vertices in camera space."""
    K = view.K.double()
    intrinsics = (float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]))
    face_index, _ = nearest_triangles(vertices.double().cpu().numpy(), faces.int().cpu().numpy(), intrinsics, near, view.width,
                                      view.height)
    return torch.from_numpy(face_index).to(vertices.device).long()
