"""Pictures back onto the head: the texture that posed meshes, their cameras and what the cameras saw agree on."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from formats.camera import Camera
from formats.deform import vertex_normals
from formats.errors import CheckpointMismatch, UnsupportedFeature
from formats.head_model import HeadModel
from formats.mesh_shading import sample_bilinear
from formats.rasterize import nearest_triangles
from formats.render import intrinsics_of, to_camera
from formats.rotations import normalize
from formats.surface_fill import fill_on_surface
from formats.texels import texels

View = tuple[np.ndarray, Camera, np.ndarray]
"""The head's vertices as posed [V, 3], world space, metres; the camera; its picture, straight RGBA, uint8 [H, W, 4]."""

NEAR = 0.01
"""Metres of view depth."""
FACING = 0.17
"""Least cosine between normal and view: 80 degrees. Beyond it a pixel covers too much."""
ALPHA = 0.9
"""Least opacity of a pixel that shows the person and nothing else."""
TOLERANCE = 4e-4
"""Metres that a surface may lie behind what the picture shows there and still be it; eyelids are 1e-3 above eyeballs."""
CURVATURE = 0.01
"""Metres: the radius that surfaces are expected to be as flat as, where a triangle is followed beyond its own pixel."""
AGREEMENT = 6 / 255
"""Distance of two colours, over three channels, up to which they count as the same with noise."""
ROUNDS = 4
"""Of weighing pictures anew by how far they are from what most of them show."""


