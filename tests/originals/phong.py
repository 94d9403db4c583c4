"""SplattingAvatar's surface: Phong points, and rotations and areas of faces against a canonical mesh.

After the SplattingAvatar fact sheet, section 3, and the FATE sheet, 6.3 (CVPR 2024, arXiv 2403.05087). Units as given.
"""

import numpy as np

from tests.originals import flame, splats

FLOOR = 1e-6
"""Least length that vertex normals and vertex quaternions are divided by."""


def _axes(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return [X Y Z] per face as columns [F, 3, 3]."""
    v0, v1, v2 = (vertices[faces[:, i]] for i in range(3))
    z = splats.unit(v1 - v0)
    m = splats.unit(np.cross(v1 - v0, v2 - v0))
    x = splats.unit(np.cross(v1 - v0, m))
    y = splats.unit(np.cross(v1 - v0, x))
    return np.stack([x, y, z], axis=2)


def areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return true triangle areas [F]."""
    v0, v1, v2 = (vertices[faces[:, i]] for i in range(3))
    return np.linalg.norm(np.cross(v1 - v0, v2 - v0), axis=1) / 2


def vertex_quaternions(canonical: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return per vertex the area-weighted sum of its faces' quaternions (w >= 0 each), over its length; no alignment."""
    turns = _axes(vertices, faces) @ _axes(canonical, faces).transpose(0, 2, 1)
    weighted = splats.quaternions(turns) * areas(canonical, faces)[:, None]
    total = np.zeros((len(vertices), 4))
    for corner in range(3):
        np.add.at(total, faces[:, corner], weighted)
    return splats.unit(total, FLOOR)


def draw(canonical: np.ndarray, vertices: np.ndarray, faces: np.ndarray, face: np.ndarray, bary: np.ndarray, d: np.ndarray,
         rotation: np.ndarray, scaling: np.ndarray) -> dict[str, np.ndarray]:
    """Return means, quats and scales [N, ...] in the unit of the vertices."""
    corners = faces[face]

    def mix(values: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nkc->nc", bary, values[corners])

    normals = splats.unit(mix(flame.vertex_normals(vertices, faces, FLOOR)))
    ratio = (areas(vertices, faces) + 1e-4) / (areas(canonical, faces) + 1e-4)
    turned = mix(vertex_quaternions(canonical, vertices, faces))
    return {"means": mix(vertices) + d[:, None] * normals, "quats": splats.unit(splats.multiply(turned, rotation)),
            "scales": np.exp(scaling * ratio[face][:, None])}
