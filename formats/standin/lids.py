"""How the stand-in's eyelids move: turns about the eyeball's horizontal axis, baked as directions."""

import numpy as np

from formats.standin import assembly
from formats.standin.assembly import Assembly
from formats.standin.features import EYE_CENTER
from formats.standin.surface import smoothstep

FADE_RINGS = 5.5
"""Rings from the lid's edge over which a lid's turn fades out."""
MEETING = 0.26
"""Where the lids meet, as a fraction of the opening above the lower lid's rest."""
OVERLAP = 0.13
"""Radians that the upper lid goes on in front of the lower one, so that a blink also closes an eye looking up."""


def lid_turn(mesh: Assembly, side: int, upper: float, lower: float) -> np.ndarray:
    """Return displacements [V, 3] in millimetres that close one eye's lids by the given fractions.

    Args:
        mesh: The neutral mesh.
        side: 1 for the left eye, -1 for the right.
        upper: 1 turns the upper lid to the meeting line and a little past it.
        lower: 1 turns the lower lid up to the meeting line.
    """
    name = "left_eye" if side > 0 else "right_eye"
    offset = mesh.points - EYE_CENTER * (side, 1, 1)
    angle = np.arctan2(offset[:, 1], offset[:, 2])
    loop = mesh.loops[name]
    slots = len(loop)
    # The right eye's loop starts at the inner corner; either way the first half of the slots is the upper lid.
    above, below = loop[:slots // 2 + 1], loop[np.r_[slots // 2:slots, 0]]

    def edge(ids: np.ndarray) -> np.ndarray:
        order = np.argsort(offset[ids, 0])
        return np.interp(offset[:, 0], offset[ids, 0][order], angle[ids][order])

    top, bottom = edge(above), edge(below)
    middle = bottom + MEETING * (top - bottom)
    opening = np.clip((top - bottom) / 0.5, 0, 1)
    is_upper = angle > middle
    turn = np.where(is_upper, upper * (middle - top - OVERLAP * opening), lower * (middle - bottom))
    rings = mesh.opening_ring[name].copy()
    socket = (mesh.part == assembly.SOCKET) & (mesh.points[:, 0] * side > 0)
    rings[socket] = np.array([0, 0, 2.2, 99, 99])[mesh.ring[socket]]
    fade = 1 - np.clip(rings / FADE_RINGS, 0, 1)
    # The brow and the side of the nose stay out of it.
    away = np.hypot(offset[:, 0] / 17.5, offset[:, 1] / np.where(offset[:, 1] > 0, 9.5, 10.5))
    fade = fade * (1 - smoothstep((away - 1.0) / 0.6))
    turn = turn * fade * (rings < FADE_RINGS)
    spread = np.abs(offset[loop, 0]).max() + 3
    turn = turn * (1 - smoothstep((np.abs(offset[:, 0]) - spread + 2) / 4))
    c, s = np.cos(turn), np.sin(turn)
    moved = offset.copy()
    moved[:, 1] = c * offset[:, 1] + s * offset[:, 2]
    moved[:, 2] = c * offset[:, 2] - s * offset[:, 1]
    # The upper lid closes in front of the lower one.
    shift = np.where(is_upper, 0.35 * upper, -0.15 * lower) * opening * fade * (rings < FADE_RINGS)
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    moved = moved * (1 + shift[:, None] / np.maximum(length, 1))
    return moved - offset
