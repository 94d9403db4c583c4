"""The skeleton clips in a LAM avatar's `animation.glb`, as one `Sequence` with a named range per clip.

Clips name the nodes of `skin.glb` and set their transforms. With W the world rotation of a joint and W0 the one at
rest, a joint turns by `G = W W0^-1` in world axes, and relative to its parent by `R = G_parent^-1 G`, which equals
`P0 (L L0^-1) P0^-1` for local rotations L and the parent's rest rotation P0.

Clips also move joints: the hip by up to 2 cm and the head by up to 7 mm against the neck. A sequence has one
translation, so it is chosen to put the head joint (`anchor`) exactly where the clip puts it: what the public renderer
shows is this joint's motion alone. What then remains at the shoulders is logged.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float64

from formats.codecs.glb import GlbDocument
from formats.codecs.json_file import Fields
from formats.errors import FormatError
from formats.importers.lam_skeleton import Skeleton, rotation_part, transform
from formats.rotations import matrix_to_quat, normalize, quat_to_axis_angle, slerp
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
FPS = 30.0
"""The rate of LAM's expression tracks; its clips are keyed at 24."""
CLIP_LIMIT = 256
FRAME_LIMIT = 60 * 60 * int(FPS)
"""An hour, all clips together."""
STILL = 1e-6
"""Radians; joints that turn less are left out."""

Curves = dict[tuple[int, str], np.ndarray]
"""Node and property to its values over a clip's frames."""


def read_clips(document: GlbDocument, skeleton: Skeleton, weights: np.ndarray, anchor: int, basis: str,
               expr_names: tuple[str, ...], roles: dict[str, int]) -> Sequence | None:
    """Return all clips, one after the other, the idle one first; None when the file has none.

    Args:
        document: `animation.glb`.
        skeleton: Of `skin.glb`.
        weights: [V, J]; only joints above weighted ones are kept.
        anchor: The joint whose position is met exactly.
        basis: Of the head.
        expr_names: Of the head; the clips leave the face neutral.
        roles: The head's joint roles: `root` and `neck` go to `Sequence.rotation` and `Sequence.neck`.
    """
    clips = Fields(document.json, document.where).items("animations", [])
    if len(clips) > CLIP_LIMIT:
        raise FormatError(f"{document.where}: {len(clips)} animations, at most {CLIP_LIMIT} are read")
    if not clips:
        return None
    moving = _moving_joints(skeleton, weights, anchor)
    named: list[tuple[str, Float64[np.ndarray, "T J 3"], Float64[np.ndarray, "T 3"]]] = []
    total, furthest = 0, 0.0
    for i in range(len(clips)):
        fields = document.item("animations", i)
        curves, frames = _sample(document, fields, skeleton, FRAME_LIMIT - total)
        total += frames
        turns, translation, off = _pose(skeleton, curves, frames, moving, anchor)
        furthest = max(furthest, off)
        named.append((fields.text("name", f"clip{i}"), turns, translation))
    if furthest > 5e-4:
        LOG.info("%s: clips move joints against each other, which a sequence cannot say; '%s' is met exactly, other "
                 "joints are up to %.1f mm off", document.where, skeleton.names[anchor], furthest * 1e3)
    names = [name for name, _, _ in named]
    if len(set(names)) != len(names):
        raise FormatError(f"{document.where}: two animations are named "
                          f"'{next(n for n in names if names.count(n) > 1)}'")
    named.sort(key=lambda clip: "idle" not in clip[0].lower())
    ends = np.cumsum([len(turns) for _, turns, _ in named]).tolist()
    ranges = {name: (end - len(turns), end) for (name, turns, _), end in zip(named, ends, strict=True)}
    turns, translation = (np.concatenate([clip[k] for clip in named]) for k in (1, 2))
    fields_of = {"root": "rotation", "neck": "neck"}
    by_role = {joint: fields_of[role] for role, joint in roles.items() if role in fields_of}
    driven: dict[str, Any] = {by_role[j]: turns[:, j] for j in moving if j in by_role}
    joints = {skeleton.names[j]: turns[:, j] for j in moving
              if j not in by_role and np.abs(turns[:, j]).max() > STILL}
    return Sequence(basis, FPS, np.zeros((len(turns), len(expr_names))), expr_names=expr_names, translation=translation,
                    joints=joints, ranges=ranges, **driven)


