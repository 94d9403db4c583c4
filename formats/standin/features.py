"""The stand-in's face: nose, brows, orbits, cheeks, lips and chin as displacements of the bare surface; millimetres."""

import numpy as np

from formats.standin.grid import mouth_line
from formats.standin.surface import monotone_cubic, smoothstep

LID_RADIUS = 13.8
"""Lid skin lies on this sphere about the eye; the ball has `parts.BALL_RADIUS`, so a closing lid (which follows the
chord of its arc, up to 0.8 mm inside it) stays clear of the ball."""
EYE_CENTER = np.array([31.5, 0.0, 67.6])
"""The left eyeball."""

# Nose: height, ridge above the face, half-width of the ridge.
NOSE = np.array([(-58, 0, 8), (-54.5, 0.5, 7.6), (-51.5, 2.0, 7.6), (-49, 6.6, 8), (-46.6, 12.8, 8.6), (-44, 16.8, 9.2),
                 (-40.5, 18.4, 9.6), (-36.5, 17.9, 9.8), (-31, 15.6, 9.4), (-24, 12.5, 8.8), (-14, 8.4, 8.4), (-4, 4.4, 8.7),
                 (4, 1.9, 9.8), (11, 0.7, 11), (20, 0, 12)])

# Gaussian bumps, mirrored: center x, y; sigma x, y; displacement x, y, z.
BUMPS = (
    # brow ridge, soft towards the middle; orbits; inner corners
    (30, 18, 16, 6.5, 0, 0, 1.3), (45, 11, 9, 7, 1.0, 0, 1.6), (31, -1, 14, 10.5, 0, 0, -5.2),
    (14.5, -0.5, 4.6, 6.5, 0, 0, -2.6), (34, -15, 12, 6, 0, 0, -0.8),
    # forehead eminences, temples
    (30, 52, 22, 20, 0, 0, 1.2), (64, 22, 14, 20, -2.2, 0, 0),
    # cheek bones, cheek fat, hollow, tear trough
    (48, -24, 14, 10, 1.6, 0, 4.4), (33, -34, 14, 13, 0, 0, 3.0), (50, -58, 12, 15, -1.4, 0, -2.6),
    (18, -16, 6, 8, 0, 0, -0.9),
    # fold from the nose to the mouth's corner
    (21, -50, 4, 7, 0, 0, -1.0), (28, -61, 4.5, 7.5, 0, 0, -0.7),
    # wings of the nose, their crease
    (12.6, -42.0, 4.0, 3.7, 1.6, 0, 9.0), (19.6, -43, 3.0, 6.0, 0, 0, -1.7),
    # corners of the mouth sink in
    (27, -66, 4.2, 4.2, 0, 0, -1.9),
    # chin, its sides, jaw angle
    (6, -99, 10.5, 8.5, 0, 0, 3.4), (22, -90, 8, 8, 0, 0, -0.4), (56, -78, 11, 9, 1.8, 0, 0),
)

# The same on the mid-line.
MIDDLE = (
    (0, 6, 10, 6, 0, 0, -0.8), (0, -40, 6.5, 6.0, 0, 0, 1.5), (0, -60, 21, 12, 0, 0, 4.4), (0, -55, 2.6, 4.2, 0, 0, -1.2),
    (0, -82, 17, 4.6, 0, 0, -3.2),
)

LIP_HEIGHT = (8.2, 9.6)
"""Upper and lower red lip at the middle."""
LIP_BULGE = (3.5, 4.2)
"""How far the lips stand out."""


