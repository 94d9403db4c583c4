"""UV maps continued past the borders of their islands, so that mip levels, filters and edits show no seams."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Float32

from formats.head_model import HeadModel
from formats.texels import texels
from formats.uv_maps import UVMaps

NEIGHBOURS = ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""Rows and columns to the texels around one, nearest first."""


def dilate_maps(maps: UVMaps, head: HeadModel, count: int) -> UVMaps:
    """Return `maps` with `count` texels around what triangles cover continuing it; what is covered stays as it is.

    A map without a mask of its size is covered where the head's triangles are; one that has neither stays.
    """
    if count <= 0:
        return maps
    images: Mapping[str, np.ndarray] = {
        name: image if (covered := coverage(maps, head, image.shape[:2])) is None else dilate(image, covered, count)
        for name, image in maps.images.items()}
    return UVMaps(images, maps.mask, maps.color_spaces)


def coverage(maps: UVMaps, head: HeadModel, shape: tuple[int, ...]) -> Bool[np.ndarray, "H W"] | None:
    """Return which texels of an image of `shape` triangles cover; None where nothing tells."""
    if maps.mask is not None and maps.mask.shape == shape:
        return maps.mask
    if head.uvs is None or shape[0] != shape[1]:
        return None
    covered = np.zeros(shape[0] * shape[1], bool)
    covered[texels(head, shape[0])[0]] = True
    return covered.reshape(shape)


def dilate(image: Float[np.ndarray, "H W C"], covered: Bool[np.ndarray, "H W"], count: int) -> Float32[np.ndarray, "H W C"]:
    """Return `image` with `count` rings of texels around `covered`, each a copy of the texel it grew from.

    Copies and not means: a mean of two quaternions or of two islands is neither.
    """
    image, known = image.astype(np.float32), covered.copy()
    image = image.copy()
    height, width = covered.shape
    for _ in range(count):
        fresh = np.zeros_like(known)
        for down, right in NEIGHBOURS:
            y, x = np.nonzero(~known & ~fresh)
            from_y, from_x = y + down, x + right
            inside = (from_y >= 0) & (from_y < height) & (from_x >= 0) & (from_x < width)
            y, x, from_y, from_x = y[inside], x[inside], from_y[inside], from_x[inside]
            take = known[from_y, from_x]
            image[y[take], x[take]] = image[from_y[take], from_x[take]]
            fresh[y[take], x[take]] = True
        if not fresh.any():
            break
        known |= fresh
    return image
