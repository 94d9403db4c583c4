"""The stand-in's skin: what color it is before light falls on it. Everything is a function of the place on the face."""

import numpy as np

from formats.conventions import srgb_to_linear
from formats.standin import assembly
from formats.standin.features import lip_fraction
from formats.standin.noise import value_noise
from formats.standin.regions import BROW
from formats.standin.sampling import Points
from formats.standin.surface import lift, monotone_cubic, smoothstep


def color(red: int, green: int, blue: int) -> np.ndarray:
    """Return linear RGB of an 8-bit display color."""
    return srgb_to_linear(np.array([red, green, blue]) / 255).astype(np.float32)


BASE = color(230, 182, 155)
PALE = color(238, 204, 180)
RUDDY = color(214, 134, 118)
SHADE = color(176, 126, 116)
LIP = color(208, 126, 112)
LIP_LINE = color(128, 62, 58)
RIM = color(206, 142, 130)
CARUNCLE = color(186, 104, 96)
SOCKET_DARK = color(90, 40, 36)
FRECKLE = color(168, 106, 78)
HAIR = color(66, 45, 33)
"""Brows, lashes and the scalp under the hair."""

# Where blood shows: center x, y, z; sigmas; strength. Mirrored.
FLUSH = (((40, -30, 62), (14, 12, 26), 0.30), ((0, -40, 108), (12, 10, 14), 0.20), ((22, -24, 76), (9, 8, 18), 0.16),
         ((0, -98, 88), (13, 9, 18), 0.22), ((80, -14, -16), (14, 30, 22), 0.42), ((0, 30, 90), (24, 14, 20), 0.06),
         ((44, -7, 62), (10, 8, 20), 0.10))
PALENESS = (((0, 44, 88), (34, 20, 26), 0.55), ((0, -20, 98), (3.6, 15, 16), 0.42), ((0, -38, 112), (4, 4, 8), 0.25),
            ((4, -57, 92), (1.5, 4, 14), 0.15), ((33, -15, 70), (12, 6, 16), 0.28),
            ((0, -57, 92), (9, 4, 14), 0.2), ((50, -23, 58), (11, 6, 16), 0.30))
SHADOWS = (((29, -9.5, 68), (12, 4.0, 16), 0.15), ((16.5, -1, 68), (4, 6, 14), 0.22), ((31, 9.5, 70), (13, 4.2, 16), 0.28),
           ((0, -83.5, 84), (14, 3.2, 18), 0.26), ((25.5, -53, 78), (3.2, 8, 16), 0.17), ((13.5, -18, 84), (3.2, 16, 14), 0.15),
           ((19.2, -43, 84), (1.9, 5, 12), 0.36), ((0, -51.5, 92), (10, 2.2, 16), 0.26), ((0, -58, 92), (1.6, 4, 16), 0.12),
           ((27.5, -66, 76), (2.6, 2.6, 14), 0.30), ((11, 8, 82), (3.5, 6, 16), 0.10),
           ((53, -56, 42), (9, 13, 20), 0.26), ((60, 30, 40), (9, 18, 20), 0.14))


Blob = tuple[tuple[float | int, ...], tuple[float | int, ...], float]


def blobs(points: Points, table: tuple[Blob, ...]) -> np.ndarray:
    """Return the sum of mirrored Gaussian blobs at each point, capped at 1."""
    x = np.abs(points.at[:, 0])
    total = np.zeros(len(points), np.float32)
    for (cx, cy, cz), (sx, sy, sz), strength in table:
        d = ((x - cx) / sx) ** 2 + ((points.at[:, 1] - cy) / sy) ** 2 + ((points.at[:, 2] - cz) / sz) ** 2
        total += strength * np.exp(-0.5 * d)
    return np.minimum(total, 1)


