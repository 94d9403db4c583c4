"""A template mesh in the layout of FLAME's own: vertex ids of the lip rings, 5118 UV points, the sealed mouth.

The surface is the stand-in head's with FLAME's borders. Its vertices are renumbered so that the outer lip rings have the
ids that the teeth recipe of VHAP and GaussianAvatars names, and it gets a texture layout of our own with FLAME's counts:
head 3962 points (31 of them twice, along a cut up the back), each eye a front disc of 321 and a back disc of 257.
"""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import spsolve

from formats.head_model import HeadModel
from formats.standin.head import standin_head

LIP_UPPER = (1713, 1715, 1716, 1735, 1696, 1694, 1657, 3543, 2774, 2811, 2813, 2850, 2833, 2832, 2830)
LIP_LOWER = (1576, 1577, 1773, 1774, 1795, 1802, 1865, 3503, 2948, 2905, 2898, 2881, 2880, 2713, 2712)
HEAD_VERTICES, BALL_VERTICES = 3931, 546
CUT = 31
"""Vertices of the head with two UV points."""


@dataclass(frozen=True, eq=False)
class Template:
    """Topology and UVs. v grows upward, as in an OBJ; every number has six decimals at most."""

    old_ids: np.ndarray
    """Per vertex its number in the stand-in head."""
    faces: np.ndarray
    """[9976, 3] int64."""
    uvs: np.ndarray
    """[5118, 2] float64; point i belongs to vertex i below 5023, the rest are second points."""
    uv_faces: np.ndarray
    sealed_faces: np.ndarray
    """[10006, 3]: `faces`, then 30 that close the lips."""
    sealed_uvs: np.ndarray
    """[5150, 2]: `uvs`, then the 32 of the patch's island."""
    sealed_uv_faces: np.ndarray
    lip_ring: np.ndarray
    """[32], along the border's direction."""


def base() -> HeadModel:
    """Return the stand-in head that the numbers come from."""
    return standin_head("open-mouth", teeth=False)


def border_loops(faces: np.ndarray) -> list[np.ndarray]:
    """Return the border loops, each in the direction of its faces' edges, shortest first."""
    edges = {(int(f[i]), int(f[(i + 1) % 3])) for f in faces for i in range(3)}
    following = {a: b for a, b in edges if (b, a) not in edges}
    loops = []
    while following:
        loop = [min(following)]
        while (at := following.pop(loop[-1], None)) is not None:
            loop.append(at)
        loops.append(np.array(loop[:-1]))
    return sorted(loops, key=len)


def _renumbering(head: HeadModel) -> np.ndarray:
    """Return per new vertex id the old one: ring vertices swapped onto FLAME's ids."""
    old = np.arange(len(head.v_template))
    for side, targets in (("upper", LIP_UPPER), ("lower", LIP_LOWER)):
        ring = head.regions[f"lip_outside_ring_{side}"]
        # FLAME's ids run from the subject's right to the left.
        if head.v_template[ring[0], 0] > head.v_template[ring[-1], 0]:
            ring = ring[::-1]
        for target, wanted in zip(targets, ring, strict=True):
            at = int(np.flatnonzero(old == wanted)[0])
            old[[target, at]] = old[[at, target]]
    return old


def _patch(ring: np.ndarray) -> np.ndarray:
    """Return 30 triangles over a loop of 32, zigzag, wound against the loop, which is how they join its faces."""
    low, high, made = 0, len(ring) - 1, []
    while high - low > 1:
        made.append((ring[high], ring[low + 1], ring[low]))
        low += 1
        if high - low > 1:
            made.append((ring[high], ring[high - 1], ring[low]))
            high -= 1
    return np.array(made)


def _cut(faces: np.ndarray, points: np.ndarray, neck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return faces with a slit up the back (second points are numbered 5023..) and the ids that were doubled."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) * (1 + 50 * np.abs(points[edges[:, 0], 0]))
    inner = ~np.isin(edges, neck).all(axis=1)
    graph = csr_matrix((lengths[inner], edges[inner].T), shape=(len(points),) * 2)
    start = int(neck[np.argmin(points[neck, 2])])
    goal = int(np.argmax(points[:HEAD_VERTICES, 2] + points[:HEAD_VERTICES, 1] - np.abs(points[:HEAD_VERTICES, 0])))
    before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)[1]
    path = [goal]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    path = path[::-1][:CUT + 1]
    slit = faces.copy()
    for k, vertex in enumerate(path[:-1]):
        barrier = {path[k + 1]} | ({path[k - 1]} if k else set())
        fan = {int(f): set(faces[f].tolist()) - {vertex} for f in np.flatnonzero((faces == vertex).any(axis=1))}
        first = next(f for f in fan if any(tuple(np.roll(faces[f], -r)[:2]) == (vertex, path[k + 1]) for r in range(3)))
        side, queue = {first}, [first]
        while queue:
            at = queue.pop()
            for other, rim in fan.items():
                if other not in side and (rim & fan[at]) - barrier:
                    side.add(other)
                    queue.append(other)
        rows = np.array(sorted(side))
        slit[rows] = np.where(faces[rows] == vertex, len(points) + k, slit[rows])
    return slit, np.array(path[:-1])


