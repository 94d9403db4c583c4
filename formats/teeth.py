"""Teeth for FLAME, which has none: two rows between its lips, as VHAP and GaussianAvatars add them.

5023 vertices and 9976 faces become 5143 and 10144. Files of GaussianAvatars, OSGAP and VHAP number their faces, and static
offsets their vertices, on this mesh, so order and winding are theirs; the shapes come from formulas of the lips alone.
Qian et al., "GaussianAvatars", CVPR 2024, section 3; the released tracker's geometry, checked face by face.

Eight rows of 15 columns, corner to corner: upper root, lower root, upper edge, lower edge, then the backs: upper root,
upper edge, lower root, lower edge.
"""

import dataclasses

import numpy as np
from jaxtyping import Float64, Int32

from formats.errors import CheckpointMismatch
from formats.head_model import HeadModel

BARE, WITH_TEETH = (5023, 9976), (5143, 10144)
"""Vertices and faces of FLAME, and with teeth."""
COLUMNS = 15
UPPER_LIP = (1713, 1715, 1716, 1735, 1696, 1694, 1657, 3543, 2774, 2811, 2813, 2850, 2833, 2832, 2830)
LOWER_LIP = (1576, 1577, 1773, 1774, 1795, 1802, 1865, 3503, 2948, 2905, 2898, 2881, 2880, 2713, 2712)
"""FLAME's vertices around the outer lips, column after column."""
UPPER_ROWS, LOWER_ROWS = (0, 2, 4, 5), (1, 3, 6, 7)
UV_ACROSS, UV_DOWN = (0.62, 0.38), (1 - 0.9917, 1 - 0.9575)
"""Where the rows lie on the texture: u from the first column to the last, v (downwards) from the first level to the last."""
UV_LEVELS = (3, 2, 0, 1, 3, 4, 6, 5)
"""Each row's level, of seven; the lower teeth overlap the upper ones."""


def has_teeth(head: HeadModel) -> bool:
    """Tell whether the head has the sizes of FLAME with teeth.

    Raises:
        CheckpointMismatch: It has neither those nor FLAME's own.
    """
    sizes = (len(head.v_template), len(head.faces))
    if sizes not in (BARE, WITH_TEETH):
        raise CheckpointMismatch(f"the head has {sizes[0]} vertices and {sizes[1]} faces; expected FLAME's {BARE[0]} and "
                                 f"{BARE[1]}, or {WITH_TEETH[0]} and {WITH_TEETH[1]} with teeth: pass one from `flameport head`")
    return sizes == WITH_TEETH


def add_teeth(head: HeadModel) -> HeadModel:
    """Return FLAME's head with teeth: vertices 5023..5142, faces 9976..10143; regions `teeth`, `teeth_upper`, `teeth_lower`.

    The upper row moves with the neck joint, the lower with the jaw. No expression, lid or pose corrective moves either, and
    no joint depends on them; identity moves a column as it moves the lips above and below it, on average. The edition's
    hash stays: coefficients mean the same.

    Args:
        head: FLAME before a person is put in: the rows are built on the mean lips, identity moves them afterwards.

    Raises:
        CheckpointMismatch: The head's vertices are not FLAME's, or a person is in it already.
    """
    if has_teeth(head):
        raise CheckpointMismatch(f"the head has {WITH_TEETH[0]} vertices: it has teeth already")
    if head.shapedirs is None:
        raise CheckpointMismatch("teeth are built on FLAME's mean face, and this head has no identity directions left: pass the "
                                 "head from `flameport head`, not an avatar's")
    count = 8 * COLUMNS
    upper, lower = np.array(UPPER_LIP), np.array(LOWER_LIP)
    weights = np.zeros((8, COLUMNS, head.lbs_weights.shape[1]))
    weights[UPPER_ROWS, :, head.joint_roles["neck"]] = 1
    weights[LOWER_ROWS, :, head.joint_roles["jaw"]] = 1
    identity = np.tile((head.shapedirs[upper].astype(np.float64) + head.shapedirs[lower]) / 2, (8, 1, 1))
    rows = (BARE[0] + np.arange(count)).reshape(8, COLUMNS)

    def still(table: np.ndarray | None) -> np.ndarray | None:
        return None if table is None else np.concatenate([table, np.zeros((count, *table.shape[1:]), np.float32)])

    changed: dict[str, object] = {
        "v_template": np.concatenate([head.v_template, _rows(head.v_template.astype(np.float64)).reshape(-1, 3)]),
        "faces": np.concatenate([head.faces, BARE[0] + _faces()]),
        "shapedirs": np.concatenate([head.shapedirs, identity]),
        "exprdirs": still(head.exprdirs), "posedirs": still(head.posedirs), "eyeliddirs": still(head.eyeliddirs),
        "lbs_weights": np.concatenate([head.lbs_weights, weights.reshape(count, -1)]),
        "regions": {**head.regions, "teeth": rows.ravel(), "teeth_upper": rows[list(UPPER_ROWS)].ravel(),
                    "teeth_lower": rows[list(LOWER_ROWS)].ravel()},
    }
    if head.J_regressor is not None:
        changed["J_regressor"] = np.concatenate([head.J_regressor, np.zeros((len(head.J_regressor), count))], axis=1)
    if head.uvs is not None and head.uv_faces is not None:
        changed["uvs"] = np.concatenate([head.uvs, _uvs()])
        changed["uv_faces"] = np.concatenate([head.uv_faces, len(head.uvs) + _faces()])
    return dataclasses.replace(head, **changed)  # type: ignore[arg-type]


