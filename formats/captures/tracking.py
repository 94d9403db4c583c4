"""What a tracker makes of an action: coefficients and cameras in a layout's own form, and its small errors.

Four ways to say where the head is (`Form.motion`). `front`: one camera that never turns; the head turns by root and neck,
where it is stands in the camera's translation. `camera`: the head stands still in its own space and the camera moves around
it. `joints`: calibrated cameras; the head turns by root and neck and has a translation. `rigid`: calibrated cameras; the head
turns and steps as one piece, its neck straight. Only `camera` has lids: elsewhere the blink columns hold what the tracker saw
of them.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from formats.captures.action import ANGLES, Action
from formats.conventions import ARKIT_52
from formats.head_model import HeadModel
from formats.rotations import axis_angle_to_matrix
from formats.sequence import Sequence
from formats.standin.clip import FPS, NECK_SHARE, arkit_sequence
from formats.standin.head import ORIGIN


@dataclass(frozen=True)
class Form:
    """What a layout can say of a head."""

    motion: str
    """`front`, `camera`, `joints` or `rigid`."""
    expressions: int
    identity: int


FORMS = {
    "imavatar": Form("front", 50, 100),
    "insta": Form("camera", 100, 300),
    "point-avatar": Form("front", 50, 100),
    "metrical-tracker": Form("camera", 100, 300),
    "vhap": Form("joints", 100, 300),
    "nersemble": Form("joints", 100, 300),
    "nersemble-benchmark": Form("joints", 100, 300),
    "gaussian-head-avatar": Form("rigid", 50, 80),
}
"""Layout to form."""
FIELD_OF_VIEW = np.radians(24)
DISTANCE = 0.84
"""Metres from the lens to `MIDDLE`."""
PRINCIPAL = (0.52, 0.485)
"""Where the optical axis meets the picture, in its width and height."""
MIDDLE = (np.array([0, -16.0, -10]) + ORIGIN) / 1000
"""What the picture is centred on: metres, in the head's rest space."""
PIVOT = (np.array([0, -118.0, -22]) + ORIGIN) / 1000
"""What a head that is tracked as one rigid piece turns about: the nape."""
SHOULDERS = 1 - NECK_SHARE
"""Share of the head's turn that the shoulders follow."""
FLIP = np.diag([1.0, -1, -1])
"""A camera in front of the face: OpenCV axes against the head's."""

# Standard deviations of what a tracker gets wrong: together half a pixel of a 512 picture, in the mean over landmarks.
EXPRESSION, JAW, EYES, LIDS = 0.012, 0.002, 0.003, 0.012
TURN = np.radians(0.06)
POSITION = np.array([0.10, 0.10, 0.25]) / 1000
"""Metres; depth is seen least."""
CALM = 5.0
"""Frames over which errors change."""
JITTER = 0.3
"""Share of an error that is new in every frame."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """One film's motion, T moments: as it was, and as the tracker found it. Both hold cameras."""

    truth: Sequence
    """Poses the head as it was; with lids, whatever the layout can carry."""
    found: Sequence
    shoulders: Float64[np.ndarray, "T 4 4"]
    """Rest space to the truth's world, of what is worn."""


def track(action: Action, head: HeadModel, shape: np.ndarray, layout: str, size: int, seed: int) -> Tracked:
    """Return the motion of an action in the form of `layout`.

    Args:
        action: What happens.
        head: With an `arkit_map` and identity directions.
        shape: Identity coefficients, as many as the layout stores.
        layout: A key of `FORMS`.
        size: Pixels of the square pictures.
        seed: Of the errors.
    """
    rng = np.random.default_rng([seed & 0xFFFFFFFF, 7400])
    count, form = len(action), FORMS[layout]
    expressions, moving = form.expressions, form.motion == "camera"
    plain = arkit_sequence(head, action.weights, FPS)
    lens = lens_matrix(size)
    cameras = {"K": np.repeat(lens[None], count, axis=0), "size": np.full((count, 2), float(size))}
    expr = plain.expr.astype(np.float64)
    assert not np.abs(expr[:, expressions:]).any(), "the action moves expressions that the layout does not store"
    seen = expr.copy()
    if not moving:
        for column, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
            seen[:, ARKIT_52.index(name)] = plain.eyelids[:, column]
    values = {"jaw": plain.jaw, "eyes": plain.eyes}
    found = {name: value + _errors(value.shape, spread, rng)
             for (name, value), spread in zip(values.items(), (JAW, EYES), strict=True)}
    off_turn, off_place = _errors((count, 3), TURN, rng), _errors((count, 3), 1, rng) * POSITION
    seen = seen + _errors(seen.shape, EXPRESSION, rng)
    lids = plain.eyelids + _errors((count, 2), LIDS, rng)
    stand = _stands(action, size)
    if moving:
        pose, shoulders = _rigid(action.turn, action.drift), _rigid(action.turn * SHOULDERS, action.drift)
        true_cameras = stand @ pose
        # The tracker's head is off by a small turn about the nape and a small step.
        found_cameras = true_cameras @ _rigid(off_turn, off_place)
        values, worn = {**values, "eyelids": plain.eyelids}, np.linalg.inv(pose) @ shoulders
        found |= {"eyelids": lids}
    elif form.motion == "rigid":
        true_cameras = found_cameras = stand
        rest, motion = head.personalise(shape).rest_joints()
        joint, moves = rest[head.joint_roles["root"]], motion[head.joint_roles["root"]].T
        turn, place = action.turn + off_turn, action.drift + off_place
        values |= {"rotation": action.turn, "eyelids": plain.eyelids,
                   "translation": _about_root(action.turn, action.drift, joint + expr @ moves)}
        found |= {"rotation": turn, "translation": _about_root(turn, place, joint + seen @ moves)}
        worn = _rigid(action.turn * SHOULDERS, action.drift)
    elif form.motion == "joints":
        root, neck = action.turn * SHOULDERS, action.turn * NECK_SHARE
        true_cameras = found_cameras = stand
        values |= {"rotation": root, "neck": neck, "translation": action.drift, "eyelids": plain.eyelids}
        found |= {"rotation": root + off_turn * 0.5, "neck": neck + off_turn * 0.5, "translation": action.drift + off_place}
        joint = head.personalise(shape).rest_joints()[0][head.joint_roles["root"]]
        worn = _rigid(root, action.drift, joint)
    else:
        root, neck = action.turn * SHOULDERS, action.turn * NECK_SHARE
        true_cameras, found_cameras = stand.copy(), stand.copy()
        true_cameras[:, :3, 3] += np.einsum("tab,tb->ta", stand[:, :3, :3], action.drift)
        found_cameras[:, :3, 3] = true_cameras[:, :3, 3] + off_place @ FLIP
        values |= {"rotation": root, "neck": neck, "eyelids": plain.eyelids}
        found |= {"rotation": root + off_turn * 0.5, "neck": neck + off_turn * 0.5}
        joint = head.personalise(shape).rest_joints()[0][head.joint_roles["root"]]
        worn = _rigid(root, np.zeros((count, 3)), joint)
    made = dataclasses.replace(plain, expr_names=(), shape=shape)

    def sequence(coefficients: np.ndarray, rest: dict[str, np.ndarray], world_to_camera: np.ndarray) -> Sequence:
        still = {name: np.zeros((count, width)) for name, width in
                 (("rotation", 3), ("neck", 3), ("eyelids", 2), ("translation", 3))}
        return dataclasses.replace(made, expr=coefficients[:, :expressions],
                                   cameras={**cameras, "world_to_camera": world_to_camera}, **{**still, **rest})

    return Tracked(sequence(expr, values, true_cameras), sequence(seen, found, found_cameras), worn)


