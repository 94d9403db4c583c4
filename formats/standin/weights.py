"""The stand-in's joints, skinning weights and joint regressor."""

import numpy as np

from formats.standin import assembly, grid, surface
from formats.standin.assembly import Assembly
from formats.standin.features import EYE_CENTER

ROOT, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(5)
JOINTS = np.array([(0, -150, -22), (0, -92, -20), (0, -24, -2), EYE_CENTER, EYE_CENTER * (-1, 1, 1)])
"""Rest joints in millimetres."""
PARENTS = np.array([-1, 0, 1, 1, 1])
MOUTH_HALF = 25.0
TONGUE_FOLLOW = {4: 1.0, 5: 0.97, 6: 0.85, 7: 0.55, 8: 0.32, 9: 0.2}
"""How much of the jaw's turn each cavity ring's floor follows, from under the tongue to the throat."""


def mouth_ellipse(x: np.ndarray) -> np.ndarray:
    """Return 1 in the middle of the mouth and 0 at its corners, like half an open mouth's outline."""
    return np.sqrt(np.maximum(1 - np.abs(x / MOUTH_HALF) ** 2.4, 0))


def lip_side(mesh: Assembly) -> np.ndarray:
    """Return 1 above the mouth, -1 below, and a smooth passage through 0 around its corners, one per vertex."""
    p = mesh.points
    away = surface.smoothstep((np.abs(p[:, 1] - grid.mouth_line(p[:, 0])) - 0.3) / 14)
    outside = surface.smoothstep((np.abs(p[:, 0]) - 18) / 10)
    return mesh.lip * (1 - (1 - np.maximum(mouth_ellipse(p[:, 0]), away)) * np.maximum(outside, 1 - away))


def nominal_height(mesh: Assembly) -> np.ndarray:
    """Return heights before the jaw line's lift for skin, actual ones elsewhere."""
    return np.where(mesh.part == assembly.SKIN, mesh.chart[:, 1], np.maximum(mesh.points[:, 1], -100))


