"""Which face and barycentric point lies under every texel of a UV layout, by PyTorch3D's rule, and map look-ups."""

import functools

import numpy as np

from tests.originals.flame_template import template


def raster(uvs: np.ndarray, uv_faces: np.ndarray, size: int, cull: bool = True) -> tuple[np.ndarray, ...]:
    """Return texels [N] (row * size + column), faces [N], weights [N, 3], and how many faces cover each texel [N].

    Row 0 is v near 1; row-major order. A texel belongs to a face when its centre is strictly inside (all weights above
    0). Where faces overlap the nearest wins: all lie at depth 1, but weights are divided by the doubled area in [-1, 1]
    plus 1e-8, so that small counter-clockwise faces come out nearest and clockwise ones behind; then the lowest index.

    Args:
        uvs: [U, 2], v upward.
        uv_faces: [F, 3].
        size: Texels across.
        cull: Leave clockwise faces out.
    """
    face_of, count_of = np.full((size, size), -1), np.zeros((size, size), int)
    weight_of, depth_of = np.zeros((size, size, 3)), np.full((size, size), np.inf)
    for index, ids in enumerate(uv_faces):
        a, b, c = uvs[ids]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0 or (cull and area < 0):
            continue
        low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
        columns = np.arange(max(int(low[0] * size - 0.5), 0), min(int(high[0] * size + 0.5) + 1, size))
        rows = np.arange(max(int((1 - high[1]) * size - 0.5), 0), min(int((1 - low[1]) * size + 0.5) + 1, size))
        if not (len(columns) and len(rows)):
            continue
        u, v = (columns + 0.5)[None] / size, 1 - (rows + 0.5)[:, None] / size
        w0 = ((b[0] - u) * (c[1] - v) - (b[1] - v) * (c[0] - u)) / area
        w1 = ((c[0] - u) * (a[1] - v) - (c[1] - v) * (a[0] - u)) / area
        w = np.stack([w0, w1, 1 - w0 - w1], axis=2)
        block, depth = np.ix_(rows, columns), 4 * area / (4 * area + 1e-8)
        inside = (w > 0).all(axis=2)
        count_of[block] += inside
        nearer = inside & (depth < depth_of[block])
        face_of[block] = np.where(nearer, index, face_of[block])
        depth_of[block] = np.where(nearer, depth, depth_of[block])
        weight_of[block] = np.where(nearer[:, :, None], w, weight_of[block])
    texels = np.flatnonzero(face_of.ravel() >= 0)
    return texels, face_of.ravel()[texels], weight_of.reshape(-1, 3)[texels], count_of.ravel()[texels]


@functools.cache
def sealed_raster(size: int) -> tuple[np.ndarray, ...]:
    """Return `raster` of the sealed template; none of its faces overlap or are clockwise."""
    return raster(template().sealed_uvs, template().sealed_uv_faces, size)


def fate_sampling(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return FATE's 65 536 samples as faces and weights (float32 numbers): the covered texels of 256 x 256, then padding.

    Padding repeats random covered faces with three uniform numbers divided by their sum.
    """
    _, faces, weights, _ = sealed_raster(256)
    rng = np.random.default_rng(seed)
    more = 65536 - len(faces)
    u = rng.uniform(size=(more, 3))
    faces = np.concatenate([faces, rng.choice(faces, more)])
    weights = np.concatenate([weights, u / u.sum(axis=1, keepdims=True)])
    return faces, weights.astype(np.float32).astype(np.float64)


def uv_of(faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the UV [N, 2] (v upward) of points on the sealed template."""
    corners = template().sealed_uvs.astype(np.float32).astype(np.float64)[template().sealed_uv_faces[faces]]
    return np.einsum("nk,nkc->nc", weights, corners)


def lookup(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Return map values [N, C] of `image` [C, S, S] at uv: bilinear, corners aligned, border held; row 0 is v = 0."""
    size = image.shape[-1]
    x, y = (np.clip(uv[:, i] * (size - 1), 0, size - 1) for i in range(2))
    x0, y0 = (np.minimum(c.astype(int), size - 2) for c in (x, y))
    fx, fy = x - x0, y - y0
    top = image[:, y0, x0] * (1 - fx) + image[:, y0, x0 + 1] * fx
    bottom = image[:, y0 + 1, x0] * (1 - fx) + image[:, y0 + 1, x0 + 1] * fx
    return (top * (1 - fy) + bottom * fy).T
