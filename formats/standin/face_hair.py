"""The stand-in's eyebrows and lashes as fine Gaussians. Lashes stand on the lids' edges, so they follow a blink."""

import numpy as np

from formats.rotations import normalize
from formats.standin import assembly
from formats.standin.features import EYE_CENTER
from formats.standin.paint import tone
from formats.standin.pieces import Pieces, axes_from, join
from formats.standin.regions import BROW
from formats.standin.sampling import double_areas, face_parts, points_at, scatter
from formats.standin.skin import HAIR, brow_coordinates, brow_density

LASH_DARK = HAIR * 0.32
USUAL = 700
"""Gaussians of a brow pair or a set of lashes; fewer are drawn stouter."""


def eyebrows(count: int, seed: int) -> Pieces:
    """Return `count` Gaussians of eyebrow, two per hair (an odd one is a shorter hair)."""
    rng = np.random.default_rng(seed + 900)
    mesh = assembly.assemble(False, True)
    middle = mesh.points[mesh.faces].mean(axis=1)
    near = ((face_parts(mesh) == assembly.SKIN) & (np.abs(middle[:, 1] - BROW[:, 1].mean()) < 12) & (middle[:, 2] > 30)
            & (np.abs(middle[:, 0]) < 54))
    hairs = (count + 1) // 2
    face, weights = scatter(mesh.points, mesh.faces, double_areas(mesh.points, mesh.faces) * near, hairs * 12, rng)
    points = points_at(mesh, face, weights)
    along, across = brow_coordinates(points)
    rank = rng.random(len(points)) / np.maximum(brow_density(along, across / 0.9), 1e-9)
    root = points.take(np.sort(np.argsort(rank, kind="stable")[:hairs]))
    along, across = brow_coordinates(root)
    side = np.sign(root.at[:, 0])
    # Inner hairs stand, middle ones lean outwards, those of the tail lie down along it.
    lean = np.interp(along, [0, 0.12, 0.4, 0.75, 1], [0.30, 0.75, 1.15, 1.55, 1.85]) + 0.30 * across
    lean = lean + rng.normal(0, 0.16, hairs)
    d = np.stack([side * np.sin(lean), np.cos(lean), np.zeros(hairs)], axis=1)
    n = root.normal.astype(np.float64)
    d = normalize(d - n * np.sum(d * n, axis=1, keepdims=True) + 0.10 * n)
    length = np.interp(along, [0, 0.3, 0.8, 1], [4.6, 6.2, 5.4, 4.0]) * rng.uniform(0.75, 1.15, hairs)
    rgb = tone(HAIR * rng.uniform(0.65, 1.2, (hairs, 1)))
    stout = np.sqrt(max(USUAL / max(count, 1), 1))
    parts = []
    for k, (place, reach, width, opacity) in enumerate(((0.28, 0.26, 0.19, 0.55), (0.72, 0.24, 0.12, 0.40))):
        at = root.at + d * (length * place)[:, None] + n * (0.25 + 0.25 * k)
        parts.append(_needles(root.face, root.weights, at, d, n, length * reach, width * stout, rgb, opacity))
    return _cut(join(parts), count)


def lashes(count: int, seed: int) -> Pieces:
    """Return `count` Gaussians of lashes on both eyes: three per upper lash, two per lower one."""
    rng = np.random.default_rng(seed + 901)
    each = count // 2
    low = each // 8
    high = (each - 2 * low) // 3
    parts = []
    for side in (1, -1):
        parts += [_lash_row(high, side, True, rng), _lash_row(low, side, False, rng)]
    made = join(parts)
    missing = count - len(made)
    return made if missing == 0 else join([made, _lash_row(missing, 1, False, rng, 1)])


def _lash_row(count: int, side: int, upper: bool, rng: np.random.Generator, segments: int | None = None) -> Pieces:
    mesh = assembly.assemble(False, True)
    loop = mesh.loops["left_eye"]
    slots = len(loop)
    loop = loop if side > 0 else mesh.mirror[loop]
    chain = loop[:slots // 2 + 1] if upper else loop[np.r_[slots // 2:slots, 0]]
    # From the outer corner to the inner one.
    chain = chain if upper else chain[::-1]
    t = (np.arange(count) + rng.uniform(0.2, 0.8, count)) / max(count, 1)
    t = 0.05 + t * (0.84 if upper else 0.76)
    spot = t * (len(chain) - 1)
    first = np.minimum(spot.astype(int), len(chain) - 2)
    f = spot - first
    a, b = chain[first], chain[first + 1]
    face, weights = _edge_faces(mesh.faces, face_parts(mesh) == assembly.SKIN, a, b, f)
    at = mesh.points[a] * (1 - f)[:, None] + mesh.points[b] * f[:, None]
    out = normalize(at - EYE_CENTER * (side, 1, 1))
    fan = (0.62 - t) * 1.05 + rng.normal(0, 0.08, count)
    d0 = normalize(out * (0.95 if upper else 0.7) + np.stack([side * fan * 0.7, np.full(count, 0.1 if upper else -0.5),
                                                             np.zeros(count)], axis=1))
    envelope = np.interp(t, [0.05, 0.22, 0.5, 0.9], [0.55, 0.95, 1.0, 0.5])
    length = (5.6 if upper else 2.6) * envelope * rng.uniform(0.85, 1.1, count)
    curl = np.stack([side * fan * 0.55, np.full(count, 1.25 if upper else -0.7), np.full(count, -0.1)], axis=1)
    stout = np.sqrt(max(USUAL / 7 / max(count, 1), 1))
    segments = segments or (3 if upper else 2)
    p, parts = at + out * 0.15, []
    for k in range(segments):
        d = normalize(d0 + curl * ((k + 0.5) / segments) ** 1.2)
        step = length / segments
        parts.append(_needles(face, weights, p + d * (step / 2)[:, None], d, out, step * 0.44,
                              stout * (0.13, 0.10, 0.07)[k], np.broadcast_to(tone(LASH_DARK), (count, 3)),
                              (0.50, 0.34, 0.20)[k] * (1 if upper else 0.30)))
        p = p + d * step[:, None]
    return join(parts)


def _edge_faces(faces: np.ndarray, usable: np.ndarray, a: np.ndarray, b: np.ndarray,
                f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each edge (a, b) a usable face beside it, and the barycentric place a fraction `f` along it."""
    where = {}
    for i in np.flatnonzero(usable & (np.isin(faces, a) | np.isin(faces, b)).any(axis=1)):
        for k in range(3):
            where[tuple(sorted((int(faces[i, k]), int(faces[i, (k + 1) % 3]))))] = int(i)
    face = np.array([where[tuple(sorted((int(i), int(j))))] for i, j in zip(a, b, strict=True)], dtype=int)
    weights = (faces[face] == a[:, None]) * (1 - f)[:, None] + (faces[face] == b[:, None]) * f[:, None]
    return face, weights


def _needles(face: np.ndarray, weights: np.ndarray, at: np.ndarray, along: np.ndarray, normal: np.ndarray,
             half: np.ndarray, width: float, rgb: np.ndarray, opacity: float) -> Pieces:
    thin = np.full(len(face), width)
    return Pieces(face, weights, at, axes_from(along, normal), np.stack([half, thin, thin], axis=1), rgb,
                  np.full(len(face), opacity))


def _cut(pieces: Pieces, count: int) -> Pieces:
    return Pieces(*(getattr(pieces, name)[:count] for name in Pieces.__dataclass_fields__))
