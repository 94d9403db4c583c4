"""The two slabs of teeth that VHAP and GaussianAvatars build from the lip rings: 120 vertices, 168 faces, 120 UVs."""

import numpy as np

from tests.originals.flame import Tables
from tests.originals.flame_template import LIP_LOWER, LIP_UPPER, template

FIRST = 5023
U_ROWS = (3, 2, 0, 1, 3, 4, 6, 5)
"""Per row which of the seven heights its UVs have."""


def _strip(kind: str, a: int, b: int) -> list[tuple[int, int, int]]:
    """Return one strip of 28 faces between two rows; the diagonal flips at the mid column."""
    made = []
    for i in range(14):
        ai, an, bi, bn = (FIRST + 15 * row + column for row in (a, b) for column in (i, i + 1))
        left = i < 7
        if kind == "P":
            made += [(ai, bn, bi), (ai, an, bn)] if left else [(ai, an, bi), (an, bn, bi)]
        elif kind == "Q":
            made += [(ai, bi, bn), (ai, bn, an)] if left else [(ai, bi, an), (an, bi, bn)]
        elif kind == "S":
            made += [(ai, bi, an), (an, bi, bn)] if left else [(ai, bi, bn), (ai, bn, an)]
        else:
            made += [(ai, an, bi), (an, bn, bi)] if left else [(ai, bn, bi), (ai, an, bn)]
    return made


def teeth_faces() -> np.ndarray:
    """Return the 168 faces [168, 3], upper block first."""
    order = (("P", 0, 2), ("Q", 4, 5), ("S", 5, 2), ("T", 3, 1), ("P", 6, 7), ("T", 7, 3))
    return np.array([face for kind, a, b in order for face in _strip(kind, a, b)])


def add_teeth(tables: Tables) -> dict[str, np.ndarray]:
    """Return FLAME tables with teeth: 5143 vertices, 10 144 faces; `posedirs` becomes [36, 15429]."""
    v = tables["v_template"]
    upper, lower = np.array(LIP_UPPER), np.array(LIP_LOWER)
    d = np.linalg.norm(v[upper] - v[lower], axis=1).mean()
    middle = (v[upper] + v[lower]) / 2
    middle[:, 1] = middle[:, 1].mean()
    middle[:, 2] -= 1.5 * d
    x, y, z = np.eye(3)
    edge_up, edge_down = middle + 0.1 * d * y, middle - 0.1 * d * y - 0.4 * d * z
    root_up, root_down = edge_up + 2 * d * y, edge_down - 2 * d * y
    back = -d * z
    rows = (root_up, root_down, edge_up, edge_down, root_up + back, edge_up + back, root_down + back, edge_down + back)
    shapedirs = (tables["shapedirs"][upper] + tables["shapedirs"][lower]) / 2
    shapedirs[:, :, 300:] = 0
    weights = np.zeros((8, 15, 5))
    weights[[0, 2, 4, 5], :, 1] = 1
    weights[[1, 3, 6, 7], :, 2] = 1
    return dict(tables) | {
        "v_template": np.concatenate([v, *rows]), "f": np.concatenate([tables["f"], teeth_faces()]),
        "shapedirs": np.concatenate([tables["shapedirs"], np.tile(shapedirs, (8, 1, 1))]),
        "posedirs": np.concatenate([tables["posedirs"], np.zeros((36, 360))], axis=1),
        "J_regressor": np.concatenate([tables["J_regressor"], np.zeros((5, 120))], axis=1),
        "weights": np.concatenate([tables["weights"], weights.reshape(-1, 5)])}


def uv_layout() -> tuple[np.ndarray, np.ndarray]:
    """Return UVs [5238, 2], v upward, and their faces [10144, 3]; lower teeth lie over upper ones."""
    u, v = np.linspace(0.62, 0.38, 15), np.linspace(0.9917, 0.9575, 7)
    more = np.concatenate([np.stack([u, np.full(15, v[k])], axis=1) for k in U_ROWS])
    return (np.concatenate([template().uvs, more]),
            np.concatenate([template().uv_faces, teeth_faces() - FIRST + len(template().uvs)]))
