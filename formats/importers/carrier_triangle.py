"""A triangle for heads that have none: files of a head without any are no glTF, and strands need a face to ride."""

import numpy as np
from jaxtyping import Float64

CARRIER = 0.005
"""Metres, the legs. Small enough to lie hidden in a head, large enough that float32 positions a metre away turn it by less
than 1.2e-5 rad."""


def carrier() -> tuple[Float64[np.ndarray, "3 3"], np.ndarray]:
    """Return the vertices (metres, rest space) and the one face of a small triangle at the origin.

    Its first corner is the origin and its axes (`deform.triangle_frames`) are the world's, so offsets from it are rest
    positions.
    """
    return np.array([[0.0, 0, 0], [CARRIER, 0, 0], [0, 0, -CARRIER]]), np.array([[0, 1, 2]])
