"""The stand-in's head surface without features: three profile curves over height, and a lift along the jaw line.

Millimetres. Proportions are those of an adult: 63 mm between the pupils, about 150 mm wide, 235 mm from chin to crown,
eyes half-way up.
"""

import numpy as np

# Nominal height, front z, back z, half-width x. Below the mouth, a vertex at the side sits higher than its nominal
# height (`lift`), so these rows follow the jaw line and the nape.
KNOTS = np.array([
    (-168, 32, -66, 56.5), (-150, 29, -64, 48.5), (-135, 29, -63, 45), (-125, 34, -62, 44.2), (-118.5, 51, -62, 45),
    (-115.5, 63, -63, 46.2), (-112.5, 72.5, -64, 48), (-108, 79.5, -65, 51), (-103, 83, -66, 54),
    (-94, 84.5, -69, 57.2), (-82, 84, -74, 59.8), (-66, 84, -82, 63), (-46, 83, -91, 67.6), (-30, 81.5, -96, 70.5),
    (-14, 80.5, -100, 72), (0, 82, -103, 73), (22, 88.5, -106, 74.8), (40, 90, -105, 75.5), (60, 86.5, -97.5, 73.5),
    (78, 77.5, -85.5, 67), (94, 61, -67.5, 55.5), (106, 42, -48.5, 41), (113.5, 20, -31, 23.5), (117.5, -9.5, -10.5, 0.6)])

CENTER_Z = -10.0
"""Depth of the vertical axis that longitudes turn about, on the head."""

CROWN = np.array([0.0, 117.5, -10.0])
"""The pole."""

JAW_RISE = 27.0
"""How much higher the jaw line is at the ear than at the chin."""


def smoothstep(t: np.ndarray | float) -> np.ndarray:
    """Return 0 below 0, 1 above 1 and the cubic 3 t^2 - 2 t^3 between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def monotone_cubic(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the monotone cubic through (x, y), x ascending, at `at`; constant outside (Fritsch and Carlson 1980)."""
    step = np.diff(x)
    slope = np.diff(y) / step
    w1, w2 = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    same = slope[:-1] * slope[1:] > 0
    safe = np.where(same[:, None], np.stack([slope[:-1], slope[1:]], 1), 1.0)
    inner = np.where(same, (w1 + w2) / (w1 / safe[:, 0] + w2 / safe[:, 1]), 0)
    m = np.concatenate([slope[:1], inner, slope[-1:]])
    at = np.clip(at, x[0], x[-1])
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(step) - 1)
    t = (at - x[i]) / step[i]
    h = step[i]
    return ((1 + 2 * t) * (1 - t) ** 2 * y[i] + t * (1 - t) ** 2 * h * m[i]
            + t * t * (3 - 2 * t) * y[i + 1] + t * t * (t - 1) * h * m[i + 1])


def _profile(column: int, height: np.ndarray) -> np.ndarray:
    return monotone_cubic(KNOTS[:, 0], KNOTS[:, column], np.asarray(height, float))


def half_width(height: np.ndarray) -> np.ndarray:
    """Return half the head's width at a nominal height."""
    return _profile(3, height)


def lift(angle: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Return how much higher than its nominal height a vertex lies: the jaw line and the nape rise behind the chin."""
    # From the chin the jaw line rises at once; at the lips' height only beyond their corners.
    start = np.radians(24 - 13 * smoothstep((-76 - np.asarray(height)) / 18))
    turn = smoothstep((np.abs(angle) - start) / (np.pi / 2 - start))
    below = smoothstep((-26 - height) / 84) * (1 - smoothstep((-112 - height) / 56))
    return JAW_RISE * turn * below


def position(angle: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Return points [N, 3] of the bare head at longitudes (radians, 0 in front, +X positive) and nominal heights."""
    front, back, width = _profile(1, height), _profile(2, height), half_width(height)
    neck = smoothstep((-96 - height) / 34)
    center = CENTER_Z * (1 - neck) + (front + back) / 2 * neck
    crown = smoothstep((height - 40) / 50)
    power = 2 + (0.34 - 0.16 * smoothstep((-48 - height) / 40)) * (1 - neck) * (1 - crown)
    s, c = np.sin(angle), np.cos(angle)
    round_front = (1 - np.minimum(np.abs(s), 1) ** power) ** (1 / power)
    z = np.where(c >= 0, center + (front - center) * round_front, center + (center - back) * c)
    return np.stack([width * s, height + lift(angle, height), z], axis=-1)
