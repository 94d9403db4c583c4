"""What makes skin and eyes particular, finer than a texture of 128 texels: freckles, pores, moles, stubble, iris fibers.

Each is a Gaussian of its own on top of the surface. A texel of a 128 map is about 1.8 mm on the face; these are 0.1 to
0.9 mm wide. Millimetres.
"""

from collections.abc import Callable

import numpy as np

from formats.captures.people import Person, linear
from formats.rotations import normalize
from formats.standin import assembly, eyes, skin
from formats.standin.assembly import Assembly
from formats.standin.features import EYE_CENTER
from formats.standin.paint import tone
from formats.standin.pieces import Pieces, axes_flat, axes_from, join
from formats.standin.sampling import Points, double_areas, face_parts, points_at, scatter
from formats.standin.surface import smoothstep

PORES, FRECKLES, MOLES, STUBBLE, FIBERS = 0.045, 0.028, 9, 0.05, 0.012
"""Shares of all Gaussians at full strength; moles are counted."""
FRECKLED = (((26, -24, 74), (18, 12, 26), 1.0), ((0, -22, 96), (12, 12, 20), 0.9), ((30, 42, 80), (30, 18, 26), 0.35),
            ((54, -34, 50), (14, 22, 24), 0.45), ((0, -90, 86), (24, 12, 24), 0.2))
POROUS = (((0, -36, 106), (14, 14, 20), 1.0), ((24, -30, 76), (16, 14, 24), 0.8), ((0, 44, 88), (34, 18, 26), 0.5),
          ((0, -94, 88), (18, 12, 22), 0.6))
BEARD = (((0, -96, 86), (26, 12, 26), 1.0), ((40, -86, 56), (20, 16, 28), 0.95), ((58, -66, 20), (14, 22, 26), 0.8),
         ((10, -56, 92), (14, 4.2, 18), 0.9), ((20, -60, 84), (8, 7, 18), 0.5), ((0, -118, 60), (30, 10, 30), 0.35))
LIFT = 0.7
"""How far a mark stands before the skin: pictures order Gaussians by their centres' depth, and a skin Gaussian 2 mm wide on
a slope would cover it from nearer."""


def marks(mesh: Assembly, who: Person, count: int, rgb_of: Callable[[Points], np.ndarray]) -> Pieces:
    """Return the marks of a person; `rgb` is display sRGB.

    Args:
        mesh: The neutral one.
        who: Says how many freckles, how much stubble.
        count: Of all Gaussians of the avatar; marks are a share of it.
        rgb_of: The person's shown colour, display sRGB [P, 3], at points of the mesh.
    """
    rng = np.random.default_rng([who.seed & 0xFFFFFFFF, 7300])
    parts = []
    at = _some(mesh, POROUS, round(PORES * count), rng)
    parts.append(_dots(at, rgb_of(at) * (0.80, 0.72, 0.70), rng.uniform(0.16, 0.30, len(at)),
                       rng.uniform(0.12, 0.35, len(at))))
    freckles = round(FRECKLES * who.freckles * count)
    if freckles:
        at = _some(mesh, FRECKLED, freckles, rng)
        size = np.exp(rng.normal(np.log(0.40), 0.36, len(at))).clip(0.2, 0.9)
        parts.append(_dots(at, rgb_of(at) * (0.74, 0.56, 0.46), size, rng.uniform(0.2, 0.65, len(at))))
    at = _some(mesh, (((30, -30, 70), (30, 50, 40), 1.0),), MOLES, rng)
    parts.append(_dots(at, rgb_of(at) * (0.42, 0.32, 0.30), rng.uniform(0.4, 0.85, len(at)), np.full(len(at), 0.75)))
    if who.stubble:
        parts.append(_stubble(mesh, who, round(STUBBLE * min(2 * who.stubble, 1) * count), rgb_of, rng))
    parts.append(_fibers(mesh, who, round(FIBERS * count), rng))
    return join(parts)