def lens_matrix(size: int) -> Float64[np.ndarray, "3 3"]:
    """Return K of square pictures of `size` pixels."""
    focal = 0.5 * size / np.tan(FIELD_OF_VIEW / 2)
    return np.array([[focal, 0, PRINCIPAL[0] * size], [0, focal, PRINCIPAL[1] * size], [0, 0, 1]])


def _stands(action: Action, size: int) -> Float64[np.ndarray, "T 4 4"]:
    """Return where the cameras stand in the room, world to camera; the room is the rest head's space."""
    stands = np.repeat(standing(np.eye(3), size)[None], len(action), axis=0)
    for k, (left, above) in enumerate(ANGLES, start=1):
        stands[action.camera == k] = standing(around(left, above), size)
    return stands


def around(left: float, above: float) -> Float64[np.ndarray, "3 3"]:
    """Return the turn that carries a camera from the front to `left` and `above`, degrees: up first, then to the side."""
    return axis_angle_to_matrix(np.radians([0.0, left, 0])) @ axis_angle_to_matrix(np.radians([-above, 0.0, 0]))


def standing(turn: Float64[np.ndarray, "3 3"], size: int) -> Float64[np.ndarray, "4 4"]:
    """Return world to camera of the front camera carried around the head by `turn`."""
    lens, front = lens_matrix(size), np.eye(4)
    # The optical axis misses the picture's middle, so the camera stands aside to have the head there.
    aside = (0.5 * size - lens[:2, 2]) / lens[0, 0] * DISTANCE
    front[:3, :3], front[:3, 3] = FLIP, FLIP @ -MIDDLE + [*aside, DISTANCE]
    if (turn == np.eye(3)).all():
        return front
    carry = np.eye(4)
    carry[:3, :3], carry[:3, 3] = turn, MIDDLE - turn @ MIDDLE
    return front @ np.linalg.inv(carry)


def _about_root(turn: np.ndarray, step: np.ndarray, joint: np.ndarray) -> Float64[np.ndarray, "T 3"]:
    """Return the translations that go with turns [T, 3] about the root joint at [T, 3], for `_rigid(turn, step)`."""
    matrix = _rigid(turn, step)
    return matrix[:, :3, 3] + np.einsum("tab,tb->ta", matrix[:, :3, :3], joint) - joint


def _rigid(turn: np.ndarray, step: np.ndarray, pivot: np.ndarray = PIVOT) -> Float64[np.ndarray, "T 4 4"]:
    """Return turns [T, 3] about a pivot and then steps [T, 3], as matrices."""
    matrix = np.repeat(np.eye(4)[None], len(turn), axis=0)
    matrix[:, :3, :3] = axis_angle_to_matrix(turn)
    matrix[:, :3, 3] = pivot - matrix[:, :3, :3] @ pivot + step
    return matrix


def _errors(shape: tuple[int, ...], spread: float, rng: np.random.Generator) -> np.ndarray:
    """Return errors [T, C] that wander smoothly and jitter a little, with standard deviation `spread`."""
    reach = int(3 * CALM)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / CALM) ** 2)
    kernel /= np.linalg.norm(kernel)
    slow = rng.standard_normal((shape[0] + 2 * reach, shape[1]))
    slow = np.stack([np.convolve(column, kernel, mode="valid") for column in slow.T], axis=1)
    return spread * (np.sqrt(1 - JITTER**2) * slow + JITTER * rng.standard_normal(shape))
