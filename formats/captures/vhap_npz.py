"""VHAP's parameter files: FLAME's parameters by VHAP's names, of one moment or of a whole sequence."""

import numpy as np

from formats.captures.coefficients import columns, shape_of
from formats.captures.shots import Take

EXPRESSIONS, IDENTITY = 100, 300
VERTICES = 5143
"""FLAME's and VHAP's teeth; the offsets are of all of them."""
CANONICAL_JAW = 0.3
"""Radians."""

Arrays = dict[str, np.ndarray]


def _plain(arrays: Arrays) -> Arrays:
    return {name: (value + 0.0).astype(np.float32) for name, value in arrays.items()}


def parameters(take: Take, row: int, shift: np.ndarray) -> Arrays:
    """Return one moment's parameters in a world whose origin is `shift`, metres [3]."""
    s = take.sequence
    return _plain({
        "translation": s.translation[row][None] - shift, "rotation": s.rotation[row][None], "neck_pose": s.neck[row][None],
        "jaw_pose": s.jaw[row][None], "eyes_pose": s.eyes[row][None], "shape": shape_of(take, IDENTITY),
        "expr": columns(s.expr[row][None], EXPRESSIONS, "expression"), "static_offset": np.zeros((1, VERTICES, 3)),
    })


def canonical(take: Take) -> Arrays:
    """Return the person at rest with the jaw open."""
    zeros = {"translation": 3, "rotation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6, "expr": EXPRESSIONS}
    arrays = {name: np.zeros((1, width)) for name, width in zeros.items()}
    arrays["jaw_pose"][0, 0] = CANONICAL_JAW
    return _plain({**arrays, "shape": shape_of(take, IDENTITY), "static_offset": np.zeros((1, VERTICES, 3))})


def tracked(take: Take, width: int, height: int) -> Arrays:
    """Return a sequence's tracker output, T moments; the cameras are calibrated, so it holds none.

    Texture and light are left out: the stand-in is not in their space.
    """
    s = take.moments
    moments = len(s)
    return {
        **_plain({"rotation": s.rotation, "translation": s.translation, "neck_pose": s.neck, "jaw_pose": s.jaw,
                  "eyes_pose": s.eyes, "shape": shape_of(take, IDENTITY), "expr": columns(s.expr, EXPRESSIONS, "expression"),
                  "static_offset": np.zeros((1, VERTICES, 3))}),
        "timestep_id": np.array([f"{t:05d}" for t in range(moments)]), "n_processed_frames": np.array(moments),
        "image_size": np.array([height, width]),
    }