def edges(faces: np.ndarray) -> np.ndarray:
    """Return every undirected edge once, [edges, 2]."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(pairs, axis=0)


def smooth(values: np.ndarray, pairs: np.ndarray, pinned: np.ndarray, passes: int) -> np.ndarray:
    """Return per-vertex `values` after Laplacian passes that leave `pinned` vertices alone."""
    degree = np.maximum(np.bincount(pairs.ravel(), minlength=len(values)), 1)
    for _ in range(passes):
        total = (np.bincount(pairs[:, 0], values[pairs[:, 1]], len(values))
                 + np.bincount(pairs[:, 1], values[pairs[:, 0]], len(values)))
        values = np.where(pinned, values, 0.5 * values + 0.5 * total / degree)
    return values


def jaw_weights(mesh: Assembly) -> np.ndarray:
    """Return how much each vertex follows the jaw, 0..1."""
    p = mesh.points
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    height = nominal_height(mesh)
    # The border between head and jaw rises from the mouth to the ear and gets softer on the way.
    below = grid.MOUTH.center[1] + 0.52 * (80 - z) - y
    soft = 2.5 + 0.55 * np.maximum(x - 25, 0) + 0.30 * np.maximum(70 - z, 0)
    weight = surface.smoothstep(0.5 + below / (2 * soft))
    weight = weight * surface.smoothstep((z + 16) / 42) * (1 - surface.smoothstep((-111 - height) / 30))
    # Near the lips the label decides: the upper lip stays, the lower goes, corners do half.
    label = (1 - mesh.lip * mouth_ellipse(p[:, 0])) / 2
    near = (1 - surface.smoothstep((np.abs(y - grid.mouth_line(p[:, 0])) - 3) / 12))
    near = near * (1 - surface.smoothstep((x - 21) / 9)) * surface.smoothstep((z - 40) / 15)
    weight = weight * (1 - near) + label * near
    skin = mesh.part == assembly.SKIN
    loop = mesh.loops["mouth"]
    pinned = ~skin
    pinned[loop] = True
    weight[loop] = label[loop]
    weight = weight * surface.smoothstep((np.minimum(mesh.opening_ring["left_ear"],
                                                     mesh.opening_ring["right_ear"]) - 0.5) / 4)
    weight[~skin] = 0
    pairs = edges(mesh.faces[skin[mesh.faces].all(axis=1)])
    weight = smooth(weight, pairs, pinned, 6)
    inside = mesh.part == assembly.CAVITY
    follow = np.array([TONGUE_FOLLOW.get(int(r), 1.0 if r < 4 else 0.15) for r in mesh.ring[inside]])
    lips = weight[loop][mesh.slot[inside]]
    by_label = np.where(mesh.lip[inside] < 0, follow, np.where(mesh.lip[inside] > 0, 0, 0.5 * follow))
    weight[inside] = np.where(mesh.ring[inside] <= 2, lips, by_label)
    weight[mesh.part == assembly.TEETH] = mesh.lip[mesh.part == assembly.TEETH] < 0
    return (weight + weight[mesh.mirror]) / 2


def skinning(mesh: Assembly) -> np.ndarray:
    """Return skinning weights [V, 5]; rows sum to 1."""
    weights = np.zeros((len(mesh.points), 5))
    jaw = jaw_weights(mesh)
    root = np.where(mesh.part == assembly.SKIN, surface.smoothstep((-117 - nominal_height(mesh)) / 46), 0)
    weights[:, JAW] = jaw * (1 - root)
    weights[:, ROOT] = root
    weights[:, NECK] = 1 - weights[:, JAW] - root
    for joint, side in ((LEFT_EYE, 1), (RIGHT_EYE, -1)):
        ball = (mesh.part == assembly.BALL) & (mesh.points[:, 0] * side > 0)
        weights[ball] = np.eye(5)[joint]
    return weights


def regressor(mesh: Assembly, points: np.ndarray) -> np.ndarray:
    """Return the joint regressor [5, V]: few vertices per joint, non-negative, rows sum to 1, joints hit exactly.

    Eyes are the mean of their ball. Others weigh rings of the head around the joint by the exponential tilt of uniform
    weights (the maximum-entropy solution, found with Newton's method), which cannot become negative.

    Args:
        mesh: Which vertices are where.
        points: The vertices as they will be stored, [V, 3] in millimetres.
    """
    table = np.zeros((5, len(mesh.points)))
    p = mesh.points
    skin = (mesh.part == assembly.SKIN)
    neck = skin & (nominal_height(mesh) < -118)
    around = {ROOT: neck & (np.abs(p[:, 1] - JOINTS[ROOT, 1]) < 22), NECK: skin & (p[:, 1] < -60) & (p[:, 1] > -130),
              JAW: skin & (np.abs(p[:, 1] - JOINTS[JAW, 1]) < 30) & (np.abs(p[:, 0]) > 40) & (np.abs(p[:, 2]) < 60)}
    for joint, chosen in around.items():
        table[joint, chosen] = _tilted(points[chosen] - JOINTS[joint])
    for joint, side in ((LEFT_EYE, 1), (RIGHT_EYE, -1)):
        ball = np.flatnonzero((mesh.part == assembly.BALL) & (p[:, 0] * side > 0))
        table[joint, ball] = _tilted(points[ball] - JOINTS[joint])
    return table


def _tilted(offset: np.ndarray) -> np.ndarray:
    """Return positive weights that sum to 1 and average `offset` [N, 3] to zero."""
    tilt = np.zeros(3)
    scaled = offset / np.abs(offset).max()
    for _ in range(60):
        weight = np.exp(scaled @ tilt)
        weight /= weight.sum()
        mean = weight @ scaled
        spread = (scaled * weight[:, None]).T @ scaled - np.outer(mean, mean)
        step = np.linalg.solve(spread + 1e-14 * np.eye(3), mean)
        tilt -= step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
        if np.abs(mean).max() < 1e-16:
            break
    return weight
