"""The stand-in's parts that are grown from the grid's openings or stand alone: sockets, ears, mouth, eyeballs, teeth.

Every function returns points in millimetres as concentric rings [rings, slots, 3] of the *left* or middle part; the
assembly mirrors them. Rings go inwards from the opening's loop, which is not repeated.
"""

import numpy as np

from formats.standin.features import EYE_CENTER, LID_RADIUS
from formats.standin.grid import mouth_line
from formats.standin.surface import smoothstep

BALL_RADIUS = 12.0
BALL_SLOTS = 32
BALL_ANGLES = np.array([0.10, 0.20, 0.32, 0.43, 0.52, 0.66, 0.84, 1.05, 1.3, np.pi / 2,
                        1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 2.97])
"""Polar angles of the eyeball's rings from the pupil's middle; with two poles 546 vertices, FLAME's count."""
PUPIL_ANGLE, IRIS_ANGLE = 0.20, 0.52
FRONT_RINGS = 10
"""Rings of the texture's front disc; the last one is shared with the back."""
TEETH_COLUMNS = 15
TEETH_Z = 79.5
"""Depth of the upper incisors' front."""


def eyeball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the left ball as (front pole [3], rings [17, 32, 3], back pole [3])."""
    turn = 2 * np.pi * np.arange(BALL_SLOTS) / BALL_SLOTS
    radius = BALL_RADIUS + 0.22 * smoothstep((0.6 - BALL_ANGLES) / 0.5)  # the cornea
    ring = np.stack([np.sin(BALL_ANGLES)[:, None] * np.cos(turn), np.sin(BALL_ANGLES)[:, None] * np.sin(turn),
                     np.cos(BALL_ANGLES)[:, None] * np.ones_like(turn)], axis=-1) * radius[:, None, None]
    tip = np.array([0, 0, BALL_RADIUS + 0.22])
    return EYE_CENTER + tip, EYE_CENTER + ring, EYE_CENTER - (0, 0, BALL_RADIUS)


def socket(loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the left eye's lid edge and socket as (rings [3, 32, 3], pole [3]) from its lid loop [32, 3]."""
    offset = loop - EYE_CENTER
    radius = np.linalg.norm(offset, axis=1)
    polar = np.arccos(np.clip(offset[:, 2] / radius, -1, 1))
    turn = np.arctan2(offset[:, 1], offset[:, 0])
    rings = []
    for angle, distance in ((polar, 12.7 + 0.7 * np.maximum(radius - LID_RADIUS, 0)), (polar + 0.35, radius * 0 + 12.8),
                            (np.maximum(polar + 0.7, 1.75), radius * 0 + 13.0)):
        direction = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], axis=1)
        rings.append(EYE_CENTER + direction * distance[:, None])
    return np.array(rings), EYE_CENTER - (0, 0, 13.2)


# The auricle's rings: size across, size up, millimetres outwards from its plane.
EAR_RINGS = np.array([(0.66, 0.70, -6.5), (0.95, 0.965, -2.6), (1.0, 1.0, 0.2), (0.925, 0.945, 1.5),
                      (0.80, 0.84, -1.3), (0.60, 0.66, 1.0), (0.42, 0.44, -4.0), (0.20, 0.20, -8.5)])


