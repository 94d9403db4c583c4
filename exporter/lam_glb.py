"""The two GLBs of a LAM zip: `skin.glb`, the skinned mesh with targets, and `animation.glb`, the clips of its bones.

The public player takes what a file with animations holds as clips and what one without holds as a scene, so they are apart.
It plays clips by their place: two to greet (never played), one to idle, six to speak, three to think, and looks for bones `hip`
and `head`. Bones rest unturned; a clip of ours moves their translation and rotation.
"""

import numpy as np

from exporter.lam_model import LamModel
from formats.avatar import Meta
from formats.codecs.glb_writer import GlbWriter, smallest_unsigned
from formats.conventions import wxyz_to_xyzw
from formats.rotations import axis_angle_to_quat
from formats.sequence import Sequence

SLOTS = (("hello", 2), ("idle", 1), ("speak", 6), ("think", 3))
"""The player's states in its order, and how many clips each has."""
MESH_NAME = "head_final"
STILL = 1e-7
"""Radians and metres; a bone that moves less gets no channel."""


def skin_glb(model: LamModel, meta: Meta, cut: float = 0.0) -> bytes:
    """Return `skin.glb`.

    Args:
        model: What it holds.
        meta: For the licence notices.
        cut: Metres; points that a target moves less are left out of it.
    """
    glb = _begin(meta)
    roots = _nodes(glb, model)
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(model.bones), 1, 1))
    inverse[:, :3, 3] = -model.bones
    attributes = {"POSITION": glb.accessor(model.positions.astype(np.float32), "vertex", bounds=True)}
    order = np.argsort(-model.weights, axis=1, kind="stable")
    for k in range(0, max(int((model.weights > 0).sum(axis=1).max(initial=1)), 1), 4):
        pick = order[:, k:k + 4]
        weights = np.take_along_axis(model.weights, pick, axis=1)
        joints = np.where(weights > 0, pick, 0)
        short = 4 - joints.shape[1]
        attributes[f"JOINTS_{k // 4}"] = glb.accessor(smallest_unsigned(np.pad(joints, ((0, 0), (0, short)))), "vertex")
        attributes[f"WEIGHTS_{k // 4}"] = glb.accessor(np.pad(weights, ((0, 0), (0, short))).astype(np.float32), "vertex")
    targets = [{"POSITION": glb.sparse_accessor(np.ascontiguousarray(model.targets[:, :, e], np.float32), cut)}
               for e in range(len(model.target_names))]
    primitive = {"attributes": attributes, "targets": targets,
                 "indices": glb.accessor(smallest_unsigned(model.faces.reshape(-1)), "index")}
    mesh = glb.add("meshes", {"name": MESH_NAME, "primitives": [primitive], "weights": [0.0] * len(targets),
                              "extras": {"targetNames": list(model.target_names)}})
    skin = glb.add("skins", {"name": "skeleton", "joints": list(range(len(model.bones))),
                             "inverseBindMatrices": glb.accessor(inverse)})
    node = glb.add("nodes", {"name": f"{MESH_NAME}_mesh", "mesh": mesh, "skin": skin})
    glb.json["scenes"] = [{"name": "Scene", "nodes": [*roots, node]}]
    return glb.to_bytes()


def animation_glb(model: LamModel, meta: Meta) -> bytes:
    """Return `animation.glb`: the player's twelve clips, then what further clips there are."""
    glb = _begin(meta)
    glb.json["scenes"] = [{"name": "Scene", "nodes": _nodes(glb, model)}]
    clip = model.sequence
    if clip is None:
        clip = Sequence("arkit-52", 30.0, np.zeros((31, 1)), expr_names=("jawOpen",))
    turns = _turns(model, clip)
    roots = np.flatnonzero(model.parents < 0)
    for name, first, end in slots(clip):
        span = slice(first, end)
        # A clip of one frame has no length, by which the player divides.
        times = np.arange(max(end - first, 2)) / clip.fps
        rows = np.minimum(np.arange(len(times)) + first, end - 1)
        at = glb.accessor(times.astype(np.float32), bounds=True)
        samplers, channels = [], []
        for j, turn in turns.items():
            quats = wxyz_to_xyzw(axis_angle_to_quat(turn[rows])).astype(np.float32)
            samplers.append({"input": at, "output": glb.accessor(quats), "interpolation": "LINEAR"})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": j, "path": "rotation"}})
        still = np.abs(clip.translation[span]).max(initial=0) < STILL
        for j in roots if not still or not channels else ():
            moved = (model.bones[j] + clip.translation[rows]).astype(np.float32)
            samplers.append({"input": at, "output": glb.accessor(moved), "interpolation": "LINEAR"})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": int(j), "path": "translation"}})
        glb.add("animations", {"name": name, "samplers": samplers, "channels": channels})
    return glb.to_bytes()


def slots(clip: Sequence) -> list[tuple[str, int, int]]:
    """Return name, first frame and end of the clips in the player's order.

    Twelve named ranges are LAM's own, with the idle one taken to its place. Otherwise ranges go where their names say, and
    those that say nothing go with the greetings; a place for which there is none plays the idle one, and ranges that
    have no place follow, where the player never looks.
    """
    ranges = dict(clip.ranges) or {"idle": (0, len(clip))}
    names = list(ranges)
    idle = next((name for name in names if "idle" in name.lower()), names[0])
    others = [name for name in names if name != idle]
    if len(names) == sum(count for _, count in SLOTS):
        return [(name, *ranges[name]) for name in (*others[:2], idle, *others[2:])]
    placed: list[tuple[str, int, int]] = []
    strays = [name for name in others if not any(state in name.lower() for state, _ in SLOTS)]
    for state, count in SLOTS:
        named = [name for name in others if state in name.lower()] + (strays if state == "hello" else [])
        fitting = [idle] if state == "idle" else named[:count]
        others = [name for name in others if name not in fitting]
        placed += [(name, *ranges[name]) for name in fitting]
        free = (f"{state}_{k}" for k in range(1, 99) if f"{state}_{k}" not in names)
        placed += [(next(free), *ranges[idle]) for _ in range(count - len(fitting))]
    return placed + [(name, *ranges[name]) for name in others]


def _turns(model: LamModel, clip: Sequence) -> dict[int, np.ndarray]:
    """Return the rotations [T, 3] of each bone that turns, relative to its parent."""
    fields = {"root": clip.rotation, "neck": clip.neck, "jaw": clip.jaw, "left_eye": clip.eyes[:, :3],
              "right_eye": clip.eyes[:, 3:]}
    turns = {joint: fields[role] for role, joint in model.roles.items()}
    turns |= {model.bone_names.index(name): turn for name, turn in clip.joints.items()}
    return {j: turn.astype(np.float64) for j, turn in sorted(turns.items()) if np.abs(turn).max(initial=0) > STILL}


def _begin(meta: Meta) -> GlbWriter:
    glb = GlbWriter()
    if meta.license_notices:
        glb.json["asset"]["copyright"] = " ".join(meta.license_notices)
    glb.json["scene"] = 0
    return glb


def _nodes(glb: GlbWriter, model: LamModel) -> list[int]:
    """Add the bones as nodes 0 to J - 1 and return the roots."""
    for j, (name, parent) in enumerate(zip(model.bone_names, model.parents.tolist(), strict=True)):
        step = model.bones[j] - (model.bones[parent] if parent >= 0 else 0)
        children = np.flatnonzero(model.parents == j).tolist()
        glb.add("nodes", {"name": name, "translation": step.tolist(), **({"children": children} if children else {})})
    return np.flatnonzero(model.parents < 0).tolist()