@dataclass(frozen=True, eq=False)
class _Surface:
    """What the head's texels are on."""

    texel: Int[np.ndarray, " P"]
    corners: Int[np.ndarray, "P 3"]
    weights: Float64[np.ndarray, "P 3"]
    faces: Int[np.ndarray, "F 3"]

    def at(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return what per-vertex `values` are at some texels."""
        return np.einsum("pk,pkc->pc", self.weights[rows], values[self.corners[rows]])


def reproject(head: HeadModel, views: Iterable[View], size: int, facing: float = FACING, alpha: float = ALPHA,
              tolerance: float = TOLERANCE) -> tuple[Float32[np.ndarray, "S S 3"], Bool[np.ndarray, "S S"]]:
    """Return the head's texture, display sRGB 0..1, row 0 on top, and which texels some picture shows.

    A texel is seen by a picture when it faces the camera, all four pixels around its projection are opaque, and the
    triangle seen at each of them passes through it. Its colour is what the pictures agree on: the mean weighted by cosine^2
    alpha, then `ROUNDS` times anew with every picture's weight divided by its distance from the last mean (the weighted
    geometric median, by Weiszfeld's iteration: one highlight or one badly tracked frame does not show). The rest is filled,
    see `formats.surface_fill`.

    The samples of all views are held at once: about 10 bytes for each texel that each picture sees.

    Args:
        head: With texture coordinates.
        views: Vertices, camera, picture; at least one.
        size: Texels across.
        facing: Least cosine between normal and direction to the camera.
        alpha: Least opacity of the pixels a colour is taken from, 0..1.
        tolerance: Metres a surface may lie behind the one seen.

    Raises:
        UnsupportedFeature: The head has no texture coordinates, or a camera has skew.
        CheckpointMismatch: A picture's size is not its camera's, or vertices are not the head's.
    """
    if head.uvs is None or head.uv_faces is None:
        raise UnsupportedFeature("the head has no texture coordinates, so there is no texture to paint; use a head file that "
                                 "holds them (flameport head, from a FLAME folder with its texture layout)")
    texel, face, weights = texels(head, size)
    texel, first = np.unique(texel, return_index=True)
    face, weights = face[first], weights[first]
    surface = _Surface(texel, head.faces[face], weights.astype(np.float64), head.faces)
    rows, colors, shares = [np.zeros(0, np.int32)], [np.zeros((0, 3), np.float16)], [np.zeros(0, np.float16)]
    for vertices, camera, picture in views:
        _check(head, vertices, camera, picture)
        row, rgb, share = _seen(surface, vertices, camera, picture, facing, alpha, tolerance)
        rows.append(row.astype(np.int32))
        colors.append(rgb.astype(np.float16))
        shares.append(share.astype(np.float16))
    agreed, seen_rows = _agree(np.concatenate(rows), np.concatenate(colors), np.concatenate(shares), len(texel))
    image, seen = np.zeros((size * size, 3)), np.zeros(size * size, bool)
    image[texel], seen[texel] = agreed, seen_rows
    seen = seen.reshape(size, size)
    filled = fill_on_surface(image.reshape(size, size, 3), seen, head, texel, face, weights)
    return np.clip(filled, 0, 1).astype(np.float32), seen


def _check(head: HeadModel, vertices: np.ndarray, camera: Camera, picture: np.ndarray) -> None:
    if picture.shape != (camera.height, camera.width, 4) or picture.dtype != np.uint8:
        raise CheckpointMismatch(f"reproject: a picture is {picture.dtype} {list(picture.shape)}, its camera's is uint8 "
                                 f"[{camera.height}, {camera.width}, 4]; scale the camera with the picture")
    if vertices.shape != head.v_template.shape:
        raise CheckpointMismatch(f"reproject: posed vertices are {list(vertices.shape)}, the head's "
                                 f"{list(head.v_template.shape)}; pose the same head")


def _seen(surface: _Surface, vertices: np.ndarray, camera: Camera, picture: np.ndarray, facing: float, alpha: float,
          tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which rows of `surface` a picture shows, their colours and their weights."""
    fx, fy, cx, cy = intrinsics_of(camera)
    v = to_camera(vertices, camera)
    normals = vertex_normals(v, surface.faces)
    rows = np.arange(len(surface.texel))
    point = surface.at(v, rows)
    cosine = -np.sum(normalize(surface.at(normals, rows)) * normalize(point), axis=1)
    rows = rows[(cosine > facing) & (point[:, 2] > NEAR)]
    point, cosine = point[rows], cosine[rows]
    ray = point / point[:, 2:]
    x, y = fx * ray[:, 0] + cx, fy * ray[:, 1] + cy
    inside = (x >= 0.5) & (y >= 0.5) & (x <= camera.width - 0.5) & (y <= camera.height - 0.5)
    rows, point, cosine, ray, x, y = (a[inside] for a in (rows, point, cosine, ray, x, y))

    # A triangle seen at a pixel's centre is followed to the texel's own ray: as exact as the surface is flat over the
    # piece of it that one pixel covers, d = z / (f cosine); a sphere falls d^2 / 2r below its tangent there.
    # Where that is more than half a pixel, along the ray, nothing can be said, and less is allowed.
    pixel = point[:, 2] / min(fx, fy)
    room = tolerance + np.minimum((pixel / cosine)**2 / (2 * CURVATURE * cosine), pixel / 2)
    shown, _ = nearest_triangles(v, surface.faces, (fx, fy, cx, cy), NEAR, camera.width, camera.height)
    a, b, c = (v[surface.faces[:, k]] for k in range(3))
    planes = np.cross(b - a, c - a)
    heights = np.sum(planes * a, axis=1)
    good = np.ones(len(rows), bool)
    left, top = np.floor(x - 0.5).astype(int), np.floor(y - 0.5).astype(int)
    for column in (left, np.minimum(left + 1, camera.width - 1)):
        for line in (top, np.minimum(top + 1, camera.height - 1)):
            tri = shown[line, column]
            slope = np.sum(planes[tri] * ray, axis=1)
            depth = heights[tri] / np.where(np.abs(slope) < 1e-15, -1e-15, slope)
            good &= (tri >= 0) & (np.abs(depth - point[:, 2]) < room) & (picture[line, column, 3] >= 255 * alpha)
    rows, cosine, x, y = rows[good], cosine[good], x[good], y[good]
    rgba = sample_bilinear(picture, np.stack([x / camera.width, y / camera.height], axis=1))
    return rows, rgba[:, :3], cosine**2 * rgba[:, 3]


def _agree(rows: np.ndarray, colors: np.ndarray, shares: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the colour [P, 3] that the samples of each row agree on, and which rows have any."""
    held = np.bincount(rows, minlength=count) > 0
    weight = shares.astype(np.float64)
    mean = np.zeros((count, 3))
    for turn in range(ROUNDS + 1):
        if turn:
            distance = np.sqrt(sum((colors[:, c] - mean[rows, c]) ** 2 for c in range(3)) + AGREEMENT**2)
            weight = shares / distance
        total = np.maximum(np.bincount(rows, weight, count), 1e-12)
        for c in range(3):
            mean[:, c] = np.bincount(rows, weight * colors[:, c], count) / total
    return mean, held
