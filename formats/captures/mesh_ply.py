"""Triangle meshes as binary PLY files."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int32


def write_ply(path: Path, vertices: Float[np.ndarray, "V 3"], faces: Int32[np.ndarray, "F 3"]) -> None:
    """Write vertices, metres, as floats, and triangles as lists of integers; little-endian."""
    header = (f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\n"
              f"property float z\nelement face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n")
    rows = np.zeros(len(faces), [("count", "u1"), ("ids", "<i4", (3,))])
    rows["count"], rows["ids"] = 3, faces
    path.write_bytes(header.encode() + vertices.astype("<f4").tobytes() + rows.tobytes())
