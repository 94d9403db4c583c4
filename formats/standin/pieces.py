"""Gaussians in the stand-in's rest pose, before they are bound to the head's triangles. Millimetres, linear light."""

from dataclasses import dataclass

import numpy as np

from formats.rotations import normalize


@dataclass(frozen=True)
class Pieces:
    """N Gaussians and the triangle that each rides."""

    face: np.ndarray
    weights: np.ndarray
    """Barycentric, of the point on the triangle that it stands on, [N, 3]."""
    at: np.ndarray
    """Centers, [N, 3]."""
    axes: np.ndarray
    """Columns are the Gaussian's own axes, [N, 3, 3]."""
    scales: np.ndarray
    """Standard deviations along `axes`, [N, 3]."""
    rgb: np.ndarray
    """Display sRGB, [N, 3]."""
    opacity: np.ndarray

    def __len__(self) -> int:
        return len(self.face)


def join(parts: list[Pieces]) -> Pieces:
    """Return all parts as one, in their order."""
    return Pieces(*(np.concatenate([getattr(p, name) for p in parts]) for name in Pieces.__dataclass_fields__))


def axes_from(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return right-handed axes [N, 3, 3]: the first column along `first`, the last as near to `last` as can be."""
    x = normalize(first)
    y = normalize(np.cross(last, x))
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def axes_flat(normal: np.ndarray) -> np.ndarray:
    """Return right-handed axes [N, 3, 3] whose last column is `normal`, the first as level as can be."""
    side = np.where(np.abs(normal[:, 1:2]) < 0.95, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    return axes_from(np.cross(side, normal), normal)
