"""Smooth random fields in space, for skin, hair and iris detail."""

import numpy as np

TABLE = 32
"""Cells after which the lattice repeats; small, so that it stays in the processor's cache."""


def value_noise(points: np.ndarray, wavelength: float | int, seed: int) -> np.ndarray:
    """Return smooth values about 0 with unit spread at points [P, 3] or [P, 2], float32.

    Args:
        points: Any unit.
        wavelength: Distance between independent values, in that unit.
        seed: Which field.
    """
    rng = np.random.default_rng(seed)
    dimensions = points.shape[1]
    table = np.pad(rng.standard_normal((TABLE,) * dimensions), [(0, 1)] * dimensions, mode="wrap").astype(np.float32)
    start = rng.random(dimensions) * TABLE
    stride = (TABLE + 1) ** np.arange(dimensions)[::-1]
    base, fractions = np.zeros(len(points), np.int32), []
    for axis in range(dimensions):
        scaled = points[:, axis].astype(np.float32) * np.float32(1 / wavelength) + np.float32(start[axis])
        cell = np.floor(scaled)
        f = scaled - cell
        fractions.append(f * f * (3 - 2 * f))
        base += (cell.astype(np.int32) & (TABLE - 1)) * np.int32(stride[axis])
    flat = table.ravel()
    offsets = [sum(int(stride[axis]) for axis in range(dimensions) if corner >> axis & 1)
               for corner in range(2**dimensions)]
    # Interpolating one axis after the other halves the values each time.
    values = [flat.take(base + np.int32(offset)) for offset in offsets]
    for f in fractions:
        values = [low + f * (high - low) for low, high in zip(values[::2], values[1::2], strict=True)]
    return values[0] * np.float32(1.9 if dimensions == 3 else 1.55)
