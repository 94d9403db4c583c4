"""The stand-in's 300 identity directions: 20 named ones, then smooth noise. Millimetres at coefficient 1."""

import numpy as np

from formats.standin import assembly
from formats.standin.features import EYE_CENTER, bump, lip_fraction
from formats.standin.fields import Fields, smooth_noise
from formats.standin.surface import smoothstep

COUNT = 300
NAMES = ("head width", "head height", "head depth", "size", "jaw width", "chin forward", "chin length", "nose length",
         "nose width", "bridge", "brow ridge", "cheekbone", "cheek fat", "eye spacing", "lip fullness", "mouth width",
         "forehead slope", "ear size", "neck width", "back of head")
SEED = 20240608
MOUTH_CENTER = np.array([0, -66.0, 70.0])


def _named(q: np.ndarray, upper: np.ndarray, ear: np.ndarray) -> np.ndarray:
    """Return the named fields [V, 3, 20] at points `q`, without regard to what must stay rigid."""
    x, y, z = q.T
    zero = 0 * x
    front = smoothstep((z - 5) / 40)
    sign = np.clip(x / 12, -1, 1)

    def pair(cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
        return (bump(q, cx, cy, sx, sy) + bump(q, -cx, cy, sx, sy)) * front

    def single(cy: float, sx: float, sy: float) -> np.ndarray:
        return bump(q, 0, cy, sx, sy) * front

    def move(dx: np.ndarray, dy: np.ndarray, dz: np.ndarray) -> np.ndarray:
        return np.stack([dx + zero, dy + zero, dz + zero], axis=1)

    below = smoothstep((-40 - y) / 50) * smoothstep((y + 150) / 30)
    chin = smoothstep((-74 - y) / 22) * (1 - smoothstep((-116 - y) / 24)) * front
    lips = (1 - smoothstep((lip_fraction(q, upper) - 0.6) / 1.4)) * (1 - smoothstep((np.abs(x) - 20) / 8)) * front
    skull = smoothstep((y + 130) / 60)
    return np.stack([
        move(0.035 * x * skull, zero, zero), move(zero, 0.028 * y, zero), move(zero, zero, 0.030 * z * skull),
        0.022 * q, move(0.05 * x * below * smoothstep((z + 40) / 40), zero, zero), move(zero, -0.5 * chin, 2.6 * chin),
        move(zero, -2.8 * chin, zero),
        move(zero, -2.0 * single(-42, 11, 9), 1.8 * single(-36, 9, 10)),
        move(1.5 * (bump(q, 12, -42, 6, 7) - bump(q, -12, -42, 6, 7)) * front, zero, zero),
        move(zero, zero, 1.7 * single(-10, 6, 13)), move(zero, zero, 1.6 * pair(24, 16, 15, 7)),
        move(0.9 * sign * pair(46, -22, 12, 9), zero, 1.8 * pair(46, -22, 12, 9)),
        move(2.2 * sign * pair(42, -52, 14, 16), zero, 1.6 * pair(38, -50, 15, 16)),
        move(1.3 * (bump(q, 31.5, 0, 16, 14) - bump(q, -31.5, 0, 16, 14)) * front, zero, zero),
        move(zero, zero, 1.2 * lips), move(0.075 * x * single(-66, 26, 12), zero, zero),
        move(zero, zero, -2.8 * single(58, 60, 24)), move(0.9 * ear * sign, 0.07 * (y + 15) * ear, -0.05 * (z + 18) * ear),
        move(0.05 * x * smoothstep((-100 - y) / 20), zero, 0.04 * (z + 15) * smoothstep((-100 - y) / 20)),
        move(zero, zero, -3.2 * smoothstep((-30 - z) / 60) * smoothstep((y + 70) / 50))], axis=-1)


def directions(f: Fields) -> np.ndarray:
    """Return the identity directions [V, 3, 300]; eyeballs and teeth move as rigid pieces with the face around them."""
    mesh = f.mesh
    p = mesh.points
    rigid = np.concatenate([p, EYE_CENTER[None], EYE_CENTER[None] * (-1, 1, 1), MOUTH_CENTER[None]])
    upper = np.append(mesh.lip > 0, [True, True, True])
    ear = np.append((mesh.part == assembly.EAR).astype(float), [0, 0, 0])
    rng = np.random.default_rng(SEED)
    plain = np.append((mesh.part != assembly.TEETH).astype(float), [1, 1, 1])  # the same people with and without teeth
    noise = smooth_noise(rng, COUNT - len(NAMES), 0.12, 1.6, rigid, plain, -0.7, 1.4)
    fields = np.concatenate([_named(rigid, upper, ear), noise], axis=2)
    table = fields[:len(p)].copy()
    for k, side in ((0, 1), (1, -1)):
        away = np.linalg.norm(p - EYE_CENTER * (side, 1, 1), axis=1)
        hold = 1 - smoothstep((away - 15) / 14)
        hold[(mesh.part == assembly.BALL) & (p[:, 0] * side > 0)] = 1
        hold[(mesh.part == assembly.BALL) & (p[:, 0] * side < 0)] = 0
        table += hold[:, None, None] * (fields[len(p) + k] - table)
    hold = np.where(mesh.part == assembly.CAVITY, smoothstep((mesh.ring - 1) / 3), 0.0)
    hold[mesh.part == assembly.TEETH] = 1
    table += hold[:, None, None] * (fields[len(p) + 2] - table)
    return table