def ear(loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the left auricle as (rings [8, 28, 3], pole [3]) from its base loop [28, 3], which starts at the back."""
    slots = len(loop)
    turn = 2 * np.pi * np.arange(slots) / slots
    back, up = np.cos(turn), np.sin(turn)
    middle = loop.mean(axis=0)
    free = smoothstep((back + 0.86) / 0.6)[:, None]
    # The egg of the auricle: wide above, a lobe below, its top tilted back.
    across = 16.0 * np.sign(back) * np.abs(back) ** np.where(up < 0, 0.8, 0.95) * (1 + 0.13 * up)
    along = np.where(up < 0, 27.5, 30.5) * up
    rings = []
    for k, (wide, tall, out) in enumerate(EAR_RINGS, start=1):
        b, u = across * wide, along * tall
        plane = 2.0 + 0.40 * (b + 14) + 0.02 * u
        lobe = smoothstep((-u - 14) / 14)
        outward = plane * (1 - 0.35 * lobe) + out * (1 - 0.6 * lobe * (out < 0) * (k > 3))
        auricle = np.stack([middle[0] + outward, middle[1] + u, middle[2] - 4.0 - b - 0.17 * u], axis=1)
        # In front the ear grows out of the cheek: there the rings just close in, with the tragus as a small hill.
        hill = 2.6 * np.exp(-((k - 2.6) / 1.3) ** 2) * np.exp(-((up + 0.12) / 0.3) ** 2) - 0.75 * max(k - 3.5, 0)
        attached = loop + (middle - loop) * (0.10 * k) * (1, 1, 1) + hill[:, None] * (1, 0, 0) - (0, 0, 0.35 * k)
        rings.append(attached * (1 - free) + auricle * free)
    pole = rings[-1].mean(axis=0) - (1.0, 0, 0)
    return np.array(rings), pole


# The mouth's rings from the lips to the throat. Upper side: height above the lip line, depth behind the lips, width.
# Its first ring hangs below the line: seen from in front, no tooth shows through the 0.08 mm between closed lips.
PALATE = np.array([(-0.5, 2.6, 24.2), (5.0, 5.6, 24.5), (6.8, 8.2, 25.0), (7.2, 16.5, 19.5), (11.0, 22.0, 18.5),
                   (13.5, 30.0, 18.0), (14.0, 40.0, 17.5), (10.0, 52.0, 15.0), (3.0, 59.0, 11.0)])
# Lower side: gum before and behind the teeth, then under the tongue, its tip, its back.
FLOOR = np.array([(-1.1, 2.6, 24.2), (-5.0, 5.6, 24.5), (-7.4, 9.2, 25.0), (-8.0, 18.0, 18.5), (-8.8, 20.0, 11.0),
                  (-5.2, 20.0, 13.5), (-3.0, 29.0, 17.0), (-2.6, 43.0, 17.0), (-7.0, 57.0, 11.0)])
TONGUE_RINGS = (5, 6, 7, 8)
"""Cavity rings (counted from 1) whose lower side is the tongue."""


def cavity(loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mouth's inside as (rings [9, 32, 3], pole [3]) from the lip loop [32, 3], which starts at +X."""
    slots = len(loop)
    turn = 2 * np.pi * np.arange(slots) / slots
    even = 2 * np.abs(np.mod(turn / np.pi, 2) - 1) - 1  # 1 at the left corner, -1 at the right
    height = np.sin(turn)
    upper = height > 1e-9
    corner = np.abs(height) < 1e-9
    front = loop[slots // 4, 2]
    line = mouth_line(np.zeros(1))[0]
    rings = []
    side = np.abs(even)
    for k, (above, below) in enumerate(zip(PALATE, FLOOR, strict=True), start=1):
        y, depth, width = np.where(upper[:, None], above, below).T
        y, width = np.where(corner, (above[0] + below[0]) / 2, y), np.where(corner, max(above[2], below[2]) + 0.8, width)
        depth = np.where(corner, (above[1] + below[1]) / 2, depth)
        x = width * even
        if k <= 2:  # still the lips: follow them
            bend = loop[:, 2] - front
            x = loop[:, 0] * (1 - 0.012 * k)
            y = mouth_line(loop[:, 0]) + y * np.abs(height) ** 0.6
        else:
            bend = -np.where(k == 3, 17.0, 10.0) * side**2.2
            if k in TONGUE_RINGS:  # the tongue: rounded tip and sides, a shallow furrow; above it the palate's vault
                bend = np.where(upper, -6.0 * side**2, -3.5 * even**2 * (8 - k))
                furrow = 0.5 * np.exp(-((even / 0.16) ** 2))
                y = np.where(upper, y - 4.5 * side**3, y - 2.6 * side**2.5 - furrow)
            y = line + y
        rings.append(np.stack([x, y, front - depth + bend], axis=1))
    return np.array(rings), np.array([0, line - 3, front - 66])


def teeth() -> np.ndarray:
    """Return both dental arches as VHAP's eight rows [8, 15, 3].

    Order: upper root front, lower root front, upper edge front, lower edge front, upper root back, upper edge back,
    lower root back, lower edge back. Columns run from +X to -X.
    """
    s = np.linspace(1, -1, TEETH_COLUMNS)
    line = mouth_line(np.zeros(1))[0]

    def row(width: float, height: float, z: float) -> np.ndarray:
        curve = 0.9 * s**2  # the smile line: the arch rises towards the molars
        turn = 1.4 * s
        return np.stack([width * np.sin(turn) / np.sin(1.4), line + height + curve,
                         z - 29.0 * (1 - np.cos(turn)) / (1 - np.cos(1.4))], axis=1)

    # Above: root and edge heights relative to the lip line; the upper arch overlaps the lower by 1.6 mm.
    return np.array([row(23.0, 9.5, TEETH_Z - 0.8), row(21.4, -10.5, TEETH_Z - 3.6),
                     row(23.4, -1.7, TEETH_Z), row(21.6, -0.5, TEETH_Z - 2.9),
                     row(18.6, 9.5, TEETH_Z - 6.8), row(20.6, -1.3, TEETH_Z - 2.3),
                     row(16.6, -10.5, TEETH_Z - 8.6), row(18.0, -0.7, TEETH_Z - 5.0)])
