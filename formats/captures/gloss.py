"""Shine that moves as the head turns: spherical harmonics of degree 2 for skin, eyes and hair, in the head's axes.

The stand-in's colours hold the light as a camera in front sees it. What is added here is zero from there.
"""

import functools

import numpy as np
from jaxtyping import Float64

from formats.rotations import normalize
from formats.spherical_harmonics import sh_basis
from formats.standin.studio import LAMPS, sphere_directions

DEGREE = 2
DARKEST = 0.3
"""Share of its colour that a shine which moves away may take from a Gaussian."""
CONE = np.cos(np.radians(62))
"""Directions that a camera may look from, about the front; farther round the shine is drawn to nothing."""
SAMPLES = 220
SHINES = 4
"""The lamps that count; the last one is the floor."""


@functools.cache
def _sampling() -> tuple[np.ndarray, np.ndarray]:
    """Return view directions in the cone [D, 3] (from the head to the camera) and the matrix [9, D] that fits harmonics.

    Values outside the cone are wanted to be zero, so only those inside are needed.
    """
    towards = sphere_directions(SAMPLES)
    inside = towards[:, 2] > CONE
    weight = np.where(inside, 1.0, 0.25)
    # Harmonics meet the direction from the camera to the Gaussian.
    basis = sh_basis(-towards, DEGREE)
    return towards[inside], (np.linalg.pinv(basis * weight[:, None]) * weight[None])[:, inside]


def surface(normals: Float64[np.ndarray, "N 3"], strength: np.ndarray, tightness: float) -> Float64[np.ndarray, "N 9 3"]:
    """Return the shine of surfaces (Blinn 1977), as an addition to display colours.

    Args:
        normals: Unit, in the head's axes.
        strength: Display sRGB at full shine [N].
        tightness: The exponent.
    """
    towards, fit = _sampling()
    total = np.zeros((len(normals), len(towards)))
    for direction, tight, rgb in LAMPS[:SHINES]:
        half_way = normalize(towards + normalize(np.array(direction)))
        power = np.mean(rgb) / np.sqrt(tight)
        total += power * np.maximum(normals @ half_way.T, 0) ** tightness
    total *= np.maximum(normals @ towards.T, 0) ** 0.5
    return _harmonics(total * strength[:, None], fit)


def fibers(along: Float64[np.ndarray, "N 3"], outward: Float64[np.ndarray, "N 3"],
           strength: np.ndarray) -> Float64[np.ndarray, "N 9 3"]:
    """Return the shine of hairs (Kajiya, Kay 1989) along unit directions, as an addition to display colours."""
    towards, fit = _sampling()
    total = np.zeros((len(along), len(towards)))
    for direction, tight, rgb in LAMPS[:SHINES]:
        lamp = normalize(np.array(direction))
        half_way = normalize(towards + lamp)
        sine = np.maximum(1 - (along @ half_way.T) ** 2, 0)
        total += np.mean(rgb) / np.sqrt(tight) * sine**14 * np.maximum(outward @ lamp + 0.2, 0)[:, None]
    total *= np.maximum(outward @ towards.T + 0.2, 0)
    return _harmonics(total * strength[:, None], fit)


def _harmonics(values: np.ndarray, fit: np.ndarray) -> np.ndarray:
    sh = values @ fit.T
    front = sh_basis(np.array([[0, 0, -1.0]]), DEGREE)[0]
    sh[:, 0] -= (sh @ front) / front[0]
    return np.repeat(sh[:, :, None], 3, axis=2)


def bounded(sh: Float64[np.ndarray, "N 9 3"], rgb: np.ndarray) -> Float64[np.ndarray, "N 9 3"]:
    """Return shines weakened where they would take more than `DARKEST` of the display colours `rgb` [N, 3] anywhere."""
    towards, _ = _sampling()
    basis = sh_basis(-towards, DEGREE)
    least = (sh[:, :, 0] @ basis.T).min(axis=1)
    allowed = np.minimum(DARKEST * rgb.mean(axis=1), 0.7 * rgb.min(axis=1))
    return sh * np.minimum(1, allowed / np.maximum(-least, 1e-6))[:, None, None]
