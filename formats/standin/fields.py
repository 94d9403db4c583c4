"""Displacement fields on the stand-in: blobs, masks, left/right splits and smooth noise. Millimetres."""

from dataclasses import dataclass

import numpy as np

from formats.standin import assembly, weights
from formats.standin.assembly import Assembly
from formats.standin.features import EYE_CENTER
from formats.standin.surface import smoothstep

SPLIT = 9.0
"""Half-width of the passage between a left shape and its right partner across the mid-line."""


@dataclass(frozen=True)
class Fields:
    """What directions are made from: neutral points and the masks that every shape uses, one value per vertex."""

    mesh: Assembly
    points: np.ndarray
    soft: np.ndarray
    """1 where flesh moves with an expression: skin, ears, lid edges, lips; falling to 0 inside the mouth."""
    upper: np.ndarray
    """1 above the mouth, 0 below, one half at its corners."""
    left: np.ndarray
    """1 on the subject's left, 0 on the right."""
    face: np.ndarray
    """1 on the face's front, 0 on scalp, neck, ears and behind."""
    jaw: np.ndarray
    """Jaw skinning weight."""

    def blob(self, center: tuple[float, float, float], sigma: tuple[float, float, float],
             move: tuple[float, float, float], mirrored: bool = True) -> np.ndarray:
        """Return a Gaussian blob of displacement [V, 3], with its mirror image unless told otherwise."""
        result = np.zeros_like(self.points)
        for side in (1, -1) if mirrored else (1,):
            offset = (self.points - np.array(center) * (side, 1, 1)) / sigma
            result += np.exp(-0.5 * (offset**2).sum(axis=1))[:, None] * (np.array(move) * (side, 1, 1))
        return result * self.soft[:, None]

    def halves(self, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the left and the right part of a displacement; they add up to it."""
        return shape * self.left[:, None], shape * (1 - self.left)[:, None]


def make(mesh: Assembly) -> Fields:
    """Return the fields of a mesh."""
    p = mesh.points
    soft = np.isin(mesh.part, (assembly.SKIN, assembly.EAR)).astype(float)
    soft[(mesh.part == assembly.SOCKET) & (mesh.ring == 1)] = 1
    soft[(mesh.part == assembly.SOCKET) & (mesh.ring == 2)] = 0.7
    inside = mesh.part == assembly.CAVITY
    soft[inside] = np.array([1.0, 1.0, 0.85, 0.1, *[0.0] * 8])[mesh.ring[inside]]
    front = smoothstep((p[:, 2] - 5) / 40) * (1 - smoothstep((p[:, 1] - 45) / 35)) * smoothstep((p[:, 1] + 122) / 16)
    for side in (1, -1):
        away = np.linalg.norm(p - EYE_CENTER * (side, 1, 1), axis=1)
        front = front * smoothstep((away - 14) / 14)
    # The mouth's lining follows its lips.
    lips = mesh.loops["mouth"]
    points = p.copy()
    lining = inside & (mesh.ring <= 2)
    points[lining] = p[lips][mesh.slot[lining]]
    upper = (1 + weights.lip_side(mesh)) / 2
    upper[lining] = upper[lips][mesh.slot[lining]]
    return Fields(mesh, points, soft, upper, smoothstep(0.5 + points[:, 0] / (2 * SPLIT)), front * soft,
                  weights.jaw_weights(mesh))


def smooth_noise(rng: np.random.Generator, count: int, lowest: float, highest: float, points: np.ndarray,
                 mask: np.ndarray, decay: float, amplitude: float) -> np.ndarray:
    """Return smooth displacement fields [V, 3, count]: sums of cosines; two in three symmetric, one antisymmetric.

    Args:
        rng: Where randomness comes from.
        count: How many.
        lowest: Cycles per 100 mm of the first field.
        highest: Cycles per 100 mm of the last.
        points: Neutral points [V, 3], millimetres.
        mask: Where they act, [V].
        decay: Amplitudes fall as (k + 1) to this power.
        amplitude: Root mean square of the first field over the mask, millimetres.
    """
    waves = 3
    frequency = np.repeat(np.linspace(lowest, highest, count), waves)
    direction = rng.normal(size=(3, count * waves))
    direction *= 2 * np.pi * frequency / 100 / np.linalg.norm(direction, axis=0)
    phase, move = rng.uniform(0, 2 * np.pi, count * waves), rng.normal(size=(3, count, waves))
    sign = np.where(np.arange(count) % 3 < 2, 1.0, -1.0)

    def cosines(at: np.ndarray) -> np.ndarray:
        return np.cos((at @ direction + phase).astype(np.float32)).reshape(len(points), count, waves)

    fields = np.einsum("vkw,ckw->vck", cosines(points), move.astype(np.float32))
    flipped = np.einsum("vkw,ckw->vck", cosines(points * (-1, 1, 1)), move.astype(np.float32))
    fields = fields + sign * flipped * np.array([-1, 1, 1])[:, None]
    flat = (fields * mask[:, None, None]).reshape(-1, count)
    # Gram-Schmidt in the order of rising frequency, by Cholesky: a tenth of a QR's time on two busy cores. The ridge
    # keeps fields that are nearly alike from being blown up.
    gram = flat.T @ flat
    gram += 1e-9 * np.trace(gram) / count * np.eye(count)
    basis = flat @ np.linalg.inv(np.linalg.cholesky(gram)).T
    scale = amplitude * np.arange(1, count + 1) ** decay * np.sqrt(3 * max(mask.sum(), 1))
    return (basis * scale).reshape(len(points), 3, count)
