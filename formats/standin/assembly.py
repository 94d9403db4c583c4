"""The stand-in's whole mesh: grid, crown, sockets, ears, mouth, eyeballs and teeth in FLAME's vertex order."""

import functools
from dataclasses import dataclass

import numpy as np

from formats.standin import grid as grids
from formats.standin import parts, surface
from formats.standin.features import displacement, shape_lids
from formats.standin.grid import HALF, Grid

SKIN, SOCKET, EAR, CAVITY, BALL, TEETH = range(6)
SKIN_VERTICES, BALL_VERTICES = 3931, 546
"""FLAME's: 0..3930 head, 3931..4476 left eyeball, 4477..5022 right eyeball."""
FAR = 99.0
"""Ring distance of vertices that an opening does not know."""


@dataclass(frozen=True)
class Assembly:
    """The neutral mesh in millimetres, and what each vertex is. V vertices, F faces."""

    points: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    """One of SKIN, SOCKET, EAR, CAVITY, BALL, TEETH per vertex."""
    ring: np.ndarray
    """Within a part: the ring from the opening's loop (1 is next to it) or from the pupil; 0 for skin."""
    slot: np.ndarray
    """Within a ring: the place around it, from +X (sockets, cavity, eyeballs) or from the back (ears)."""
    chart: np.ndarray
    """(longitude, nominal height) of skin vertices before the ears' warp."""
    opening_ring: dict[str, np.ndarray]
    """Per opening: rings of skin vertices from its loop, `FAR` elsewhere."""
    loops: dict[str, np.ndarray]
    side: np.ndarray
    """1 for the subject's left, -1 for the right, 0 on the mid-line."""
    mirror: np.ndarray
    """The id of each vertex's mirror image."""
    lip: np.ndarray
    """1 on the upper side of the mouth, -1 on the lower, 0 at the corners; for all of skin and cavity."""
    neck_ring: np.ndarray
    """The neck's border in order."""
    grid: Grid
    crown: int
    """The crown's pole."""


@functools.cache
def assemble(open_mouth: bool, teeth: bool) -> Assembly:
    """Return the mesh; `open_mouth` leaves FLAME's own two borders instead of a cavity."""
    builder = _Builder(grids.build(len(grids.EXTRA_ROWS) if open_mouth else 0), halve_neck=open_mouth)
    loops = builder.grid.loops
    base = builder.skin_points()
    grown = {}
    for side in (1, -1):
        name = "left" if side > 0 else "right"
        flip = np.array([side, 1, 1])
        for part, maker, opening in ((SOCKET, parts.socket, "eye"), (EAR, parts.ear, "ear")):
            # The right one is the left one's mirror image, loop included: same slots, opposite turn.
            loop = loops[f"left_{opening}"]
            rings, pole = maker(base[loop])
            grown[name, part] = (loops[f"{name}_{opening}"] if side > 0 else builder.mirror_grid(loop), part,
                                 rings * flip, pole * flip, side)
    jobs = [grown[key] for key in (("left", SOCKET), ("right", SOCKET), ("left", EAR), ("right", EAR))]
    if not open_mouth:
        jobs.append((loops["mouth"], CAVITY, *parts.cavity(base[loops["mouth"]]), 1))
    grown_count = sum(rings.shape[0] * rings.shape[1] + 1 for _, _, rings, _, _ in jobs)
    builder.split_to(SKIN_VERTICES - grown_count)
    builder.start()
    for job in jobs:
        builder.add_rings(*job)
    for side in (1, -1):
        builder.add_ball(side)
    if teeth:
        builder.add_teeth()
    return builder.finish()


