"""What a LAM zip is made of: a point per Gaussian with straight ARKit targets, two or more bones, and colours.

`carried` takes an avatar that is so already (an import of LAM) as it is. `converted` makes one of any Gaussians on a head
that knows what ARKit's weights do to it: every Gaussian becomes a vertex of its own, and a target is how far it moves at
weight 1, whatever moves it there (shapes, joints, lids, networks). That is exact at rest and at one weight of 1; between and
beyond it is a straight line, Gaussians keep their rotation, size and colour, and the head turns by two bones, `hip` and `head`.
"""

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32

from exporter import stills
from formats.avatar import (
    DERIVED_DRIVERS,
    Avatar,
    FaceBinding,
    Layer,
    Meta,
    Network,
    SkinBinding,
    SplatLayer,
    StrandLayer,
)
from formats.conventions import ARKIT_52, rgb_to_sh, sh_to_rgb
from formats.deform import deform, expression_of, joint_rotations, joint_transforms
from formats.errors import UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.head_model import ARKIT_TAIL, HeadModel
from formats.retarget import retarget
from formats.rotations import matrix_to_quat, quat_to_axis_angle
from formats.sequence import Sequence

EYES = np.array([0.0, 1.694, 0.06])
"""Metres; where the public sample has the middle between its eyes. The player's camera is fixed and looks there."""
POINT_LIMIT = 4096 * 2048 // 52
"""The player keeps a texel for each point and target, and the points, in one texture of 4096 x 2048."""
HIP, HEAD = "hip", "head"
"""Bones that the player looks for by name. It moves everything by the second."""
FACE_BONES = {"jaw": "lowerJaw", "left_eye": "lEye", "right_eye": "rEye"}


@dataclass(frozen=True, eq=False)
class LamModel:
    """Everything that goes into the zip, rest space, metres."""

    positions: Float32[np.ndarray, "V 3"]
    faces: Int32[np.ndarray, "F 3"]
    targets: Float32[np.ndarray, "V 3 E"]
    target_names: tuple[str, ...]
    weights: Float32[np.ndarray, "V J"]
    bones: Float64[np.ndarray, "J 3"]
    """Where they rest."""
    parents: Int32[np.ndarray, " J"]
    bone_names: tuple[str, ...]
    roles: dict[str, int]
    cloud: GaussianCloud
    """One Gaussian per point, at rest; its SH are the final colour."""
    rotation: str
    """How our reader turns Gaussians; the player never does."""
    sequence: Sequence | None
    """Of the bones alone, by `roles` and `bone_names`."""
    moved: Float64[np.ndarray, " 3"]
    """By how much all of it was moved to where the player looks."""

    @property
    def edition(self) -> str:
        """The coefficient space of the targets."""
        return "arkit-52" if "tongueOut" in self.target_names else "arkit-51"

    def avatar(self) -> Avatar:
        """Return the model as an avatar, as reading the zip gives it, but for where it stands."""
        arkit_map = np.zeros((len(ARKIT_52), len(self.target_names) + ARKIT_TAIL))
        arkit_map[[ARKIT_52.index(name) for name in self.target_names], np.arange(len(self.target_names))] = 1
        head = HeadModel(self.edition, self.positions, self.faces, self.targets, self.weights, self.parents,
                         J_template=self.bones, expr_names=self.target_names, joint_names=self.bone_names,
                         joint_roles=self.roles, arkit_map=arkit_map)
        binding = SkinBinding(np.arange(len(self.positions)), rotation=self.rotation)
        return Avatar(head, (SplatLayer(self.cloud, binding),), meta=Meta(system="lam"))


def model_of(avatar: Avatar) -> LamModel:
    """Return what the zip holds of `avatar`: as it is where it can be, else converted. Raises as `converted`."""
    if why_not(avatar) is None:
        return carried(avatar)
    return converted(avatar)


