"""The stand-in's T-shirt: a ribbed collar around the neck and the first hand's breadth of shoulders. Millimetres."""

from dataclasses import dataclass

import numpy as np

from formats.deform import vertex_normals
from formats.rotations import normalize
from formats.standin import assembly, studio, surface
from formats.standin.noise import value_noise
from formats.standin.sampling import Points, double_areas, scatter
from formats.standin.skin import color
from formats.standin.surface import smoothstep

CLOTH, COLLAR = color(66, 88, 104), color(54, 74, 90)
COLLAR_HEIGHT = 11.0
END = 44.0
"""How far below the collar, along the cloth, it has faded out."""


def collar_line(at: np.ndarray) -> np.ndarray:
    """Return the height of the collar's upper edge around the neck: lower in front."""
    return -139 - 10 * np.cos(np.arctan2(at[:, 0], at[:, 2] + 16))


TUCK = 1.5, 9.0
"""How far below the collar's edge skin turns into painted cloth: on the texture, and on Gaussians, where the collar
stands out from the neck, hides the border, and the neck moves under it."""


def coverage(points: Points, tuck: float = TUCK[0]) -> np.ndarray:
    """Return how much painted cloth hides each point of the skin, 0..1."""
    return smoothstep((collar_line(points.at) - points.at[:, 1] - tuck) / 1.6) * (points.part == assembly.SKIN)


def albedo(points: Points) -> np.ndarray:
    """Return linear RGB [P, 3] of cloth painted on the neck."""
    below = collar_line(points.at) - points.at[:, 1]
    return _weave(points.at, below, np.arctan2(points.at[:, 0], points.at[:, 2] + 16))


def _weave(at: np.ndarray, below: np.ndarray, angle: np.ndarray) -> np.ndarray:
    collar = 1 - smoothstep((below - COLLAR_HEIGHT) / 1.0)
    ribs = 0.10 * np.cos(angle * 120) * collar
    seam = 0.35 * np.exp(-(((below - COLLAR_HEIGHT) / 1.1) ** 2))
    cloth = CLOTH + (COLLAR - CLOTH) * collar[:, None]
    grain = 0.05 * value_noise(at, 1.6, 81) + 0.07 * value_noise(at, 16, 82)
    return cloth * (1 + ribs + grain - seam)[:, None]


@dataclass(frozen=True)
class Cloth:
    """The shirt as flat Gaussians."""

    at: np.ndarray
    normal: np.ndarray
    size: np.ndarray
    """Standard deviation in the cloth's plane, one per Gaussian."""
    rgb: np.ndarray
    """Linear, lit."""
    opacity: np.ndarray


def _position(angle: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Return points of the cloth at an angle around the neck and millimetres `s` below the collar's edge."""
    sine, cosine = np.sin(angle), np.cos(angle)
    top = -139 - 10 * cosine
    neck = surface.position(angle, top)
    out = normalize(np.stack([sine, 0 * angle, cosine], axis=1))
    # The collar stands on the neck; then the cloth lies on the shoulders, wide at the sides, steep in front and behind.
    spread = smoothstep((s - 4) / 26)
    drop_side = 0.55 * s + 0.004 * s**2
    drop_front = 0.80 * s
    drop = np.where(s < COLLAR_HEIGHT, 0.8 * s, 0.8 * COLLAR_HEIGHT + 0) + np.where(
        s < COLLAR_HEIGHT, 0, (drop_side * sine**2 + drop_front * cosine**2) * (1 - COLLAR_HEIGHT / np.maximum(s, 1)))
    reach = 3.5 + 0.35 * np.minimum(s, COLLAR_HEIGHT) + np.maximum(s - COLLAR_HEIGHT, 0) * spread * (
        1.9 * np.abs(sine) ** 1.5 + 0.5 * np.maximum(cosine, 0) + 0.35 * np.maximum(-cosine, 0))
    p = neck + out * reach[:, None]
    p[:, 1] = top - drop
    return p


def cloth(count: int, seed: int, end: float = END) -> Cloth:
    """Return `count` Gaussians of shirt, which has faded out `end` millimetres below its collar's edge."""
    rng = np.random.default_rng(seed + 800)
    around, down = 96, 24
    angle, s = np.meshgrid(np.linspace(-np.pi, np.pi, around + 1), end * np.linspace(0, 1, down + 1) ** 1.4, indexing="ij")
    angle, s = angle.ravel(), s.ravel()
    points = _position(angle, s)
    a = (np.arange(around)[:, None] * (down + 1) + np.arange(down)).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + down + 2], 1), np.stack([a, a + down + 2, a + down + 1], 1)])
    # Denser on the collar, which has the detail.
    weight = double_areas(points, faces) * (1 + 5.0 * (s[faces].mean(axis=1) < COLLAR_HEIGHT + 3))
    face, corner = scatter(points, faces, weight, count, rng)
    corners = faces[face]
    at = np.einsum("nk,nkc->nc", corner, points[corners])
    angle, s = np.sum(corner * angle[corners], axis=1), np.sum(corner * s[corners], axis=1)
    normal = normalize(np.einsum("nk,nkc->nc", corner, vertex_normals(points, faces)[corners]))
    normal = normal * np.where(np.sum(normal * (at - at.mean(axis=0)), axis=1, keepdims=True) < 0, -1, 1)
    area = weight.sum() / count / 2 / (weight / double_areas(points, faces))[face]
    fold = value_noise(np.stack([angle * 14, s * 0.25], axis=1), 3.0, 83) * smoothstep((s - 12) / 10)
    rgb = _weave(at, s, angle) * studio.unshadowed(normal) * (0.90 + 0.08 * fold)[:, None]
    under = smoothstep((s + 3) / 9) * (0.55 + 0.45 * smoothstep((np.abs(angle) - 0.3) / 1.4))
    rgb = rgb * np.maximum(under, 0.35)[:, None]
    fade = 1 - smoothstep((s - 0.52 * end) / (0.48 * end))
    return Cloth(at, normal, 0.80 * np.sqrt(area) * (1 + 0.5 * (1 - fade)), rgb, 0.95 * fade**1.5)
