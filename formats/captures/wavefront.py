"""Wavefront OBJ files of one mesh in many poses."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int32


def face_lines(faces: Int32[np.ndarray, "F 3"]) -> bytes:
    """Return the `f` lines of triangles; OBJ counts from 1."""
    return ("f %d %d %d\n" * len(faces) % tuple((faces + 1).ravel().tolist())).encode()


def write_obj(path: Path, vertices: Float[np.ndarray, "V 3"], faces: bytes) -> None:
    """Write vertices, metres, with eight decimals, and the triangles of `face_lines`."""
    path.write_bytes(("v %.8f %.8f %.8f\n" * len(vertices) % tuple(vertices.ravel().tolist())).encode() + faces)
