"""Points on the stand-in's neutral mesh, with what painters need to know about each. Millimetres."""

import functools
from dataclasses import dataclass

import numpy as np

from formats.deform import vertex_normals
from formats.rotations import normalize
from formats.standin import assembly
from formats.standin.assembly import Assembly

GOLDEN_PLANE = np.array([0.7548776662466927, 0.5698402909980532])
"""Steps of the R2 low-discrepancy sequence (Roberts 2018)."""


@dataclass(frozen=True)
class Points:
    """P points on the neutral mesh. Millimetres, the eyes' midpoint at the origin."""

    face: np.ndarray
    weights: np.ndarray
    """Barycentric, [P, 3]."""
    at: np.ndarray
    """Positions, [P, 3]."""
    normal: np.ndarray
    """Smooth unit normals, [P, 3]."""
    part: np.ndarray
    """`assembly`'s part of the triangle: the innermost part among its corners."""
    ring: np.ndarray
    """Rings into the part, between vertices; 0 on the opening's loop and on skin."""
    eye_ring: np.ndarray
    """Rings of skin from the nearer eye's lid edge."""
    mouth_ring: np.ndarray
    """Rings of skin from the lip line."""
    lip: np.ndarray
    """1 above the mouth, -1 below."""

    def __len__(self) -> int:
        return len(self.face)

    def take(self, pick: np.ndarray) -> "Points":
        """Return the points that `pick` selects, a mask or indices."""
        return Points(*(getattr(self, name)[pick] for name in self.__dataclass_fields__))


def face_parts(mesh: Assembly) -> np.ndarray:
    """Return `assembly`'s part of every triangle."""
    return mesh.part[mesh.faces].max(axis=1)


def interpolate(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return per-vertex `values` [V] or [V, C] inside triangles with vertex ids `corners` [P, 3], float32."""
    v, w = values.astype(np.float32), weights if values.ndim == 1 else weights[..., None]
    return v[corners[:, 0]] * w[:, 0] + v[corners[:, 1]] * w[:, 1] + v[corners[:, 2]] * w[:, 2]


def points_at(mesh: Assembly, face: np.ndarray, weights: np.ndarray) -> Points:
    """Return the points on triangles `face` [P] at barycentric `weights` [P, 3]."""
    w = weights.astype(np.float32)

    def blend(values: np.ndarray) -> np.ndarray:
        return interpolate(values, mesh.faces[face], w)

    eye = np.minimum(mesh.opening_ring["left_eye"], mesh.opening_ring["right_eye"])
    grown = (mesh.part == assembly.SOCKET) | (mesh.part == assembly.CAVITY)
    normals = vertex_normals(mesh.points, mesh.faces)
    lip = mesh.lip.astype(float)
    return Points(face, w, blend(mesh.points), normalize(blend(normals)), face_parts(mesh)[face], blend(mesh.ring),
                  blend(np.where(grown, 0, eye)), blend(np.where(grown, 0, mesh.opening_ring["mouth"])), blend(lip))


WELL_SPREAD = 24
"""Up to so many points in one triangle are placed by `spread`; beyond it their clumping is too small to matter."""


@functools.cache
def spread() -> np.ndarray:
    """Return barycentric places of 1, 2, ... `WELL_SPREAD` points spread evenly over a triangle, one after the other.

    The first n (n - 1) / 2 rows are for fewer than n points. Lloyd's iteration on a fine lattice of an equilateral
    triangle: points keep half their spacing from the edges, so neighbouring triangles' points do not crowd.
    """
    rng = np.random.default_rng(3)
    lattice = rng.dirichlet((1, 1, 1), 900)
    corners = np.array([(0, 0), (1, 0), (0.5, 0.75**0.5)])
    flat, tables = lattice @ corners, []
    for n in range(1, WELL_SPREAD + 1):
        sites = flat[:n].copy()
        for _ in range(25):
            nearest = np.argmin((sites**2).sum(axis=1) - 2 * flat @ sites.T, axis=1)
            size = np.bincount(nearest, minlength=n)
            sums = np.stack([np.bincount(nearest, flat[:, c], n) for c in range(2)], axis=1)
            sites = np.where(size[:, None] > 0, sums / np.maximum(size, 1)[:, None], sites)
        second = sites[:, 1] / corners[2, 1]
        first = sites[:, 0] - 0.5 * second
        tables.append(np.stack([1 - first - second, first, second], axis=1))
    return np.concatenate(tables)


def nearby_order(points: np.ndarray) -> np.ndarray:
    """Return the order of points [P, 3] along a Morton curve: neighbours in it are neighbours in space."""
    scaled = points - points.min(axis=0)
    cell = (scaled / max(scaled.max(), 1e-9) * 1023).astype(np.int64)
    code = np.zeros(len(points), np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= (cell[:, axis] >> bit & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def scatter(points: np.ndarray, faces: np.ndarray, weight: np.ndarray, count: int,
            rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` even samples over triangles as (face [count], barycentric [count, 3]).

    Walking from face to face through space, what is left over from one face's share of `weight` [F] goes to the next.
    """
    order = nearby_order(points[faces].mean(axis=1))
    total = np.cumsum(weight[order]) * (count / weight.sum())
    total[-1] = count
    # `total` ends at `count` exactly, so with a start in 0..1 exactly `count` whole numbers are passed.
    start = rng.uniform(0.01, 0.99)
    per_face = np.diff(np.concatenate([[0], np.floor(total + start).astype(int)]))
    face = np.repeat(order, per_face)
    held = np.repeat(per_face, per_face)
    rank = np.arange(count) - np.repeat(np.cumsum(per_face) - per_face, per_face)
    few = np.minimum(held, WELL_SPREAD)
    weights = spread()[np.where(held <= WELL_SPREAD, few * (few - 1) // 2 + rank, 0)]
    # The same pattern in every triangle would show: each starts at another corner.
    turn = rng.integers(0, 3, len(faces))[face]
    weights = np.take_along_axis(weights, (np.arange(3) + turn[:, None]) % 3, axis=1)
    r = np.mod(rng.random((len(faces), 2))[face] + (rank[:, None] + 1) * GOLDEN_PLANE, 1)
    r = np.where(r.sum(axis=1, keepdims=True) > 1, 1 - r, r)
    many = np.stack([1 - r.sum(axis=1), r[:, 0], r[:, 1]], axis=1)
    return face, np.where((held <= WELL_SPREAD)[:, None], weights, many)


def double_areas(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return twice the area of each triangle, [F]."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1)
