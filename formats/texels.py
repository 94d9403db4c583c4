"""Which point of a head's surface each texel of its UV layout shows."""

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from formats.head_model import HeadModel


def texels(head: HeadModel, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (texel index, face, barycentric [P, 3]) for every texel whose center a UV triangle covers."""
    assert head.uvs is not None and head.uv_faces is not None
    return covered_texels(head.uvs, head.uv_faces, size, size)


def covered_texels(uvs: Float32[np.ndarray, "U 2"], uv_faces: Int32[np.ndarray, "F 3"], height: int, width: int
                   ) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Float32[np.ndarray, "P 3"]]:
    """Return (texel index, face, barycentric) for every texel of a picture whose center a triangle of `uvs` covers.

    Texels that several triangles cover are there several times.
    """
    corner = uvs[uv_faces].astype(np.float64) * [width, height] - 0.5
    face, x, y = _near(corner, width, height)
    weights = _barycentric(corner, face, x, y)
    inside = np.flatnonzero((weights > -1e-6).all(axis=1))
    return (y * width + x)[inside], face[inside], np.clip(weights[inside], 0, 1).astype(np.float32)


def owned_texels(uvs: Float32[np.ndarray, "U 2"], uv_faces: Int32[np.ndarray, "F 3"], size: int, area_excess: float = 0.0
                 ) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Float64[np.ndarray, "P 3"]]:
    """Return (texel index, face, barycentric) of each covered texel once, row by row from the image's top.

    A triangle covers a center that lies strictly inside. Where two lie on one another, the one whose three float32 weights
    have the smaller sum wins (their depths are all 1, and rounding makes the nearest), then the first.

    Args:
        uvs: (0, 0) at the image's top-left corner.
        uv_faces: Triangles of `uvs`, of either winding.
        size: Texels along an edge.
        area_excess: Added to the double area (of a layout 2 wide) before weights are divided by it. The rasterizer's guard
            is 1e-8: it, and not rounding, then decides between triangles of different areas, or windings.

    Source: the rule of the rasterizer that FlashAvatar (Xiang et al., CVPR 2024), FATE and OSGAP find their Gaussians with.
    """
    corner = uvs[uv_faces].astype(np.float64) * size - 0.5
    face, x, y = _near(corner, size, size)
    screen = (2 * uvs[uv_faces] - 1).astype(np.float32)
    point = ((2 * np.stack([x, y], axis=1) + 1) / size - 1).astype(np.float32)
    rounded = _rounded_weights(screen[face], point, area_excess)
    inside = np.flatnonzero((rounded > 0).all(axis=1))
    face, x, y, rounded = face[inside], x[inside], y[inside], rounded[inside]
    texel = y * size + x
    order = np.lexsort((face, rounded[:, 0] + rounded[:, 1] + rounded[:, 2], texel))
    first = np.ones(len(order), bool)
    first[1:] = texel[order][1:] != texel[order][:-1]
    kept = order[first]
    weights = _barycentric(corner, face[kept], x[kept], y[kept])
    return texel[kept], face[kept], weights / weights.sum(axis=1, keepdims=True)


def _near(corner: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return face, column and row of every texel in the box around each triangle [F, 3, 2], in texels."""
    last = np.array([width, height]) - 1
    low = np.clip(np.ceil(corner.min(axis=1)), 0, last).astype(int)
    high = np.clip(np.floor(corner.max(axis=1)), -1, last).astype(int)
    extent = np.maximum(high - low + 1, 0)
    count = extent[:, 0] * extent[:, 1]
    face = np.repeat(np.arange(len(corner)), count)
    rank = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    x = low[face, 0] + rank % np.maximum(extent[face, 0], 1)
    y = low[face, 1] + rank // np.maximum(extent[face, 0], 1)
    return face, x, y


def _barycentric(corner: np.ndarray, face: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    a, ab, ac = corner[:, 0], corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    dx, dy = x - a[face, 0], y - a[face, 1]
    w1 = (dx * ac[face, 1] - dy * ac[face, 0]) / area[face]
    w2 = (ab[face, 0] * dy - ab[face, 1] * dx) / area[face]
    return np.stack([1 - w1 - w2, w1, w2], axis=1)


def _rounded_weights(triangle: np.ndarray, point: np.ndarray, area_excess: float) -> Float32[np.ndarray, "P 3"]:
    """Return barycentric weights as three edge functions over a fourth, in float32; zero without area."""
    a, b, c = triangle[:, 0], triangle[:, 1], triangle[:, 2]

    def edge(p: np.ndarray, v0: np.ndarray, v1: np.ndarray) -> np.ndarray:
        return (p[:, 0] - v0[:, 0]) * (v1[:, 1] - v0[:, 1]) - (p[:, 1] - v0[:, 1]) * (v1[:, 0] - v0[:, 0])

    area = edge(c, a, b)
    divisor = np.where(np.abs(area) <= area_excess, np.float32(np.inf), area + np.float32(area_excess))
    return np.stack([edge(point, b, c) / divisor, edge(point, c, a) / divisor, edge(point, a, b) / divisor], axis=1)