def _moving_joints(skeleton: Skeleton, weights: np.ndarray, anchor: int) -> list[int]:
    """Return the joints that carry weight, or stand above one that does, parents first."""
    needed = weights.sum(axis=0) > 0
    needed[anchor] = True
    for j in reversed(range(len(skeleton.parents))):
        if needed[j] and skeleton.parents[j] >= 0:
            needed[skeleton.parents[j]] = True
    return np.flatnonzero(needed).tolist()


def _pose(skeleton: Skeleton, curves: Curves, frames: int, moving: list[int],
          anchor: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return rotations relative to the parent [T, J, 3], the translation [T, 3], and how far other joints are off."""
    turns = np.zeros((frames, len(skeleton.parents), 3))
    world: dict[int, np.ndarray] = {}
    turned = {-1: np.tile(np.eye(3), (frames, 1, 1))}
    at: dict[int, np.ndarray] = {}
    for j in moving:
        parent = int(skeleton.parents[j])
        now = _world(skeleton, curves, frames, skeleton.joint_nodes[j], world)
        turned[j] = rotation_part(now) @ rotation_part(skeleton.rest[j]).T
        local = turned[parent].transpose(0, 2, 1) @ turned[j]
        turns[:, j] = quat_to_axis_angle(matrix_to_quat(local))
        rest = skeleton.rest[j, :3, 3]
        at[j] = np.tile(rest, (frames, 1))
        if parent >= 0:
            at[j] = at[parent] + turned[parent] @ (rest - skeleton.rest[parent, :3, 3])
    meant = {j: world[skeleton.joint_nodes[j]][:, :3, 3] for j in moving}
    translation = meant[anchor] - at[anchor]
    off = max(float(np.linalg.norm(at[j] + translation - meant[j], axis=1).max()) for j in moving)
    return turns, translation, off


def _world(skeleton: Skeleton, curves: Curves, frames: int, node: int, known: dict[int, np.ndarray]) -> np.ndarray:
    """Return a node's world matrices [T, 4, 4] in a clip, keeping those met on the way in `known`."""
    path = [node]
    while path[-1] not in known and skeleton.nodes[path[-1]].parent >= 0:
        path.append(skeleton.nodes[path[-1]].parent)
    for i in reversed(path):
        if i not in known:
            at_rest = skeleton.nodes[i]
            parts = [curves.get((i, name), np.tile(getattr(at_rest, name), (frames, 1)))
                     for name in ("translation", "rotation")]
            local = transform(parts[0], parts[1], np.tile(at_rest.scale, (frames, 1)))
            known[i] = local if at_rest.parent < 0 else known[at_rest.parent] @ local
    return known[node]


def _sample(document: GlbDocument, clip: Fields, skeleton: Skeleton, frame_limit: int) -> tuple[Curves, int]:
    """Return a clip's curves at `FPS`, and how many frames that is."""
    keyed: dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]] = {}
    duration = 0.0
    scaled = []
    for node, path, times, values, interpolation in _channels(document, clip, skeleton):
        duration = max(duration, float(times[-1]))
        if path == "scale":
            if np.abs(values - skeleton.nodes[node].scale).max() > 1e-3 * skeleton.nodes[node].scale.max():
                scaled.append(skeleton.nodes[node].name)
        else:
            keyed[node, path] = (times, values, interpolation)
    if scaled:
        LOG.warning("%s: left out how it scales %s: our joints turn, they do not scale", clip.where,
                    ", ".join(scaled[:5]))
    frames = int(np.floor(min(duration * FPS, 2.0**31) + 1e-3)) + 1
    if frames > frame_limit:
        raise FormatError(f"{clip.where}: {duration:.0f} seconds; clips of {FRAME_LIMIT / FPS:.0f} seconds in all are "
                          "read")
    t = np.arange(frames) / FPS
    return {(node, path): sample_keys(*keys, t, path == "rotation") for (node, path), keys in keyed.items()}, frames