def bump(p: np.ndarray, cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
    """Return exp(-d^2 / 2) of points [N, 3] about a vertical ellipse in the frontal plane."""
    return np.exp(-0.5 * (((p[:, 0] - cx) / sx) ** 2 + ((p[:, 1] - cy) / sy) ** 2))


def lip_fraction(p: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return how far a point lies across the red of its lip: 0 on the lip line, 1 at the border, more beyond.

    Args:
        p: Neutral points, millimetres.
        upper: Which points belong to the upper lip.
    """
    t = np.clip(np.abs(p[:, 0]) / 26.0, 0, 1)
    taper = np.sqrt(np.maximum(1 - t**2, 0))
    bow = 1 + 0.16 * np.exp(-(((np.abs(p[:, 0]) - 5.0) / 3.6) ** 2)) - 0.14 * np.exp(-((p[:, 0] / 2.6) ** 2))
    upper_height = LIP_HEIGHT[0] * taper * (0.45 + 0.55 * taper) * bow
    lower_height = LIP_HEIGHT[1] * taper * (0.35 + 0.65 * taper)
    from_line = np.abs(p[:, 1] - mouth_line(p[:, 0]))
    return from_line / np.maximum(np.where(upper, upper_height, lower_height), 0.6)


def displacement(p: np.ndarray) -> np.ndarray:
    """Return how the features move points [N, 3] of the bare head."""
    d = np.zeros_like(p)
    front = smoothstep((p[:, 2] - 2) / 34)
    for cx, cy, sx, sy, *move in BUMPS:
        for side in (1, -1):
            d += (bump(p, side * cx, cy, sx, sy) * front)[:, None] * (side * move[0], move[1], move[2])
    for cx, cy, sx, sy, *move in MIDDLE:
        d += (bump(p, cx, cy, sx, sy) * front)[:, None] * move
    # Seen from in front the nose's underside is an arc: its sides end higher than its middle.
    along = p[:, 1] - 0.055 * np.minimum(p[:, 0] ** 2, 150) * smoothstep((-34 - p[:, 1]) / 10)
    ridge = monotone_cubic(NOSE[:, 0], NOSE[:, 1], along)
    width = monotone_cubic(NOSE[:, 0], NOSE[:, 2], along)
    d[:, 2] += ridge * np.exp(-((np.abs(p[:, 0]) / width) ** 2.05)) * front
    # The underside of the nose is pulled forward and up, the nostrils are dents in it.
    for side in (1, -1):
        d[:, 2] -= 4.2 * bump(p, side * 7.2, -47.6, 2.4, 2.0) * front
    upper = p[:, 1] > mouth_line(p[:, 0])
    t = lip_fraction(p, upper)
    taper = np.sqrt(np.maximum(1 - (p[:, 0] / 27.0) ** 2, 0))
    bulge = np.where(upper, LIP_BULGE[0], LIP_BULGE[1]) * taper * front
    # A rounded roll: it starts set back on the lip line, stands out most a third across, and ends in a soft edge.
    roll = np.where(t < 0.38, 1 - ((0.38 - t) / 0.38) ** 2 * 1.25, 1 - smoothstep((t - 0.38) / 1.15))
    d[:, 2] += bulge * roll
    return d


def shape_lids(p: np.ndarray, rings: np.ndarray, side: int) -> np.ndarray:
    """Return points [N, 3] with the lids of one eye laid over its ball.

    Args:
        p: Featured head.
        rings: Rings from the lid edge, one per vertex.
        side: 1 for the left eye, -1 for the right.
    """
    center = EYE_CENTER * (side, 1, 1)
    offset = p - center
    flat = offset[:, 0] ** 2 + offset[:, 1] ** 2
    # Past the ball's outline the lid does not follow the sphere back: the corners of the eye lie 8 mm behind its front.
    on_sphere = np.sqrt(np.maximum(LID_RADIUS**2 - flat, 0) + 30.0 * smoothstep(flat / LID_RADIUS**2))
    inner = -side * offset[:, 0]
    corner = 0.7 * smoothstep((inner - 9) / 6) - 0.5 * smoothstep((-inner - 8) / 7)
    target = center[2] + on_sphere + corner
    # How far from the eye's middle: 1 a little outside the lids' edge.
    away = np.hypot(offset[:, 0] / 16.5, offset[:, 1] / np.where(offset[:, 1] > 0, 9.5, 9.0))
    follow = (1 - smoothstep((away - 0.85) / 0.95)) * (p[:, 2] > 30)
    z = p[:, 2] * (1 - follow) + target * follow
    crease = np.exp(-(((rings - 2.1) / 0.75) ** 2)) * (offset[:, 1] > 2) * smoothstep((18 - np.abs(offset[:, 0])) / 8)
    result = p.copy()
    result[:, 2] = z - 1.1 * crease
    return result