def _some(mesh: Assembly, where: tuple[skin.Blob, ...], count: int, rng: np.random.Generator) -> Points:
    """Return `count` points of bare skin, as dense as `where` says."""
    skins = face_parts(mesh) == assembly.SKIN
    face, _ = scatter(mesh.points, mesh.faces, double_areas(mesh.points, mesh.faces) * skins
                      * (mesh.points[mesh.faces].mean(axis=1)[:, 2] > -5), 14 * count, rng)
    # By chance within a triangle: an even pattern of dots shows its rows.
    points = points_at(mesh, face, rng.dirichlet((1, 1, 1), len(face)))
    density = skin.blobs(points, where) * (points.eye_ring > 1.5) * (1 - skin.lips(points)[0])
    rank = rng.random(len(points)) / np.maximum(density, 1e-9)
    return points.take(np.sort(np.argsort(rank, kind="stable")[:count]))


def _dots(points: Points, rgb: np.ndarray, size: np.ndarray, opacity: np.ndarray) -> Pieces:
    normal = points.normal.astype(np.float64)
    scales = np.stack([size, size, np.full(len(size), 0.05)], axis=1)
    return Pieces(points.face, points.weights.astype(np.float64), points.at + LIFT * normal, axes_flat(normal), scales,
                  rgb, opacity)


def _stubble(mesh: Assembly, who: Person, count: int, rgb_of: Callable[[Points], np.ndarray],
             rng: np.random.Generator) -> Pieces:
    points = _some(mesh, BEARD, count, rng)
    normal = points.normal.astype(np.float64)
    down = np.array([0, -1.0, 0.1]) + rng.normal(0, 0.35, (len(points), 3))
    along = normalize(down - normal * np.sum(down * normal, axis=1, keepdims=True)) + 0.55 * normal
    along = normalize(along)
    half = rng.uniform(0.35, 0.75, len(points)) * (0.7 + 0.5 * who.stubble)
    scales = np.stack([half, np.full(len(half), 0.11), np.full(len(half), 0.11)], axis=1)
    # Fair hairs show little on fair skin.
    own = rgb_of(points)
    rgb = tone(linear(who.brows) * rng.uniform(0.5, 1.1, (len(points), 1)))
    fair = np.mean(who.brows) / 255
    rgb = rgb + (own * 0.85 - rgb) * 0.8 * fair
    return Pieces(points.face, points.weights.astype(np.float64), points.at + LIFT * normal + along * (0.8 * half)[:, None],
                  axes_from(along, normal), scales, rgb, np.full(len(points), 0.5))


def _fibers(mesh: Assembly, who: Person, count: int, rng: np.random.Generator) -> Pieces:
    """Return thin spokes in both irises, light and dark."""
    ball = np.flatnonzero(face_parts(mesh) == assembly.BALL)
    middle = mesh.points[mesh.faces[ball]].mean(axis=1)
    parts = []
    for side in (1, -1):
        n = count // 2
        center = EYE_CENTER * (side, 1, 1)
        around = rng.uniform(-np.pi, np.pi, n)
        polar = rng.uniform(eyes.PUPIL + 0.05, eyes.IRIS - 0.07, n)
        out = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=1)
        along = np.stack([np.cos(polar) * np.cos(around), np.cos(polar) * np.sin(around), -np.sin(polar)], axis=1)
        at = center + out * 12.45
        face = ball[np.argmin(np.sum(middle**2, axis=1) - 2 * at @ middle.T, axis=1)]
        bright = np.where(rng.random(n) < 0.5, rng.uniform(1.3, 2.1, n), rng.uniform(0.25, 0.6, n))
        # As the painted ball: darker under the upper lid, and outside.
        shade = (0.75 - 0.5 * out[:, 1]) * (1 - 0.5 * smoothstep((polar - 0.40) / 0.1))
        rgb = tone(linear(who.iris) * (bright * shade)[:, None])
        scales = np.stack([rng.uniform(0.35, 0.8, n), np.full(n, 0.085), np.full(n, 0.04)], axis=1)
        parts.append(Pieces(face, np.full((n, 3), 1 / 3), at, axes_from(along, out), scales, rgb, rng.uniform(0.35, 0.7, n)))
    return join(parts)
