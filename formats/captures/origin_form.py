"""A head's place as a similarity about the origin of the model's space, in a calibrated rig's own world.

A film's world is the head's rest space, and its heads turn about the root joint. NeRSemble's rig stands in a world of its own,
and heads that are tracked there are `scale * rotation * x + translation`, x the head with a straight root.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from formats.head_model import HeadModel
from formats.rotations import axis_angle_to_matrix
from formats.sequence import Sequence


@dataclass(frozen=True, eq=False)
class World:
    """A world that a film's is put into: `scale * turn * point + step`."""

    turn: Float64[np.ndarray, "3 3"]
    step: Float64[np.ndarray, " 3"]
    """In the world's units."""
    scale: float = 1.0
    """Units of the world per metre."""

    def points(self, points: np.ndarray) -> Float64[np.ndarray, "N 3"]:
        """Return the film's points [N, 3], metres, in this world."""
        return self.scale * np.asarray(points, np.float64) @ self.turn.T + self.step

    def camera(self, world_to_camera: np.ndarray) -> Float64[np.ndarray, "4 4"]:
        """Return a film's camera in this world; what it sees is in this world's units too."""
        matrix = np.eye(4)
        matrix[:3, :3] = world_to_camera[:3, :3] @ self.turn.T
        matrix[:3, 3] = self.scale * world_to_camera[:3, 3] - matrix[:3, :3] @ self.step
        return matrix

    def heads(self, head: HeadModel, sequence: Sequence) -> tuple[np.ndarray, np.ndarray]:
        """Return rotations [T, 3, 3] and translations [T, 3] of the heads of a film; their scale is the world's.

        Args:
            head: With the person's shape put in.
            sequence: T frames; `rotation` about the root joint, which moves with expression, and `translation`.
        """
        rest, motion = head.rest_joints()
        root = head.joint_roles["root"]
        joint = rest[root] + sequence.expr.astype(np.float64) @ motion[root][:, :sequence.expr.shape[1]].T
        turn = axis_angle_to_matrix(sequence.rotation)
        place = sequence.translation + joint - np.einsum("tab,tb->ta", turn, joint)
        return self.turn @ turn, self.scale * place @ self.turn.T + self.step
