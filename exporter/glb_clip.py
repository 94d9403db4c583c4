"""A clip as a glTF animation that plain players pose exactly at key times. Specified in GLB.md section 2."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from exporter.glb_head import GlbHead
from exporter.glb_mesh_layers import LayerMeshes
from exporter.glb_packing import exponent_for
from exporter.glb_targets import eyelid_directions, target_tables
from formats import deform
from formats.avatar import DRIVER_FIELDS, Avatar, LinearDynamics, MeshLayer, SplatLayer
from formats.codecs.glb_writer import GlbWriter
from formats.conventions import wxyz_to_xyzw
from formats.head_model import HeadModel
from formats.rotations import matrix_to_quat
from formats.sequence import Sequence

STILL = 1e-9
"""A joint whose quaternion and place (metres) stay within this of the rest has no channels: rounding, not motion."""
ROTATION_EXPONENT, TRANSLATION_EXPONENT = -18, -19
"""Steps of a small file's joints: 2e-6 of a quaternion, 2 micrometres."""
WEIGHT_ERROR = 2e-6
"""Metres that one weight's step moves the vertex that goes farthest."""
WEIGHT_COARSEST = -10
NETWORK_COARSEST = -14
"""The same where networks read the weights, too."""
_MADE_FROM = {"jaw_6d": ("jaw",), "eyes_6d": ("eyes",), "absolute_pose": ("rotation", "translation")}
"""Fields that `formats.avatar.DERIVED_DRIVERS` are made from."""
_ROLES_OF = {"rotation": ("root",), "neck": ("neck",), "jaw": ("jaw",), "eyes": ("left_eye", "right_eye")}


@dataclass(frozen=True, eq=False)
class BakedClip:
    """What the animation's channels hold, per key."""

    expr: Float32[np.ndarray, "T E"]
    eyelids: Float32[np.ndarray, "T 2"]
    pose_feature: Float32[np.ndarray, "T P"]
    rotations: Float32[np.ndarray, "T J 4"]
    """Node rotations, xyzw, on one hemisphere from key to key."""
    translations: Float32[np.ndarray, "T J 3"]
    moves: np.ndarray
    """Which joints need channels, [J]."""


def bake_clip(head: HeadModel, sequence: Sequence) -> BakedClip:
    """Return the head's motion as morph weights and node transforms.

    A joint's node stands at its posed transform times its rest translation, relative to its parent's node.
    """
    rest, motion = head.rest_joints()
    # The same head with its rest joints worked out once: a regressor costs milliseconds, per frame.
    light = dataclasses.replace(head, J_regressor=None, J_template=rest.astype(np.float32),
                                J_exprdirs=motion.astype(np.float32))
    rest, _ = light.rest_joints()
    expr, features, rotations, worlds = [], [], [], []
    for i in range(len(sequence)):
        frame = sequence.take([i])
        assert frame.translation is not None
        local = deform.joint_rotations(head, frame)
        expr.append(deform.expression_of(head, frame))
        features.append(deform.pose_feature(head, local))
        transforms = deform.joint_transforms(light, expr[-1], local, frame.translation[0].astype(np.float64))
        world = transforms.copy()
        world[:, :3, 3] += np.einsum("jab,jb->ja", transforms[:, :3, :3], rest)
        rotations.append(local)
        worlds.append(world)
    world = np.stack(worlds)
    translations = world[:, :, :3, 3].copy()
    for j, parent in enumerate(head.parents):
        if parent >= 0:
            translations[:, j] = np.einsum("tba,tb->ta", world[:, parent, :3, :3],
                                           world[:, j, :3, 3] - world[:, parent, :3, 3])
    quats = matrix_to_quat(np.stack(rotations))
    flips = np.where(np.sum(quats[1:] * quats[:-1], axis=-1) < 0, -1.0, 1.0)
    quats[1:] *= np.cumprod(flips, axis=0)[..., None]
    quats = wxyz_to_xyzw(quats)
    steps = rest - np.where(head.parents[:, None] >= 0, rest[head.parents], 0)
    moves = ((np.abs(quats[..., :3]).max(axis=(0, 2)) > STILL)
             | (np.abs(translations - steps).max(axis=(0, 2)) > STILL))
    moves[0] = True  # so that a clip in which nothing moves keeps its keys
    assert sequence.eyelids is not None
    return BakedClip(np.stack(expr).astype(np.float32), sequence.eyelids, np.stack(features).astype(np.float32),
                     quats.astype(np.float32), translations.astype(np.float32), moves)


