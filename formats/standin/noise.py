"""Smooth random fields in space, for skin, hair and iris detail."""

import numpy as np

TABLE = 64
"""Cells after which the lattice repeats."""


def value_noise(points: np.ndarray, wavelength: float, seed: int) -> np.ndarray:
    """Return smooth values about 0 with unit spread at points [P, 3] or [P, 2], float32.

    Args:
        points: Any unit.
        wavelength: Distance between independent values, in that unit.
        seed: Which field.
    """
    rng = np.random.default_rng(seed)
    dimensions = points.shape[1]
    table = rng.standard_normal((TABLE,) * dimensions).astype(np.float32)
    scaled = points.astype(np.float32) / np.float32(wavelength) + rng.random(dimensions).astype(np.float32) * TABLE
    cell = np.floor(scaled)
    f = scaled - cell
    f = f * f * (3 - 2 * f)
    low = cell.astype(np.int32) % TABLE
    high = (low + 1) % TABLE
    flat, stride = table.ravel(), TABLE ** np.arange(dimensions)[::-1]
    total = np.zeros(len(points), np.float32)
    for corner in range(2**dimensions):
        index, weight = 0, np.float32(1)
        for axis in range(dimensions):
            upper = corner >> axis & 1
            index = index + (high if upper else low)[:, axis] * stride[axis]
            weight = weight * (f[:, axis] if upper else 1 - f[:, axis])
        total += weight * flat[index]
    return total * np.float32(1.9 if dimensions == 3 else 1.55)
