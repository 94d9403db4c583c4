"""The usual mistakes with cameras and eyes, undone: what a head's points and cameras would be without them."""

from collections.abc import Callable

import numpy as np

from formats.conventions import CV_FROM_GL
from formats.datasets.witness import Evidence

Change = Callable[[Evidence], tuple[np.ndarray, np.ndarray, np.ndarray]]


def _turned(one: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.world, one.k, CV_FROM_GL @ one.world_to_camera


def _turned_world(one: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.world, one.k, one.world_to_camera @ CV_FROM_GL


def _transposed(one: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrix = one.world_to_camera.copy()
    matrix[:, :3, :3] = matrix[:, :3, :3].swapaxes(1, 2)
    return one.world, one.k, matrix


def _inverted(one: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.world, one.k, np.linalg.inv(one.world_to_camera)


def _inverted_gl(one: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.world, one.k, CV_FROM_GL @ np.linalg.inv(one.world_to_camera) @ CV_FROM_GL


def _nearer(factor: float) -> Change:
    def change(one: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        matrix = one.world_to_camera.copy()
        matrix[:, :3, 3] *= factor
        return one.world, one.k, matrix

    return change


def _flipped_centre(one: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    k = one.k.copy()
    k[:, 1, 2] = one.size[:, 1] - k[:, 1, 2]
    return one.world, k, one.world_to_camera


def _other_eyes(one: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.world if one.kind == "landmarks" else one.world[:, ::-1], one.k, one.world_to_camera


def _other_gaze(one: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.crossed, one.k, one.world_to_camera


MISTAKES: tuple[tuple[str, Change], ...] = (
    ("with the camera's y and z axes turned: the data mixes OpenGL's and OpenCV's cameras", _turned),
    ("with the world's y and z axes turned: the data mixes OpenGL's and OpenCV's axes", _turned_world),
    ("with the camera's rotation transposed", _transposed),
    ("with the camera's matrix inverted: camera-to-world and world-to-camera are mixed up", _inverted),
    ("with the camera's matrix inverted in OpenGL's axes: camera-to-world and world-to-camera are mixed up", _inverted_gl),
    ("with the camera four times nearer: its positions are in units of a quarter of a metre", _nearer(0.25)),
    ("with the camera four times further away: its positions were divided by 4 twice", _nearer(4.0)),
    ("with cy counted from the other side: the principal point is flipped", _flipped_centre),
    ("with the points of left and right eye exchanged", _other_eyes),
    ("with the rotations of left and right eye exchanged", _other_gaze),
)
"""What undoing a mistake would do to points and cameras."""
