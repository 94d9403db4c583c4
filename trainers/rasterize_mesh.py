"""The one door to a mesh rasteriser: which triangle each pixel sees, and where on it, with gradients to the vertices.

A backend answers the first question only. Where on the triangle, and how deep, is worked out here from the vertices, in the
same way for all of them: the pixel's ray against the triangle's plane, as `formats.rasterize.nearest_triangles` does it.
So gradients are the same everywhere, and there are none of silhouettes: what a pixel sees does not change with a vertex.
"""

import importlib
import importlib.util
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.model import View
from trainers.rasterize import NEAR


@dataclass(frozen=True)
class Backend:
    """A package that finds the nearest triangles."""

    module: str
    """With `nearest(vertices, faces, view, near) -> face_index`."""
    package: str | None
    """That has to be installed; None: flameport itself."""
    licence: str
    devices: tuple[str, ...]


BACKENDS = {
    "nvdiffrast": Backend("trainers.mesh_nvdiffrast", "nvdiffrast", "non-commercial use only", ("cuda",)),
    "pytorch3d": Backend("trainers.mesh_pytorch3d", "pytorch3d", "BSD", ("cuda",)),
    "cpu": Backend("trainers.mesh_cpu", None, "Apache-2.0", ("cpu", "cuda")),
}
"""By name; the first that is installed and draws on the device is taken."""


@dataclass(frozen=True, eq=False)
class Fragments:
    """What a camera sees of a mesh, by pixel."""

    face_index: Tensor
    """int64 [H, W], -1 where nothing is seen."""
    barycentric: Tensor
    """[H, W, 3], right in space and not on the screen; 0 where nothing is seen. Has gradients."""
    depth: Tensor
    """[H, W] metres along the view direction; 0 where nothing is seen. Has gradients."""

    def interpolate(self, values: Tensor, corners: Tensor) -> Tensor:
        """Return values [N, C] of the mesh's corners, `corners` [F, 3] says which, at each pixel: [H, W, C]."""
        mixed = (values[corners[self.face_index.clamp_min(0)]] * self.barycentric[..., None]).sum(dim=2)
        return mixed * (self.face_index >= 0)[..., None]


def rasterize_mesh(vertices: Tensor, faces: Tensor, view: View, near: float = NEAR, backend: str | None = None) -> Fragments:
    """Return what `view` sees of a mesh; only triangles whose corners run counter-clockwise as seen are drawn.

    Args:
        vertices: World space, metres, [V, 3].
        faces: int [F, 3], counter-clockwise seen from outside.
        view: The camera.
        near: Metres of view depth; what lies at it or nearer is not drawn.
        backend: A key of `BACKENDS`; chosen by `default_backend` when None.
    """
    name = backend or default_backend(vertices.device)
    inside = vertices.float() @ view.viewmat[:3, :3].T.float() + view.viewmat[:3, 3].float()
    with torch.no_grad():
        face_index = importlib.import_module(BACKENDS[name].module).nearest(inside.detach(), faces, view, near)
    return _locate(inside, faces, face_index, view)


def default_backend(device: torch.device) -> str:
    """Return the first backend that is installed and draws on `device`."""
    return next(name for name, kind in BACKENDS.items() if device.type in kind.devices
                and (kind.package is None or importlib.util.find_spec(kind.package) is not None))


def _locate(vertices: Tensor, faces: Tensor, face_index: Tensor, view: View) -> Fragments:
    """Return barycentric weights and depth where the pixels' rays meet the triangles; vertices in camera space."""
    seen = face_index >= 0
    rows, columns = seen.nonzero(as_tuple=True)
    v0, v1, v2 = vertices[faces[face_index[seen]].long()].unbind(dim=1)
    K = view.K.float()
    rays = torch.stack([(columns + 0.5 - K[0, 2]) / K[0, 0], (rows + 0.5 - K[1, 2]) / K[1, 1],
                        torch.ones_like(rows, dtype=torch.float32)], dim=1)
    # From the first corner on: products of whole positions would lose what single precision has of a small triangle.
    along, aside = v1 - v0, v2 - v0
    normal = torch.linalg.cross(along, aside)
    depth = ((normal * v0).sum(dim=1) / (normal * rays).sum(dim=1))[:, None]
    reach, size = rays * depth - v0, (normal * normal).sum(dim=1)
    second = (torch.linalg.cross(reach, aside) * normal).sum(dim=1) / size
    third = (torch.linalg.cross(along, reach) * normal).sum(dim=1) / size
    shares = torch.stack([1 - second - third, second, third], dim=1)
    height, width = face_index.shape
    barycentric = vertices.new_zeros(height, width, 3).index_put((rows, columns), shares)
    return Fragments(face_index, barycentric, vertices.new_zeros(height, width).index_put((rows, columns), depth[:, 0]))
