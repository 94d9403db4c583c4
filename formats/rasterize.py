"""Which pixels a Gaussian or a triangle touches, and by how much: plain NumPy loops that define it.

`formats.rasterize_numba` holds the same two loops compiled; they run instead when numba is importable, on bands of
rows in threads. Pixel (0, 0) is the top-left one and its centre is at (0.5, 0.5).

Compiled loops are cached by the text of their own file: after changing a constant here, touch `rasterize_numba.py`.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
from jaxtyping import Float64, Int32

ALPHA_MIN = 1 / 255
"""Contributions below one 8-bit step are left out (Kerbl et al. 2023, released rasteriser)."""
ALPHA_MAX = 0.99
"""No Gaussian is fully opaque (Kerbl et al. 2023, appendix C)."""
EDGE = 1e-6
"""Pixels that a bounding box is widened by, so that rounding never decides instead of the exact test inside it."""


@functools.cache
def compiled_kernels() -> ModuleType | None:
    """Return the module of compiled loops, or None without numba."""
    try:
        from formats import rasterize_numba
    except ImportError:
        return None
    return rasterize_numba


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_bands(height: int, draw: Callable[[int, int], None]) -> None:
    # Threads around kernels that release the lock, not numba's own parallel loops: its default thread layer aborts
    # the process when two Python threads draw at once, as a web server does.
    workers = min(8, cores())
    edges = np.linspace(0, height, min(height, 4 * workers) + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(draw, edges[:-1], edges[1:]))


def box_of(low: np.ndarray, high: np.ndarray, width: int, height: int) -> Int32[np.ndarray, "N 4"]:
    """Return (x0, y0, x1, y1), end exclusive, of the pixels whose centres lie between corners [N, 2], clipped."""
    size = np.array([width, height])
    first = np.clip(np.ceil(low - 0.5 - EDGE), 0, size)
    end = np.clip(np.floor(high - 0.5 + EDGE) + 1, 0, size)
    return np.concatenate([first, end], axis=1).astype(np.int32)


# --- Gaussians --------------------------------------------------------------------------------------------------------


def accumulate_splats(means2d: Float64[np.ndarray, "N 2"], conics: Float64[np.ndarray, "N 3"],
                      rgb: Float64[np.ndarray, "N 3"], opacities: Float64[np.ndarray, " N"],
                      boxes: Int32[np.ndarray, "N 4"], width: int, height: int,
                      accelerate: bool = True) -> tuple[Float64[np.ndarray, "H W 3"], Float64[np.ndarray, "H W"]]:
    """Return the colour that Gaussians add, and how much of what lies behind still shows.

    Front to back: colour += T alpha rgb, T *= 1 - alpha, with alpha = min(0.99, o exp(-q / 2)), q = d^T conic d and
    alpha below 1/255 left out. The picture is `colour + T * background`: the same as painting back to front.

    Args:
        means2d: Pixels. All arrays are sorted, nearest first.
        conics: Inverse 2D covariance (xx, xy, yy), per square pixel.
        rgb: Colour, not negative.
        opacities: 0..1.
        boxes: Pixels outside are never touched; `box_of` of the ellipse where alpha falls to 1/255.
        width: Pixels.
        height: Pixels.
        accelerate: Use the compiled loop when numba is there.
    """
    color, transmittance = np.zeros((height, width, 3)), np.ones((height, width))
    kernels = compiled_kernels() if accelerate else None
    if kernels is not None:
        arrays = [np.ascontiguousarray(a) for a in (means2d, conics, rgb, opacities, boxes)]
        _in_bands(height, lambda a, b: kernels.accumulate_rows(*arrays, a, b, color, transmittance))
        return color, transmittance
    xs, ys = np.arange(width) + 0.5, np.arange(height) + 0.5
    for k in range(len(means2d)):
        x0, y0, x1, y1 = boxes[k]
        dx, dy = xs[x0:x1] - means2d[k, 0], (ys[y0:y1] - means2d[k, 1])[:, None]
        xx, xy, yy = conics[k]
        alpha = np.minimum(ALPHA_MAX, opacities[k] * np.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy))
        alpha[alpha < ALPHA_MIN] = 0
        behind = transmittance[y0:y1, x0:x1]
        color[y0:y1, x0:x1] += (behind * alpha)[..., None] * rgb[k]
        behind *= 1 - alpha
    return color, transmittance


# --- Triangles --------------------------------------------------------------------------------------------------------


def nearest_triangles(vertices: Float64[np.ndarray, "V 3"], faces: Int32[np.ndarray, "F 3"],
                      intrinsics: tuple[float, float, float, float], near: float, width: int, height: int,
                      accelerate: bool = True) -> tuple[Int32[np.ndarray, "H W"], Float64[np.ndarray, "H W 3"]]:
    """Return, per pixel, the nearest front-facing triangle (-1 for none) and the barycentric weights of its hit.

    The pixel's ray d = ((x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy, 1) meets a triangle of camera-space corners v_i
    where all e_i = (v_j x v_k) . d have the sign of det = v_0 . (v_1 x v_2), which is negative when the corners run
    counter-clockwise as seen; the depth is z = det / (e_0 + e_1 + e_2) and the weights, right in space and not on
    screen, are e_i / (e_0 + e_1 + e_2). So a triangle that crosses the near plane needs no clipping: each pixel
    tests its own z > near. Neighbours share an edge's e up to an exact change of sign, so no pixel falls between.
    Of equally near triangles the first wins.

    Source: Olano and Greer, "Triangle scan conversion using 2D homogeneous coordinates", 1997.

    Args:
        vertices: Camera space (x right, y down, z forward), metres.
        faces: Counter-clockwise seen from outside.
        intrinsics: fx, fy, cx, cy in pixels.
        near: Metres; hits at this depth or nearer are left out.
        width: Pixels.
        height: Pixels.
        accelerate: Use the compiled loop when numba is there.
    """
    fx, fy, cx, cy = intrinsics
    v0, v1, v2 = (vertices[faces[:, i]] for i in range(3))
    edges = np.stack([np.cross(v1, v2), np.cross(v2, v0), np.cross(v0, v1)], axis=1)
    det = np.einsum("fc,fc->f", v0, edges[:, 0])
    corners = vertices[faces]
    depth = corners[..., 2]
    shown = (det < 0) & (depth.max(axis=1) > near)
    whole = depth.min(axis=1) > near
    z = np.where(whole[:, None], depth, 1)
    screen = np.stack([fx * corners[..., 0] / z + cx, fy * corners[..., 1] / z + cy], axis=-1)
    screen = np.clip(screen, -1e6, 1e6)
    everywhere = np.array([0, 0, width, height], np.int32)
    boxes = np.where(whole[:, None], box_of(screen.min(axis=1), screen.max(axis=1), width, height), everywhere)
    shown &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    picks = np.flatnonzero(shown).astype(np.int32)
    edges, det, boxes = edges[picks], det[picks], boxes[picks].astype(np.int32)
    rays_x, rays_y = (np.arange(width) + 0.5 - cx) / fx, (np.arange(height) + 0.5 - cy) / fy

    face = np.full((height, width), -1, np.int32)
    weights, nearest = np.zeros((height, width, 3)), np.full((height, width), np.inf)
    kernels = compiled_kernels() if accelerate else None
    if kernels is not None:
        _in_bands(height, lambda a, b: kernels.cover_rows(
            edges, det, boxes, picks, rays_x, rays_y, near, a, b, face, weights, nearest))
        return face, weights
    for k in range(len(picks)):
        x0, y0, x1, y1 = boxes[k]
        dx, dy = rays_x[x0:x1], rays_y[y0:y1, None]
        e0, e1, e2 = (e[0] * dx + e[1] * dy + e[2] for e in edges[k])
        inside = (e0 <= 0) & (e1 <= 0) & (e2 <= 0)
        total = np.where(inside, e0 + e1 + e2, -1)
        inside &= total < 0
        z = det[k] / np.where(inside, total, -1)
        inside &= (z > near) & (z < nearest[y0:y1, x0:x1])
        nearest[y0:y1, x0:x1][inside] = z[inside]
        face[y0:y1, x0:x1][inside] = picks[k]
        weights[y0:y1, x0:x1][inside] = np.stack([e0, e1, e2], axis=-1)[inside] / total[inside][:, None]
    return face, weights