def why_not(avatar: Avatar) -> str | None:
    """Return what keeps an avatar from being LAM's as it is, for people; None when nothing does."""
    head, layers = avatar.head, avatar.layers
    if len(layers) != 1 or not isinstance(layers[0], SplatLayer):
        return f"{len(layers)} layers instead of one of Gaussians"
    layer = layers[0]
    if not isinstance(layer.binding, SkinBinding) or layer.binding.vertex_index is None or not np.array_equal(
            layer.binding.vertex_index, np.arange(len(head.v_template))):
        return "Gaussians that are not one to each vertex of the head"
    if not head.edition.startswith("arkit") or not set(head.expr_names) <= set(ARKIT_52):
        return f"a head of '{head.edition}' instead of ARKit's shapes"
    if head.posedirs is not None or head.eyeliddirs is not None or head.J_template is None or head.J_exprdirs is not None:
        return "pose correctives, eyelids or joints that move with the expression"
    return None if layer.dynamics is None else "dynamics"


def carried(avatar: Avatar) -> LamModel:
    """Return an avatar for which `why_not` finds nothing, number for number."""
    head, layer = avatar.head, avatar.layers[0]
    assert isinstance(layer, SplatLayer) and isinstance(layer.binding, SkinBinding) and head.J_template is not None
    names = list(head.joint_names)
    wanted = {head.joint_roles.get("root", 0): HIP, head.joint_roles.get("neck", 0): HEAD}
    wanted |= {head.joint_roles[role]: name for role, name in FACE_BONES.items() if role in head.joint_roles}
    for joint, name in wanted.items():
        if name not in names:
            names[joint] = name
    lacking = [name for name in (HIP, HEAD) if name not in names]
    if lacking:
        raise UnsupportedFeature(f"lam: the head has {len(names)} joints and none to be the bone '{lacking[0]}', which the "
                                 "player moves it by")
    renamed = dict(zip(head.joint_names, names, strict=True))
    sequence = avatar.sequence
    if sequence is not None:
        sequence = dataclasses.replace(sequence, joints={renamed[name]: turns for name, turns in sequence.joints.items()})
    return LamModel(head.v_template, head.faces, head.exprdirs, head.expr_names, head.lbs_weights,
                    head.J_template.astype(np.float64), head.parents, tuple(names), dict(head.joint_roles), colored(layer.cloud),
                    layer.binding.rotation, sequence, np.zeros(3))


def converted(avatar: Avatar) -> LamModel:
    """Return any avatar of Gaussians whose head knows ARKit's weights, a point per Gaussian.

    Raises:
        UnsupportedFeature: It has no Gaussians or too many, or nobody knows what ARKit's weights do to its head.
        BindingError: A network needs drivers that neither ARKit's weights nor the avatar's clip give.
    """
    head = avatar.head
    if head.arkit_map is None and not head.edition.startswith("arkit"):
        raise UnsupportedFeature(f"lam: the player is driven by ARKit's 51 weights, and the '{head.edition}' head has no map of "
                                 "them (arkit_map); import the avatar with a --head that has one")
    rest, targets = shapes_of(head, avatar.layers, tuple(avatar.networks.items()), avatar.sequence)
    names = ARKIT_52 if np.abs(targets[:, :, -1]).max(initial=0) > 1e-6 else ARKIT_52[:-1]
    bones, joint = _bones(head)
    moved = _to_the_camera(head, rest)
    positions = (rest.means + moved).astype(np.float32)
    return LamModel(positions, np.zeros((1, 3), np.int32), targets[:, :, :len(names)], names, _weights(avatar, joint),
                    bones + moved, np.array([-1, 0], np.int32), (HIP, HEAD), {"root": 0, "neck": 1},
                    dataclasses.replace(rest, means=positions), "none", _bone_clip(avatar, joint, bones), moved)


