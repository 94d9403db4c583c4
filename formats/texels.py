"""Which point of a head's surface each texel of its UV layout shows."""

import numpy as np

from formats.head_model import HeadModel


def texels(head: HeadModel, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (texel index, face, barycentric [P, 3]) for every texel whose center a UV triangle covers."""
    assert head.uvs is not None and head.uv_faces is not None
    corner = head.uvs[head.uv_faces].astype(np.float64) * size - 0.5
    low = np.clip(np.ceil(corner.min(axis=1)), 0, size - 1).astype(int)
    high = np.clip(np.floor(corner.max(axis=1)), -1, size - 1).astype(int)
    extent = np.maximum(high - low + 1, 0)
    count = extent[:, 0] * extent[:, 1]
    face = np.repeat(np.arange(len(corner)), count)
    rank = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    x = low[face, 0] + rank % np.maximum(extent[face, 0], 1)
    y = low[face, 1] + rank // np.maximum(extent[face, 0], 1)
    a, ab, ac = corner[:, 0], corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    dx, dy = x - a[face, 0], y - a[face, 1]
    w1 = (dx * ac[face, 1] - dy * ac[face, 0]) / area[face]
    w2 = (ab[face, 0] * dy - ab[face, 1] * dx) / area[face]
    w0 = 1 - w1 - w2
    inside = np.flatnonzero((w0 > -1e-6) & (w1 > -1e-6) & (w2 > -1e-6))
    weights = np.stack([w0[inside], w1[inside], w2[inside]], axis=1)
    return (y * size + x)[inside], face[inside], np.clip(weights, 0, 1).astype(np.float32)