def write_clip(glb: GlbWriter, avatar: Avatar, head: GlbHead, layers: LayerMeshes | None = None) -> dict[str, Any]:
    """Add the avatar's clip to `glb` as an animation and return `FLAMEPORT_avatar.clip`.

    Mesh layers and their skeleton move by the head's samplers.
    """
    layers = layers or LayerMeshes()
    twins = [layers.skeleton.joints] if layers.skeleton is not None else []
    sequence = avatar.sequence
    assert sequence is not None
    baked = bake_clip(avatar.head, sequence)
    times = glb.accessor((np.arange(len(sequence)) / sequence.fps).astype(np.float32), bounds=True)
    channels: list[dict[str, Any]] = []
    samplers: list[dict[str, Any]] = []

    def channel(nodes: list[int], path: str, values: np.ndarray, exponent: int | np.ndarray, stride: int | None = None) -> None:
        output = glb.floats(np.ascontiguousarray(values), exponent, stride=stride)
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})
        channels.extend({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}} for node in nodes)

    weights = [baked.expr, *([baked.eyelids] if head.extension["eyelids"] else []), baked.pose_feature]
    table = np.concatenate(weights, axis=1)
    if table.size:
        shown = [head.node, *layers.nodes]
        channel(shown, "weights", table.reshape(-1), np.tile(_weight_exponents(avatar), len(table)), table.shape[1])
    for j in np.flatnonzero(baked.moves):
        alike = [head.joints[j], *(twin[j] for twin in twins)]
        channel(alike, "rotation", baked.rotations[:, j], ROTATION_EXPONENT)
        channel(alike, "translation", baked.translations[:, j], TRANSLATION_EXPONENT)
    clip: dict[str, Any] = {
        "animation": glb.add("animations", {"name": "clip", "channels": channels, "samplers": samplers}),
        "fps": sequence.fps, "frames": len(sequence)}
    if sequence.ranges:
        clip["ranges"] = {name: list(span) for name, span in sequence.ranges.items()}
    drivers = {name: glb.accessor(values.reshape(-1)) for name, values in _drivers(avatar, sequence).items()}
    if drivers:
        clip["drivers"] = drivers
    return clip


def _weight_exponents(avatar: Avatar) -> Int32[np.ndarray, " W"]:
    """Return how finely each target's weight is stored in grade `small`: so that no vertex moves by `WEIGHT_ERROR`."""
    head, lids = avatar.head, eyelid_directions(avatar)
    tables = [table for table in (head.exprdirs, lids, head.posedirs) if table is not None]
    reach = np.concatenate([np.linalg.norm(table, axis=1).max(axis=0, initial=0) for table in tables])
    for layer in avatar.layers:
        if isinstance(layer, MeshLayer):
            moves = [np.linalg.norm(table, axis=1).max(axis=0, initial=0) for table in target_tables(layer.binding, avatar)]
            reach = np.maximum(reach, np.concatenate(moves))
    coarsest = WEIGHT_COARSEST if not avatar.networks else NETWORK_COARSEST
    return np.clip(exponent_for(WEIGHT_ERROR / np.maximum(reach, 1e-6)), -20, coarsest)


def _drivers(avatar: Avatar, sequence: Sequence) -> dict[str, np.ndarray]:
    """Return the numbers [T, D] that dynamics and networks need and the animation does not hold, by driver name."""
    named = {name for layer in avatar.layers if isinstance(layer, SplatLayer)
             and isinstance(layer.dynamics, LinearDynamics) for name in layer.dynamics.driver}
    named |= {name for network in avatar.networks.values() for name in network.inputs}
    named |= {field for name in named - sequence.drivers.keys() for field in _MADE_FROM.get(name, ())}
    hidden = {name: getattr(sequence, name) for name in DRIVER_FIELDS
              if name in named and any(role not in avatar.head.joint_roles for role in _ROLES_OF.get(name, ()))}
    return {name: values for name, values in sorted({**hidden, **sequence.drivers}.items()) if values.shape[1]}
