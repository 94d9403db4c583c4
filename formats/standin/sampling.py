"""Points on the stand-in's neutral mesh, with what painters need to know about each. Millimetres."""

from dataclasses import dataclass

import numpy as np

from formats.deform import vertex_normals
from formats.rotations import normalize
from formats.standin import assembly
from formats.standin.assembly import Assembly


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


def points_at(mesh: Assembly, face: np.ndarray, weights: np.ndarray) -> Points:
    """Return the points on triangles `face` [P] at barycentric `weights` [P, 3]."""
    corners = mesh.faces[face]
    w = weights.astype(np.float32)

    def blend(values: np.ndarray) -> np.ndarray:
        columns = [np.take(values.astype(np.float32), corners[:, k], axis=0) for k in range(3)]
        return sum(c * (w[:, k, None] if c.ndim == 2 else w[:, k]) for k, c in enumerate(columns))

    eye = np.minimum(mesh.opening_ring["left_eye"], mesh.opening_ring["right_eye"])
    grown = (mesh.part == assembly.SOCKET) | (mesh.part == assembly.CAVITY)
    normals = vertex_normals(mesh.points, mesh.faces)
    lip = mesh.lip.astype(float)
    return Points(face, w, blend(mesh.points), normalize(blend(normals)), face_parts(mesh)[face], blend(mesh.ring),
                  blend(np.where(grown, 0, eye)), blend(np.where(grown, 0, mesh.opening_ring["mouth"])), blend(lip))


def scatter(weight: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` even samples over triangles as (face [count], barycentric [count, 3]).

    Triangles get shares of `weight` [F] to within one sample; inside each, points follow the R2 low-discrepancy
    sequence (Roberts 2018) folded onto the triangle, with a random start, so they clump less than random ones.
    """
    total = np.cumsum(weight) * (count / weight.sum())
    edges = np.floor(total + rng.random())
    per_face = np.diff(np.concatenate([[0], edges])).astype(int)
    short = count - per_face.sum()
    per_face[np.argmax(per_face)] += short
    face = np.repeat(np.arange(len(weight)), per_face)
    rank = np.arange(count) - np.repeat(np.cumsum(per_face) - per_face, per_face)
    start = rng.random((len(weight), 2))[face]
    r = np.mod(start + (rank[:, None] + 1) * np.array([0.7548776662466927, 0.5698402909980532]), 1)
    fold = r.sum(axis=1) > 1
    r = np.where(fold[:, None], 1 - r, r)
    return face, np.stack([1 - r.sum(axis=1), r[:, 0], r[:, 1]], axis=1)


def double_areas(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return twice the area of each triangle, [F]."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1)
