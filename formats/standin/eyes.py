"""The stand-in's eyeballs: sclera, iris with fibers, pupil and the lamp's reflection."""

import numpy as np

from formats.rotations import normalize
from formats.standin.features import EYE_CENTER
from formats.standin.noise import value_noise
from formats.standin.sampling import Points
from formats.standin.skin import color, mix
from formats.standin.surface import smoothstep

IRIS, PUPIL = 0.508, 0.205
"""Polar angles in radians on the 12 mm ball: an iris 11.7 mm across."""
CATCH_LIGHT = normalize(np.array([-0.185, 0.205, 1.0]))
"""Where the key light mirrors, as a direction from the ball's center."""
SECOND_LIGHT = normalize(np.array([0.16, -0.20, 1.0]))

SCLERA, SCLERA_EDGE = color(236, 231, 228), color(214, 172, 162)
IRIS_OUTER, IRIS_MIDDLE, IRIS_INNER = color(60, 84, 98), color(108, 138, 144), color(150, 118, 70)
LIMBUS, BLACK = color(30, 38, 46), color(9, 8, 9)


def from_center(points: Points) -> np.ndarray:
    """Return unit directions from the ball's center, [P, 3]."""
    side = np.sign(points.at[:, :1])
    return normalize(points.at.astype(np.float64) - EYE_CENTER * np.concatenate(
        [side, np.ones_like(side), np.ones_like(side)], axis=1))


def shown_color(points: Points) -> np.ndarray:
    """Return linear RGB [P, 3] of the eyeball with the studio's light in it.

    The lids' shadow stays with the ball when it turns; it is soft enough not to be noticed.
    """
    d = from_center(points)
    side = np.sign(points.at[:, 0])
    polar = np.arccos(np.clip(d[:, 2], -1, 1))
    around = np.arctan2(d[:, 1], d[:, 0])
    ring = np.stack([np.cos(around), np.sin(around), 0.04 * polar + side], axis=1)
    fibers = value_noise(ring, 0.075, 51) + 0.6 * value_noise(ring, 0.034, 52)
    edge = IRIS * (1 + 0.008 * value_noise(ring, 0.3, 53))
    t = (polar - PUPIL) / (edge - PUPIL)
    iris = mix(np.broadcast_to(IRIS_MIDDLE, d.shape), IRIS_OUTER, smoothstep((t - 0.35) / 0.6))
    iris = mix(iris, IRIS_INNER, 0.60 * (1 - smoothstep((t + 0.06 * fibers - 0.12) / 0.33)))
    iris = iris * np.clip(1 + 0.22 * fibers * smoothstep(t / 0.2), 0.4, 1.8)[:, None]
    # Light enters from above on one side and glows on the other.
    iris = iris * (0.88 - 0.42 * d[:, 1] / np.sin(IRIS) + 0.10 * d[:, 0] / np.sin(IRIS))[:, None]
    iris = mix(iris, LIMBUS, 0.85 * smoothstep((t - 0.76) / 0.22))
    iris = mix(iris, BLACK, 1 - smoothstep((polar - PUPIL + 0.018) / 0.03))
    veins = np.maximum(value_noise(np.stack([d[:, 1] * 12, d[:, 0] * 3, side], axis=1), 0.55, 54) - 0.8, 0)
    inner = -side * d[:, 0]
    sclera = mix(np.broadcast_to(SCLERA, d.shape), SCLERA_EDGE, 0.75 * smoothstep((polar - 0.75) / 0.6)
                 + 0.35 * smoothstep((inner - 0.62) / 0.25) + 0.12 * veins * smoothstep((polar - 0.6) / 0.4))
    rgb = mix(sclera, iris, 1 - smoothstep((polar - edge + 0.012) / 0.035))
    # Round like a ball, and in the upper lid's shade.
    shade = 0.80 * (0.62 + 0.38 * np.maximum(d[:, 2], 0)) * (1 - 0.50 * smoothstep((d[:, 1] - 0.10) / 0.36))
    shade = shade * (1 - 0.45 * smoothstep((np.abs(d[:, 0]) - 0.46) / 0.45))
    rgb = rgb * shade[:, None]
    main = 1 - smoothstep((np.arccos(np.clip(d @ CATCH_LIGHT, -1, 1)) - 0.055) / 0.035)
    second = 1 - smoothstep((np.arccos(np.clip(d @ SECOND_LIGHT, -1, 1)) - 0.02) / 0.08)
    return mix(mix(rgb, color(235, 240, 250), 0.16 * second), color(255, 253, 248), 0.95 * main)