@functools.lru_cache(maxsize=1)
def shapes_of(head: HeadModel, layers: tuple[Layer, ...], networks: tuple[tuple[str, Network], ...],
              clip: Sequence | None) -> tuple[GaussianCloud, Float32[np.ndarray, "N 3 52"]]:
    """Return the Gaussians at rest, and how far each of ARKit's weights moves them at 1. Raises as `converted`.

    It takes 53 poses, some seconds, and is asked for when losses are measured and again when the zip is written: the last
    answer is kept until `shapes_of.cache_clear()`.
    """
    avatar = Avatar(head, layers, dict(networks), sequence=clip)
    rows = np.concatenate([np.zeros((1, len(ARKIT_52))), np.eye(len(ARKIT_52))])
    driver = retarget(Sequence("arkit-52", 30.0, rows, expr_names=ARKIT_52), head)
    shapes = dataclasses.replace(avatar, sequence=_with_drivers(driver, avatar))
    rest = colored(stills.still(shapes, 0.0, "lam"))
    if len(rest) > POINT_LIMIT:
        raise UnsupportedFeature(f"lam: {len(rest)} Gaussians, the player has room for {POINT_LIMIT}; prune the avatar first")
    targets = np.zeros((len(rest), 3, len(ARKIT_52)), np.float32)
    for k in range(len(ARKIT_52)):
        targets[:, :, k] = stills.still(shapes, float(k + 1), "lam").means.astype(np.float64) - rest.means
    return rest, targets


def held_drivers(avatar: Avatar) -> dict[str, Float32[np.ndarray, " D"]]:
    """Return the clip's own drivers that no ARKit weight moves, at their mean: what conversion holds them at."""
    held = {} if avatar.sequence is None else avatar.sequence.drivers
    return {name: values.mean(axis=0) for name, values in held.items() if name not in DERIVED_DRIVERS}


def _with_drivers(sequence: Sequence, avatar: Avatar) -> Sequence:
    held = held_drivers(avatar)
    return dataclasses.replace(sequence, drivers={name: np.tile(mean, (len(sequence), 1)) for name, mean in held.items()})


def colored(cloud: GaussianCloud) -> GaussianCloud:
    """Return the cloud without view dependence, its colours within 0..1."""
    rgb = np.clip(sh_to_rgb(cloud.sh[:, :1].astype(np.float64)), 0, 1)
    return dataclasses.replace(cloud, sh=rgb_to_sh(rgb))


def _bones(head: HeadModel) -> tuple[np.ndarray, int]:
    """Return where `hip` and `head` rest [2, 3], and which joint the second is."""
    rest = head.rest_joints()[0]
    joint = head.joint_roles.get("neck", head.joint_roles.get("root", 0))
    return np.stack([rest[head.joint_roles.get("root", 0)], rest[joint]]), joint


def _weights(avatar: Avatar, joint: int) -> np.ndarray:
    """Return weights [N, 2]: of `joint` and what hangs on it for `head`, the rest for `hip`."""
    head = avatar.head
    below = np.zeros(len(head.parents), bool)
    for j, parent in enumerate(head.parents):
        below[j] = j == joint or (parent >= 0 and below[parent])
    share = np.concatenate([_joint_weights(layer, head)[:, below].sum(axis=1) for layer in avatar.layers
                            if isinstance(layer, SplatLayer | StrandLayer)])
    share = np.clip(share, 0, 1)
    return np.stack([1 - share, share], axis=1).astype(np.float32)


def _joint_weights(layer: SplatLayer | StrandLayer, head: HeadModel) -> np.ndarray:
    binding = layer.binding
    if isinstance(binding, FaceBinding):
        corners = head.lbs_weights[head.faces[binding.face_index]]
        weights = np.einsum("nj,njk->nk", binding.barycentric.astype(np.float64), corners)
        return weights if isinstance(layer, SplatLayer) else np.repeat(weights, layer.points.shape[1] - 1, axis=0)
    if binding.vertex_index is not None:
        return head.lbs_weights[binding.vertex_index].astype(np.float64)
    assert binding.lbs_weights is not None
    return binding.lbs_weights.astype(np.float64)