def _rows(lips: np.ndarray) -> Float64[np.ndarray, "8 15 3"]:
    upper, lower = lips[list(UPPER_LIP)], lips[list(LOWER_LIP)]
    gap = float(np.linalg.norm(upper - lower, axis=1).mean())
    middle = (upper + lower) / 2
    middle[:, 1] = middle[:, 1].mean()
    middle[:, 2] -= 1.5 * gap
    upper_edge = middle + [0, 0.1 * gap, 0]
    lower_edge = middle - [0, 0.1 * gap, 0.4 * gap]
    upper_root, lower_root = upper_edge + [0, 2 * gap, 0], lower_edge - [0, 2 * gap, 0]
    fronts = [upper_root, lower_root, upper_edge, lower_edge]
    backs = [row - [0, 0, gap] for row in (upper_root, upper_edge, lower_root, lower_edge)]
    return np.stack(fronts + backs)


def _uvs() -> np.ndarray:
    across, down = np.linspace(*UV_ACROSS, COLUMNS), np.linspace(*UV_DOWN, 7)[list(UV_LEVELS)]
    return np.stack(np.broadcast_arrays(across[None], down[:, None]), axis=-1).reshape(-1, 2).astype(np.float32)


_QUADS = {"P": ("A0 B1 B0, A0 A1 B1", "A0 A1 B0, A1 B1 B0"), "Q": ("A0 B0 B1, A0 B1 A1", "A0 B0 A1, A1 B0 B1"),
          "S": ("A0 B0 A1, A1 B0 B1", "A0 B0 B1, A0 B1 A1"), "T": ("A0 A1 B0, A1 B1 B0", "A0 B1 B0, A0 A1 B1")}
"""How a quad between columns 0 and 1 of rows A and B is cut in two, in the first half of the columns and in the second."""
_STRIPS = (("P", 0, 2), ("Q", 4, 5), ("S", 5, 2), ("T", 3, 1), ("P", 6, 7), ("T", 7, 3))
"""Cut, row A, row B: the upper teeth's front, back and edge, then the lower teeth's front, back and edge."""


def _faces() -> Int32[np.ndarray, "168 3"]:
    """Return corners as 15 row + column."""
    faces = []
    for cut, a, b in _STRIPS:
        row = {"A": COLUMNS * a, "B": COLUMNS * b}
        for column in range(COLUMNS - 1):
            for corners in _QUADS[cut][column >= COLUMNS // 2].split(", "):
                faces.append([row[name] + column + int(step) for name, step in corners.split()])
    return np.array(faces, np.int32)
