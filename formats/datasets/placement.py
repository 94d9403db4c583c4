"""Heads that a similarity about the model's origin places in the world, in our form: v_world = scale * R * v + translation.

The scale goes into the cameras: the world is divided by it, so that the head keeps its size. The rest depends on what is known
of the head. Ours turns about its root joint J0, so that R and t become R and t / scale + R J0 - J0; J0 depends on the person and
the expression, thus on the head's tables. Without them R and t go into the cameras as well, which then move about a still head,
as metrical-tracker has it. Both show the same.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from formats.avatar import check_driver
from formats.deform import expression_of
from formats.head_model import HeadModel
from formats.rotations import matrix_to_quat, quat_to_axis_angle
from formats.sequence import Sequence


@dataclass(frozen=True, eq=False)
class Similarity:
    """Where the head is at T moments."""

    rotation: Float64[np.ndarray, "T 3 3"]
    translation: Float64[np.ndarray, "T 3"]
    scale: Float64[np.ndarray, " T"]

    def take(self, rows: np.ndarray | list[int]) -> "Similarity":
        """Return the moments at indices `rows`."""
        return Similarity(self.rotation[rows], self.translation[rows], self.scale[rows])


def about_root(where: Similarity, pivot: Float64[np.ndarray, "T 3"]) -> Float64[np.ndarray, "T 3"]:
    """Return the translations, metres of the unscaled head, of heads that turn about their root joint at `pivot`."""
    return where.translation / where.scale[:, None] + np.einsum("tab,tb->ta", where.rotation, pivot) - pivot


def placed(sequence: Sequence, where: Similarity, pivot: Float64[np.ndarray, "T 3"] | None) -> Sequence:
    """Return a clip, whose root stands still so far, with its head placed.

    Args:
        sequence: T frames with cameras in the unscaled world.
        where: The same T moments.
        pivot: The root joint at every moment, from `root_joints`; when None, the motion goes into the cameras.
    """
    world_to_camera = sequence.cameras["world_to_camera"].astype(np.float64)
    world_to_camera[:, :3, 3] /= where.scale[:, None]
    if pivot is None:
        motion = np.tile(np.eye(4), (len(sequence), 1, 1))
        motion[:, :3, :3], motion[:, :3, 3] = where.rotation, where.translation / where.scale[:, None]
        cameras = dict(sequence.cameras) | {"world_to_camera": world_to_camera @ motion}
        return dataclasses.replace(sequence, cameras=cameras)
    cameras = dict(sequence.cameras) | {"world_to_camera": world_to_camera}
    return dataclasses.replace(sequence, rotation=quat_to_axis_angle(matrix_to_quat(where.rotation)),
                               translation=about_root(where, pivot), cameras=cameras)


def root_joints(head: HeadModel, sequence: Sequence) -> Float64[np.ndarray, "T 3"]:
    """Return where the root joint of the sequence's person rests in every frame, metres.

    Args:
        head: As read from its file, with identity directions; the sequence's shape is put in here.
        sequence: Whose expressions move the joint.

    Raises:
        CheckpointMismatch: The sequence is in another edition's coefficients.
        FormatError: Its shape has more coefficients than the head.
    """
    check_driver(head, sequence)
    rest, motion = head.personalise(sequence.shape).rest_joints()
    root = head.joint_roles.get("root", 0)
    expr = np.stack([expression_of(head, sequence.take([i])) for i in range(len(sequence))])
    return rest[root] + expr @ motion[root].T