def _to_the_camera(head: HeadModel, rest: GaussianCloud) -> np.ndarray:
    """Return the move that puts the middle between the eyes, or else of the Gaussians, where the player looks."""
    eyes = [head.rest_joints()[0][head.joint_roles[role]] for role in ("left_eye", "right_eye") if role in head.joint_roles]
    if len(eyes) == 2:
        return EYES - np.mean(eyes, axis=0)
    low, high = rest.means.min(axis=0, initial=0), rest.means.max(axis=0, initial=0)
    middle = (low + high).astype(np.float64) / 2
    return np.zeros(3) if np.abs(middle - EYES).max() < 0.15 else EYES - middle


def _bone_clip(avatar: Avatar, joint: int, rest: np.ndarray) -> Sequence | None:
    """Return how the two bones move in the avatar's clip: their own turns, and a translation that meets the `head` bone."""
    head, clip = avatar.head, avatar.sequence
    if clip is None:
        return None
    root = head.joint_roles.get("root", 0)
    turns, translation = np.zeros((2, len(clip), 3)), np.zeros((len(clip), 3))
    for i in range(len(clip)):
        frame = clip.take([i])
        world = joint_transforms(head, expression_of(head, frame), joint_rotations(head, frame),
                                 frame.translation[0].astype(np.float64))
        hip, skull = world[root, :3, :3], world[joint, :3, :3]
        turns[0, i] = quat_to_axis_angle(matrix_to_quat(hip))
        turns[1, i] = quat_to_axis_angle(matrix_to_quat(hip.T @ skull))
        stood = rest[0] + hip @ (rest[1] - rest[0])
        translation[i] = skull @ rest[1] + world[joint, :3, 3] - stood
    return Sequence("arkit-52", clip.fps, np.zeros((len(clip), 1)), rotation=turns[0], neck=turns[1], translation=translation,
                    ranges=clip.ranges, expr_names=("jawOpen",))


# --- What conversion costs --------------------------------------------------------------------------------------------

FACES = ({}, {"jawOpen": 0.6, "browInnerUp": 0.5}, {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "eyeBlinkLeft": 1.0,
         "eyeBlinkRight": 1.0, "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4}, {"mouthPucker": 0.8, "jawOpen": 0.25,
         "eyeLookInLeft": 0.5, "eyeLookOutRight": 0.5}, {"jawLeft": 0.5, "mouthFrownLeft": 0.5, "mouthFrownRight": 0.5})
"""ARKit weights that a conversion is measured at, from `TURNED` on with a turned neck."""
TURNED = 3


def faces(head: HeadModel) -> Iterator[Sequence]:
    """Give the frames that pose `head` by the weights of `FACES`."""
    rows = np.array([[weights.get(name, 0.0) for name in ARKIT_52] for weights in FACES])
    frames = retarget(Sequence("arkit-52", 30.0, rows, expr_names=ARKIT_52), head)
    for i in range(len(FACES)):
        frame = frames.take([i])
        yield dataclasses.replace(frame, neck=frame.neck + np.array([[0.08, 0.2, 0]]) * (i >= TURNED))


def faces_of_both(avatar: Avatar, model: LamModel) -> Iterator[tuple[GaussianCloud, GaussianCloud]]:
    """Give the avatar's Gaussians and the model's at `FACES`, both where the avatar stands."""
    back = model.avatar()
    for frame, other in zip(faces(avatar.head), faces(back.head), strict=True):
        shown = stills.still(dataclasses.replace(avatar, sequence=_with_drivers(frame, avatar)), 0.0, "lam")
        cloud = deform(back, other).layers[0].cloud  # type: ignore[union-attr]
        yield shown, dataclasses.replace(cloud, means=cloud.means - model.moved.astype(np.float32))