class _Builder:
    """Collects vertices and faces; private to this module."""

    def __init__(self, grid: Grid, halve_neck: bool) -> None:
        self.grid = grid
        self.angle, self.height, self.chart = grid.angle, grid.height, grid.chart
        self.rings = dict(grid.rings)
        rows, columns = grid.address.shape
        self.crown = len(self.angle)
        top = grid.address[0]
        fan = np.stack([np.full(columns, self.crown), top, np.roll(top, -1)], axis=1)
        self.faces = np.concatenate([grid.faces, fan])
        self.mirror = np.append(grid.address[grid.row, -grid.column], self.crown)
        self._append(np.zeros(1), np.array([surface.CROWN[1]]))
        self.neck_ring = grid.address[-1]
        if halve_neck:
            self._halve_neck()

    def _append(self, angle: np.ndarray, height: np.ndarray, chart: np.ndarray | None = None,
                rings: dict[str, np.ndarray] | None = None) -> np.ndarray:
        start = len(self.angle)
        self.angle, self.height = np.append(self.angle, angle), np.append(self.height, height)
        chart = np.stack([angle, height], axis=1) if chart is None else chart
        self.chart = np.concatenate([self.chart, chart])
        for name in self.rings:
            self.rings[name] = np.append(self.rings[name], np.full(len(angle), FAR) if rings is None else rings[name])
        return np.arange(start, len(self.angle))

    def _halve_neck(self) -> None:
        """Add a last ring of every second column: FLAME's neck ends in 30 edges."""
        ring = self.neck_ring
        below = self._append(self.angle[ring[::2]], np.full(HALF, self.height[ring].min() - 7.0))
        following = np.roll(below, -1)
        self.faces = np.concatenate([
            self.faces, np.stack([ring[::2], below, ring[1::2]], 1), np.stack([below, following, ring[1::2]], 1),
            np.stack([ring[1::2], following, np.roll(ring, -2)[::2]], 1)])
        self.mirror = np.append(self.mirror, below[-np.arange(HALF) % HALF])
        self.neck_ring = below

    def mirror_grid(self, ids: np.ndarray) -> np.ndarray:
        return self.mirror[ids]

    def skin_points(self) -> np.ndarray:
        """Return the grid's vertices (with crown and splits) on the featured head."""
        p = surface.position(self.angle, self.height)
        p[self.crown] = surface.CROWN
        p = p + displacement(p)
        for side in (1, -1):
            p = shape_lids(p, self.rings["left_eye" if side > 0 else "right_eye"], side)
        return p

    def split_to(self, count: int) -> None:
        """Split the largest plain triangles into three, in mirror pairs, until there are `count` skin vertices.

        A split adds one vertex and two faces, so FLAME's face count comes out with its vertex count.
        """
        need = count - len(self.angle)
        assert need >= 0, f"the grid has {-need} vertices too many"
        if need % 2:
            self._split_midline()
            need -= 1
        points = self.skin_points()
        near = np.min([self.rings[name] for name in self.rings], axis=0) <= 2
        edge = np.abs(np.abs(self.chart[:, 0]) - np.pi) < 1e-6
        blocked = near | edge
        blocked[self.crown] = blocked[self.neck_ring] = True
        a, b, c = (points[self.faces[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        middle_x = (a + b + c)[:, 0]
        usable = ~blocked[self.faces].any(axis=1) & (middle_x > 0)
        order = np.argsort(np.where(usable, -area, np.inf), kind="stable")
        where = {tuple(sorted(face)): i for i, face in enumerate(self.faces.tolist())}
        chosen, used = [], set()
        for i in order:
            # Neighbours of a split triangle are left alone, so that the splits spread out.
            if len(chosen) == need // 2:
                break
            if usable[i] and not used & set(self.faces[i].tolist()):
                chosen.append(i)
                used |= set(self.faces[i].tolist())
        assert len(chosen) == need // 2, "not enough triangles to split"
        for i in chosen:
            twin = where[tuple(sorted(self.mirror[self.faces[i]].tolist()))]
            first, second = self._split(i), self._split(twin)
            self.mirror = np.append(self.mirror, [second, first])

    def _split(self, i: int) -> int:
        face = self.faces[i]
        rings = {name: value[face].mean(keepdims=True) for name, value in self.rings.items()}
        middle = self._append(self.angle[face].mean(keepdims=True), self.height[face].mean(keepdims=True),
                              self.chart[face].mean(axis=0, keepdims=True), rings)[0]
        a, b, c = face
        self.faces = np.concatenate([self.faces, [(b, c, middle), (c, a, middle)]])
        self.faces[i] = (a, b, middle)
        return int(middle)

    def _split_midline(self) -> None:
        """Split one edge on the mid-line in front of the neck: a single vertex that is its own mirror image."""
        top, bottom = self.grid.address[-3, 0], self.grid.address[-2, 0]
        middle = self._append(np.zeros(1), (self.height[top] + self.height[bottom]).reshape(1) / 2)[0]
        self.mirror = np.append(self.mirror, middle)
        both = (self.faces == top).any(axis=1) & (self.faces == bottom).any(axis=1)
        upper, lower = self.faces[both].copy(), self.faces[both].copy()
        upper[upper == bottom] = middle
        lower[lower == top] = middle
        self.faces = np.concatenate([self.faces[~both], upper, lower])

    def start(self) -> None:
        """Freeze the skin; parts are appended from here on."""
        self.points = [self.skin_points()]
        count = len(self.points[0])
        self.face_list, self.mirrors = [self.faces], [self.mirror]
        self.parts, self.ring_list, self.slot_list = [np.full(count, SKIN)], [np.zeros(count)], [np.zeros(count)]
        self.lip = np.where(self.points[0][:, 1] > grids.mouth_line(self.points[0][:, 0]), 1, -1)
        self.lip[self.grid.loops["mouth"][[0, 16]]] = 0
        self.lips = [self.lip]
        self.total = count
        self.pending: dict[int, tuple[int, int]] = {}

    def _extend(self, points: np.ndarray, part: int, ring: np.ndarray, slot: np.ndarray, lip: np.ndarray,
                mirror: np.ndarray) -> int:
        start = self.total
        for store, value in ((self.points, points), (self.parts, np.full(len(points), part)), (self.ring_list, ring),
                             (self.slot_list, slot), (self.lips, lip), (self.mirrors, mirror)):
            store.append(value)
        self.total += len(points)
        return start

    def add_rings(self, loop: np.ndarray, part: int, rings: np.ndarray, pole: np.ndarray, side: int) -> None:
        count, slots = rings.shape[:2]
        size = count * slots + 1
        ids = np.concatenate([loop[None], self.total + np.arange(count * slots).reshape(count, slots)])
        if part == CAVITY:
            turned = np.concatenate([(self.total + np.arange(count)[:, None] * slots
                                      + (slots // 2 - np.arange(slots)) % slots).ravel(), [self.total + size - 1]])
            lip = np.append(np.tile(np.sign(np.round(np.sin(2 * np.pi * np.arange(slots) / slots), 9)), count), 0)
        else:
            # Left and right parts come in the order left socket, right socket, left ear, right ear.
            turned = np.arange(self.total, self.total + size) + side * size
            lip = np.ones(size)
        self._extend(np.concatenate([rings.reshape(-1, 3), pole[None]]), part,
                     np.append(np.repeat(np.arange(1, count + 1), slots), count + 1),
                     np.append(np.tile(np.arange(slots), count), 0), lip, turned)
        # Diagonals: mirrored about the mouth's middle; sockets and ears mirror as a whole.
        crossing = (np.arange(slots) < slots // 4) | (np.arange(slots) >= 3 * slots // 4)
        if part != CAVITY:
            crossing[:] = True
        faces = []
        for outer, inner in zip(ids[:-1], ids[1:], strict=True):
            faces.append(_band(outer, inner, crossing))
        last, pole_id = ids[-1], self.total - 1
        faces.append(np.stack([last, np.roll(last, -1), np.full(slots, pole_id)], axis=1))
        self._faces(np.concatenate(faces), side)

    def _faces(self, faces: np.ndarray, side: int) -> None:
        self.face_list.append(faces if side > 0 else faces[:, ::-1])

    def add_ball(self, side: int) -> None:
        front, rings, back = parts.eyeball()
        count, slots = rings.shape[:2]
        points = np.concatenate([front[None], rings.reshape(-1, 3), back[None]]) * (side, 1, 1)
        start = self._extend(points, BALL, np.concatenate([[0], np.repeat(np.arange(1, count + 1), slots), [count + 1]]),
                             np.concatenate([[0], np.tile(np.arange(slots), count), [0]]), np.ones(len(points)),
                             np.arange(self.total, self.total + len(points)) + side * len(points))
        assert len(points) == BALL_VERTICES
        ids = start + 1 + np.arange(count * slots).reshape(count, slots)
        every = np.ones(slots, bool)
        faces = [np.stack([np.full(slots, start), ids[0], np.roll(ids[0], -1)], axis=1)]
        faces += [_band(outer, inner, every) for inner, outer in zip(ids[:-1], ids[1:], strict=True)]
        faces.append(np.stack([np.full(slots, start + len(points) - 1), np.roll(ids[-1], -1), ids[-1]], axis=1))
        self._faces(np.concatenate(faces), side)

    def add_teeth(self) -> None:
        rows = parts.teeth()
        count = parts.TEETH_COLUMNS
        ring = np.repeat(np.arange(8), count)
        slot = np.tile(np.arange(count), 8)
        upper = np.isin(ring, (0, 2, 4, 5))
        start = self._extend(rows.reshape(-1, 3), TEETH, ring, slot, np.where(upper, 1, -1),
                             self.total + ring * count + (count - 1 - slot))
        ids = start + np.arange(8 * count).reshape(8, count)
        faces = []
        # Columns run towards -X, so a strip from top to bottom is wound with its first row on the outside's right.
        for top, bottom in ((0, 2), (2, 5), (5, 4), (3, 1), (7, 3), (6, 7)):
            a, b, c, d = ids[top, 1:], ids[bottom, 1:], ids[bottom, :-1], ids[top, :-1]
            left = (np.arange(count - 1) < count // 2)[:, None]
            faces.append(np.where(left, np.stack([a, b, c], 1), np.stack([a, b, d], 1)))
            faces.append(np.where(left, np.stack([a, c, d], 1), np.stack([b, c, d], 1)))
        self._faces(np.concatenate(faces), 1)

    def finish(self) -> Assembly:
        points, mirror = np.concatenate(self.points), np.concatenate(self.mirrors).astype(int)
        # Exact mirror symmetry, to the last bit: rounding differs between the two sides.
        points = (points + points[mirror] * (-1, 1, 1)) / 2
        skin = len(self.angle)
        chart = np.zeros((self.total, 2))
        chart[:skin] = self.chart
        rings = {}
        for name, value in self.rings.items():
            rings[name] = np.full(self.total, FAR)
            rings[name][:skin] = value
        side = np.sign(np.where(np.abs(points[:, 0]) < 1e-9, 0, points[:, 0])).astype(int)
        return Assembly(points, np.concatenate(self.face_list), np.concatenate(self.parts).astype(int),
                        np.concatenate(self.ring_list).astype(int), np.concatenate(self.slot_list).astype(int), chart,
                        rings, self.grid.loops, side, mirror, np.concatenate(self.lips).astype(int), self.neck_ring,
                        self.grid, self.crown)


def _band(outer: np.ndarray, inner: np.ndarray, crossing: np.ndarray) -> np.ndarray:
    """Return triangles between two closed rings that run counter-clockwise, `outer` around `inner`."""
    a, b, c, d = outer, np.roll(outer, -1), np.roll(inner, -1), inner
    cross = crossing[:, None]
    return np.concatenate([np.where(cross, np.stack([a, b, c], 1), np.stack([a, b, d], 1)),
                           np.where(cross, np.stack([a, c, d], 1), np.stack([b, c, d], 1))])
