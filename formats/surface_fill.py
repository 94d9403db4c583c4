"""Colours where a texture has none: carried along the head's surface, and past the borders of its UV islands."""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from formats.head_model import HeadModel

SMOOTHING = 60
"""Rounds of averaging with the neighbours, where colours were carried."""
PRIOR = 1e-6
"""Weight of coarser levels in a texel that has next to none of its own."""


def fill_on_surface(image: Float[np.ndarray, "H W 3"], seen: Bool[np.ndarray, "H W"], head: HeadModel,
                    texel: Int[np.ndarray, " P"], face: Int[np.ndarray, " P"],
                    weights: Float[np.ndarray, "P 3"]) -> Float64[np.ndarray, "H W 3"]:
    """Return `image` with every texel coloured.

    Covered texels that are not seen get colours that spread over the mesh, from vertex to vertex, so that they cross the
    seams of the UV layout; parts of the mesh that hang together with nothing seen take the colour of the nearest vertex at
    rest. What no triangle covers is filled from its neighbours on the image.

    Args:
        image: Colours.
        seen: Where they mean something.
        head: Whose texture it is.
        texel: Covered texels, as `formats.texels.texels` gives them; row-major numbers.
        face: Their triangles.
        weights: Their barycentric weights.
    """
    flat, known = image.reshape(-1, 3).astype(np.float64), seen.ravel()
    covered = np.zeros(len(known), bool)
    covered[texel] = True
    if known.any():
        corners = head.faces[face]
        colors = _vertex_colors(flat[texel], known[texel], corners, weights, head)
        lost = ~known[texel]
        flat = flat.copy()
        flat[texel[lost]] = np.einsum("pk,pkc->pc", weights[lost].astype(np.float64), colors[corners[lost]])
        known = covered
    return push_pull(flat.reshape(image.shape), known.reshape(seen.shape))


def _vertex_colors(rgb: np.ndarray, known: np.ndarray, corners: np.ndarray, weights: np.ndarray,
                   head: HeadModel) -> Float64[np.ndarray, "V 3"]:
    count = len(head.v_template)
    at, share = corners[known].ravel(), weights[known].astype(np.float64).ravel()
    total = np.bincount(at, share, count)
    colors = np.stack([np.bincount(at, share * np.repeat(rgb[known, c], 3), count) for c in range(3)], axis=1)
    has = total > 1e-3
    colors[has] /= total[has, None]
    edges = np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]]).astype(np.int64)
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)

    def neighbours(values: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        here, there = edges[among[edges[:, 1]]].T
        degree = np.bincount(here, minlength=count)
        mean = np.stack([np.bincount(here, values[there, c], count) for c in range(3)], axis=1)
        return mean / np.maximum(degree, 1)[:, None], degree > 0

    reached = has.copy()
    while True:
        mean, beside = neighbours(colors, reached)
        fresh = beside & ~reached
        if not fresh.any():
            break
        colors[fresh] = mean[fresh]
        reached |= fresh
    carried = reached & ~has
    for _ in range(SMOOTHING if carried.any() else 0):
        colors[carried] = neighbours(colors, reached)[0][carried]
    apart = np.flatnonzero(~reached)
    if len(apart) and has.any():
        v, source = head.v_template.astype(np.float64), np.flatnonzero(has)
        for part in np.array_split(apart, len(apart) // 256 + 1):
            square = ((v[part, None] - v[None, source]) ** 2).sum(axis=2)
            colors[part] = colors[source[np.argmin(square, axis=1)]]
    return colors


def push_pull(image: Float[np.ndarray, "H W C"], known: Bool[np.ndarray, "H W"]) -> Float64[np.ndarray, "H W C"]:
    """Return `image` with the unknown part filled, smoothly and from near by; black when nothing is known.

    Averages of known texels go up a pyramid of halvings and come back down, bilinear, where finer levels know nothing.
    Source: Gortler, Grzeszczuk, Szeliski, Cohen, "The Lumigraph", SIGGRAPH 1996, section 3.4.
    """
    if not known.any():
        return np.zeros(image.shape)
    levels = [(np.where(known[..., None], image, 0).astype(np.float64), known.astype(np.float64))]
    while levels[-1][1].size > 1:
        color, weight = levels[-1]
        height, width = weight.shape
        pad = ((0, height % 2 if height > 1 else 1), (0, width % 2 if width > 1 else 1))
        weight = np.pad(weight, pad)
        color = np.pad(color, (*pad, (0, 0))) * weight[..., None]
        shape = (weight.shape[0] // 2, 2, weight.shape[1] // 2, 2)
        total = weight.reshape(shape).sum(axis=(1, 3))
        summed = color.reshape(*shape, -1).sum(axis=(1, 3))
        levels.append((summed / np.maximum(total, PRIOR)[..., None], np.minimum(total, 1)))
    filled = levels[-1][0]
    for color, weight in reversed(levels[:-1]):
        filled = weight[..., None] * color + (1 - weight[..., None]) * _doubled(filled, *weight.shape)
    return filled


def _doubled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `image` at twice its size, bilinear between texel centres, cut to height and width."""
    for axis, size in ((0, height), (1, width)):
        at = (np.arange(size) + 0.5) / 2 - 0.5
        low = np.floor(at).astype(int)
        share = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        most = image.shape[axis] - 1
        first, second = (np.take(image, np.clip(low + i, 0, most), axis=axis) for i in (0, 1))
        image = first * (1 - share) + second * share
    return image