def _channels(document: GlbDocument, clip: Fields,
              skeleton: Skeleton) -> Iterator[tuple[int, str, np.ndarray, np.ndarray, str]]:
    """Yield (node of the skeleton, property, times, values, interpolation) of the channels that move its joints."""
    by_name = {skeleton.nodes[i].name: i for i in skeleton.joint_nodes}
    samplers = clip.items("samplers")
    for c, channel in enumerate(clip.items("channels")):
        where = f"{clip.where}.channels[{c}]"
        fields = Fields(channel, where)
        target = fields.fields("target")
        path = target.choice("path", ("translation", "rotation", "scale", "weights"))
        name = document.item("nodes", target.integer("node")).text("name", "") if target.has("node") else ""
        if name not in by_name or path == "weights":
            continue
        index = fields.integer("sampler")
        if index >= len(samplers):
            raise FormatError(f"{where}: names sampler {index} of {len(samplers)}")
        sampler = Fields(samplers[index], f"{clip.where}.samplers[{index}]")
        interpolation = sampler.choice("interpolation", ("LINEAR", "STEP", "CUBICSPLINE"), "LINEAR")
        times = document.accessor(sampler.integer("input")).astype(np.float64)
        values = document.accessor(sampler.integer("output")).astype(np.float64)
        keys = len(times) * (3 if interpolation == "CUBICSPLINE" else 1)
        width = 4 if path == "rotation" else 3
        if times.ndim != 1 or values.shape != (keys, width):
            raise FormatError(f"{sampler.where}: expected {keys} x {width} values for {len(times)} keys, got "
                              f"{list(values.shape)}")
        if times[0] < 0 or (np.diff(times) <= 0).any():
            raise FormatError(f"{sampler.where}: key times must rise from 0")
        if path == "rotation":
            values = values[:, [3, 0, 1, 2]]
        yield by_name[name], path, times, values, interpolation


def sample_keys(times: np.ndarray, values: np.ndarray, interpolation: str, t: np.ndarray,
                rotations: bool) -> Float64[np.ndarray, "T C"]:
    """Return keyed values at times `t`, seconds, held at both ends (glTF 2.0, appendix C).

    Args:
        times: Rising.
        values: [keys, C], or for `CUBICSPLINE` [3 keys, C]: in-tangent, value, out-tangent.
        interpolation: `LINEAR`, `STEP` or `CUBICSPLINE`.
        t: When.
        rotations: The values are quaternions: linear means along the arc, and results are unit.
    """
    after = np.clip(np.searchsorted(times, t, "right"), 1, max(len(times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    span = times[after] - times[before]
    f = np.clip(np.where(span > 0, (t - times[before]) / np.where(span > 0, span, 1), 0), 0, 1)[:, None]
    if interpolation == "CUBICSPLINE":
        into, value, out = values[0::3], values[1::3], values[2::3]
        width = span[:, None]
        result = ((2 * f**3 - 3 * f**2 + 1) * value[before] + width * (f**3 - 2 * f**2 + f) * out[before]
                  + (3 * f**2 - 2 * f**3) * value[after] + width * (f**3 - f**2) * into[after])
    elif interpolation == "STEP":
        result = values[np.where(f[:, 0] >= 1, after, before)]
    elif rotations:
        result = slerp(normalize(values[before]), normalize(values[after]), f)
    else:
        result = (1 - f) * values[before] + f * values[after]
    return normalize(result) if rotations else result