def mix(base: np.ndarray, other: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Return `base` [P, 3] moved towards `other` by `amount` [P]."""
    return base + (other - base) * np.clip(amount, 0, 1)[:, None]


def brow_coordinates(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Return (along, across) the nearer eyebrow: 0..1 from its inner end, and -1..1 over its thickness."""
    x = np.abs(points.at[:, 0])
    along = (x - BROW[0, 0]) / (BROW[-1, 0] - BROW[0, 0])
    height = monotone_cubic(BROW[:, 0], BROW[:, 1], x)
    half = np.interp(along, [-0.05, 0.08, 0.35, 0.7, 1.0], [2.6, 3.7, 3.6, 2.6, 0.9])
    return along, (points.at[:, 1] - height) / half


def brow(points: Points) -> np.ndarray:
    """Return how dense eyebrow hair is, 0..1, strokes included."""
    along, across = brow_coordinates(points)
    x, y = np.abs(points.at[:, 0]), points.at[:, 1]
    strokes = value_noise(np.stack([x * 2.4 - y * 0.9 * (1 - along), y * 0.35 + np.sign(points.at[:, 0]) * 40], axis=1),
                          1.0, 31)
    return brow_density(along, across) * np.clip(0.62 + 0.26 * strokes, 0, 1)


def brow_density(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return how dense eyebrow hair grows at `brow_coordinates`, 0..1: thin at the inner end and the tail."""
    return (np.exp(-np.abs(across) ** 2.6) * smoothstep((along + 0.08) / 0.34)
            * (1 - smoothstep((along - 0.82) / 0.24)))


def lips(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Return (how much a point is red lip, 0..1; how far across its lip it lies, 0 on the lip line)."""
    t = lip_fraction(points.at.astype(np.float64), points.lip > 0)
    edge = 0.34 + 0.14 * (points.at[:, 1] < -66)
    amount = 1 - smoothstep((t - 1.0 + edge / 2) / edge)
    return amount * (1 - smoothstep((np.abs(points.at[:, 0]) - 23.5) / 3.0)), t


def albedo(points: Points) -> np.ndarray:
    """Return linear RGB [P, 3] of skin, ears, lid rims, lips and brows."""
    p = points.at
    tone = 0.035 * value_noise(p, 38, 41) + 0.018 * value_noise(p, 14, 42) + 0.014 * value_noise(p, 6, 43)
    fine = 0.026 * value_noise(p, 2.0, 44) + 0.020 * value_noise(p, 0.9, 45)
    rgb = np.broadcast_to(BASE, p.shape)
    rgb = mix(rgb, PALE, blobs(points, PALENESS) + 0.7 * tone)
    blood = value_noise(p, 9, 46)
    rgb = mix(rgb, RUDDY, blobs(points, FLUSH) * (1 + 0.12 * blood) + 0.03 * np.maximum(blood, 0))
    rgb = mix(rgb, SHADE, blobs(points, SHADOWS))
    spots = smoothstep((value_noise(p, 2.6, 47) - 1.25) / 0.9) * blobs(points, (((24, -22, 76), (22, 13, 26), 1.0),))
    rgb = mix(rgb, FRECKLE, 0.20 * spots)
    rgb = rgb * (1 + tone + fine)[:, None]
    rgb = rgb * (_ear(points) * _under_jaw(points))[:, None]
    for near, paint in ((near_mouth(points), _mouth), (points.eye_ring < 8, _lids), (_near_brow(points), _brow)):
        rgb[near] = paint(points.take(near), rgb[near])
    return rgb


def _ear(points: Points) -> np.ndarray:
    """Return how light the folds of the auricle are: finer than the studio's shadows can be."""
    # Rings (`parts.EAR_RINGS`): 4 is the rim's crest, 5 the groove inside it, 6 the second fold, 7 and 8 the bowl.
    light = np.interp(points.ring, [0, 3, 4, 5, 6, 6.6, 7.2, 9], [1, 0.96, 1.06, 0.74, 1.03, 0.86, 0.66, 0.50])
    return np.where(points.part == assembly.EAR, light, 1)


def _under_jaw(points: Points) -> np.ndarray:
    """Return how light the neck is: the jaw keeps light from it, most right under its line."""
    angle = np.arctan2(np.abs(points.at[:, 0]), points.at[:, 2] + 10)
    line = -104.5 + lift(angle, np.full(len(points), -104.5))
    below = line - points.at[:, 1]
    dark = 0.50 * smoothstep((below + 1) / 11) * (1 - 0.5 * smoothstep((below - 14) / 32)) * smoothstep((2.0 - angle) / 0.7)
    return 1 - dark


def near_mouth(points: Points) -> np.ndarray:
    """Return where lips and nostrils may be."""
    return (np.abs(points.at[:, 0]) < 28) & (points.at[:, 2] > 60) & (points.at[:, 1] < -40) & (points.at[:, 1] > -86)


def _near_brow(points: Points) -> np.ndarray:
    x, y = np.abs(points.at[:, 0]), points.at[:, 1]
    return (points.at[:, 2] > 30) & (x > BROW[0, 0] - 6) & (x < BROW[-1, 0] + 6) & (
        np.abs(y - BROW[:, 1].mean()) < 14)


def _brow(points: Points, rgb: np.ndarray) -> np.ndarray:
    return mix(rgb, HAIR, 0.80 * brow(points))


def _mouth(points: Points, rgb: np.ndarray) -> np.ndarray:
    amount, t = lips(points)
    wrinkles = value_noise(points.at * np.array([1.0, 0.12, 0.12]), 0.85, 33)
    upper = points.lip > 0
    lip = mix(np.broadcast_to(LIP, rgb.shape) * np.where(upper, 0.86, 1.06)[:, None], RUDDY, 0.35 * (t - 0.3))
    lip = lip * (1 + 0.05 * wrinkles)[:, None]
    lip = mix(lip, LIP_LINE, 0.9 * (1 - smoothstep(t / 0.26)))
    # The skin just outside the red is a little paler.
    rgb = mix(rgb, PALE, 0.25 * np.exp(-(((t - 1.25) / 0.16) ** 2)) * (amount < 0.5) * (np.abs(points.at[:, 0]) < 20))
    nostril = np.exp(-0.5 * (((np.abs(points.at[:, 0]) - 7.0) / 2.3) ** 2 + ((points.at[:, 1] + 47.7) / 1.5) ** 2))
    rgb = mix(rgb, SOCKET_DARK * 0.45, 0.92 * nostril * (points.at[:, 2] > 70))
    return mix(rgb, lip, 0.92 * amount)


def _lids(points: Points, rgb: np.ndarray) -> np.ndarray:
    side = np.abs(points.at[:, 0]) - 31.5
    upper = points.at[:, 1] > 0.035 * side * 10 - 0.25
    ring = points.eye_ring
    lid = points.part != assembly.EAR
    crease = np.exp(-(((ring - 2.2) / 0.42) ** 2)) * smoothstep((points.at[:, 1] - 2.5) / 3) * (np.abs(side) < 17)
    rgb = mix(rgb, SHADE * 0.72, 0.42 * crease * lid)
    line = np.where(upper, 1 - smoothstep((ring - 0.12) / 0.42), 0.45 * (1 - smoothstep((ring - 0.05) / 0.3)))
    skin = lid & (points.part == assembly.SKIN)
    rgb = mix(rgb, HAIR * 0.55, 0.82 * line * skin * smoothstep((14.8 - np.abs(side)) / 4))
    socket = points.part == assembly.SOCKET
    # At the corners flesh fills the space between ball and lids.
    corner = smoothstep((np.abs(side) - 9.5) / 3.5)
    rim = mix(np.broadcast_to(RIM, rgb.shape), SOCKET_DARK, smoothstep((points.ring - 0.75) / 0.7) * (1 - 0.85 * corner))
    rim = mix(rim, CARUNCLE, corner * smoothstep((points.ring - 0.5) / 0.8))
    rim = mix(rim, HAIR, np.where(upper, 0.75, 0.15) * (1 - smoothstep((points.ring - 0.1) / 0.5)))
    return np.where(socket[:, None], rim, rgb)