def _disc(faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return a one-to-one map of a disc-like mesh into the unit circle (Floater 2003, mean value weights), [n, 2]."""
    loop = border_loops(faces)[-1]
    steps = np.sqrt(np.linalg.norm(points[loop] - points[np.roll(loop, 1)], axis=1))
    angles = 2 * np.pi * np.cumsum(steps) / steps.sum()
    count, rows, columns, values = len(points), [], [], []
    for corner in range(3):
        a, b, c = (faces[:, (corner + i) % 3] for i in range(3))
        ab, ac = points[b] - points[a], points[c] - points[a]
        lb, lc = np.linalg.norm(ab, axis=1), np.linalg.norm(ac, axis=1)
        cosine = np.clip((ab * ac).sum(axis=1) / (lb * lc), -0.999, 0.999)
        half = np.sqrt((1 - cosine) / (1 + cosine))
        for other, length in ((b, lb), (c, lc)):
            rows.append(a)
            columns.append(other)
            values.append(half / length)
    weights = csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count))
    used = np.unique(faces)
    inner = np.setdiff1d(used, loop)
    where = np.zeros((count, 2))
    where[loop] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    total = np.asarray(weights.sum(axis=1)).ravel()
    matrix = csr_matrix((total[inner], (np.arange(len(inner)),) * 2)) - weights[inner][:, inner]
    where[inner] = np.asarray(spsolve(matrix.tocsc(), weights[inner][:, loop] @ where[loop]))
    return where


def _ball(points: np.ndarray, faces: np.ndarray, first: int, extra: int, centre: tuple[float, float], back: tuple[float, float],
          uvs: np.ndarray, uv_faces: np.ndarray) -> None:
    """Lay out one eyeball: a front disc of 321 points and a back disc of 257."""
    ids = np.arange(first, first + BALL_VERTICES)
    p = points[ids] - points[ids].mean(axis=0)
    polar = np.arccos(np.clip(p[:, 2] / np.linalg.norm(p, axis=1), -1, 1))
    # Turned a little: spokes at 45 degrees would meet texel centres exactly, and no raster rule is about that.
    around = np.arctan2(p[:, 1], p[:, 0]) + 0.1234
    order = ids[np.argsort(polar, kind="stable")]
    front, shared, rear = order[:321], order[289:321], order[289:]
    at = dict(zip(ids.tolist(), range(BALL_VERTICES), strict=True))
    for group, place, radius, mirror in ((front, centre, 0.064, 1), (rear, back, 0.03, -1)):
        k = np.array([at[int(i)] for i in group])
        r = (polar[k] if mirror > 0 else np.pi - polar[k])
        r = radius * r / r.max()
        target = group.copy()
        if mirror < 0:
            second = {int(v): extra + n for n, v in enumerate(shared)}
            target = np.array([second.get(int(v), int(v)) for v in group])
            rows = np.flatnonzero((faces >= first).all(axis=1) & (faces < first + BALL_VERTICES).all(axis=1)
                                  & ~np.isin(faces, front).all(axis=1))
            uv_faces[rows] = np.vectorize(lambda v, s=second: s.get(int(v), int(v)))(faces[rows])
        uvs[target] = np.stack([place[0] + mirror * r * np.cos(around[k]), place[1] + r * np.sin(around[k])], axis=1)


@functools.cache
def template() -> Template:
    """Return the template; made once."""
    head = base()
    old = _renumbering(head)
    new = np.empty_like(old)
    new[old] = np.arange(len(old))
    faces, points = new[head.faces].astype(np.int64), head.v_template[old].astype(np.float64)
    neck, lips = border_loops(faces)
    patch = _patch(lips)
    skin = (faces < HEAD_VERTICES).all(axis=1)
    slit, doubled = _cut(np.concatenate([faces[skin], patch]), points, neck)
    where = _disc(slit, np.concatenate([points, points[doubled]]))
    uvs, uv_faces = np.zeros((5023 + 95, 2)), faces.copy()
    uv_faces[skin] = slit[:-30]
    head_points = np.r_[0:HEAD_VERTICES, 5023:5023 + CUT]
    uvs[head_points] = np.array([0.5, 0.465]) + 0.45 * where[head_points]
    _ball(points, faces, 3931, 5023 + CUT, (0.9253, 0.9247), (0.9597, 0.0403), uvs, uv_faces)
    _ball(points, faces, 4477, 5023 + CUT + 32, (0.0747, 0.9247), (0.0403, 0.0403), uvs, uv_faces)
    angle = np.pi / 32 - 2 * np.pi * np.arange(32) / 32
    island = np.stack([0.5 + 0.09 * np.cos(angle), 0.965 + 0.028 * np.sin(angle)], axis=1)
    patch_uv = 5118 + np.vectorize({int(v): n for n, v in enumerate(lips)}.get)(patch)
    uvs, island = uvs.round(6), island.round(6)
    return Template(old, faces, uvs, uv_faces, np.concatenate([faces, patch]), np.concatenate([uvs, island]),
                    np.concatenate([uv_faces, patch_uv]), lips)
