"""The inside of the stand-in's mouth: lips' inner side, gums, palate, tongue and teeth, lit from the lips."""

import numpy as np

from formats.standin import assembly, parts
from formats.standin.noise import value_noise
from formats.standin.sampling import Points
from formats.standin.skin import LIP_LINE, color, mix
from formats.standin.surface import smoothstep

FLESH, DEEP, TONGUE = color(150, 66, 62), color(34, 10, 10), color(196, 104, 100)
GUM, IVORY, IVORY_ROOT = color(190, 104, 100), color(238, 230, 212), color(214, 190, 150)
FRONT = parts.TEETH_Z


def shown_color(points: Points) -> np.ndarray:
    """Return linear RGB [P, 3] of the mouth's inside and the teeth, light included."""
    behind = FRONT - points.at[:, 2]
    lit = np.exp(-np.maximum(behind - 2, 0) / 15.0)
    tongue = (points.lip <= 0) & (points.ring > min(parts.TONGUE_RINGS) - 0.6)
    flesh = mix(np.broadcast_to(FLESH, points.at.shape), TONGUE * (1 + 0.06 * value_noise(points.at, 1.6, 61))[:, None],
                tongue * 0.9)
    flesh = mix(flesh, GUM, (np.abs(points.ring - 3.2) < 0.9) * 0.6)
    flesh = mix(np.broadcast_to(DEEP, flesh.shape), flesh * 0.95, np.where(tongue, np.maximum(0.95 * lit, 0.42), 0.8 * lit))
    flesh = mix(flesh, LIP_LINE, 1 - smoothstep((points.ring - 0.9) / 1.3))
    return np.where((points.part == assembly.TEETH)[:, None], _teeth(points), flesh)


def _teeth(points: Points) -> np.ndarray:
    upper = points.lip > 0
    width = np.where(upper, 22.2, 20.3)
    s = points.at[:, 0] / width
    # Arc length along the arch, then tooth by tooth: incisors 8.4 and 6.6 mm wide, canines and molars 7.
    arc = np.abs(points.at[:, 0]) + 0.55 * np.maximum(FRONT - points.at[:, 2], 0) * (np.abs(s) > 0.35)
    borders = np.where(upper, 1.0, 0.72)[:, None] * np.array([0, 8.4, 15.0, 22.4, 29.4, 36.4])
    gap = np.abs(arc[:, None] - borders).min(axis=1)
    from_edge = np.abs(points.at[:, 1] - np.where(upper, -66.7, -66.0))
    rgb = mix(np.broadcast_to(IVORY, points.at.shape), IVORY_ROOT, smoothstep((from_edge - 3) / 6))
    rgb = mix(rgb, DEEP, 0.62 * np.exp(-((gap / 0.32) ** 2)))
    scallop = np.where(upper, 8.2, 7.2) - 1.3 * np.exp(-((gap / 1.3) ** 2))
    rgb = mix(rgb, GUM, smoothstep((from_edge - scallop) / 0.9))
    rounded = 1 - 0.16 * np.exp(-((gap / 1.4) ** 2))
    shade = np.where(upper, 1.0, 0.84) * (0.26 + 0.74 * np.exp(-np.maximum(FRONT + 0.5 - points.at[:, 2], 0) / 9.0))
    # The lips' shadow: upper teeth are darker towards their root.
    shade = shade * rounded * (1 - 0.35 * smoothstep((from_edge - 4) / 7))
    return rgb * shade[:, None]
