"""The 68 landmarks of a posed head in a picture: the jaw's outline for the head's turn, then the 51 static ones."""

import numpy as np
from jaxtyping import Float64

from formats.camera import Camera
from formats.head_model import HeadModel
from formats.render import to_camera

MOST_YAW = 39
"""Degrees: the dynamic tables' last row (DECA: Feng et al., ACM TOG 2021)."""


def on_picture(points: np.ndarray, camera: Camera) -> Float64[np.ndarray, "N 2"]:
    """Return world points [N, 3] in pixels."""
    seen = to_camera(points, camera) @ camera.K.T
    return seen[:, :2] / seen[:, 2:]


def contour_row(turn: Float64[np.ndarray, "3 3"], camera: Camera) -> int:
    """Return the row of the dynamic tables for a head that `turn` has turned from rest, as `camera` sees it.

    Rows 0..39 are turns to the subject's left in degrees, rows 40..78 are -1..-39.
    """
    relative = np.diag([1.0, -1, -1]) @ camera.world_to_camera[:3, :3] @ turn
    yaw = int(np.clip(round(np.degrees(np.arctan2(relative[0, 2], relative[2, 2]))), -MOST_YAW, MOST_YAW))
    return yaw if yaw >= 0 else MOST_YAW - yaw


def landmarks(head: HeadModel, vertices: np.ndarray, turn: Float64[np.ndarray, "3 3"],
              camera: Camera) -> Float64[np.ndarray, "68 2"]:
    """Return the landmarks in pixels.

    Args:
        head: With DECA's embedding arrays.
        vertices: Posed, world space [V, 3].
        turn: The posed head's rotation against rest.
        camera: Any.
    """
    row, table = contour_row(turn, camera), head.landmarks
    faces = np.concatenate([table["dynamic_lmk_faces_idx"][row], table["static_lmk_faces_idx"]])
    weights = np.concatenate([table["dynamic_lmk_bary_coords"][row], table["static_lmk_bary_coords"]])
    return on_picture(np.einsum("lk,lkc->lc", weights, vertices[head.faces[faces]]), camera)
