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
