"""Making a motion fit a head: names, neutral faces, and head motion that a tracker put into the camera."""

import dataclasses
import logging
from collections.abc import Mapping
from collections.abc import Sequence as Listing

import numpy as np
from jaxtyping import Float32

from formats.avatar import Avatar, check_driver
from formats.conventions import ARKIT_52
from formats.errors import CheckpointMismatch, FormatError, UnsupportedFeature
from formats.head_model import HeadModel
from formats.rotations import axis_angle_to_matrix, matrix_to_quat, polar_rotation, quat_to_axis_angle
from formats.sequence import LINEAR_FIELDS, ROTATION_FIELDS, Sequence

LOG = logging.getLogger(__name__)
NEUTRALS = ("none", "mean", "first")
MODES = ("head", "camera")


def retarget(sequence: Sequence, head: HeadModel, neutral: str = "none",
             arkit_map: Float32[np.ndarray, "52 A"] | None = None,
             own: Float32[np.ndarray, " E"] | None = None) -> Sequence:
    """Return the motion as `head` can play it.

    The head's own basis: checked, and trailing coefficients that it lacks are cut. ARKit weights on an ARKit head: by
    name, in the head's order. ARKit weights on another head: through the given map, else its own `arkit_map`, else one that
    is fitted to its landmarks (`formats.arkit_fit`); which it was is logged, and so is what is lost.

    Args:
        sequence: The motion.
        head: Who shall play it.
        neutral: The actor's neutral face, subtracted from every frame's expression (ARKit: from its weights) so that
            another person's is kept: `mean` of the clip, its `first` frame, or `none`.
        arkit_map: What ARKit's weights mean for this head (`HeadModel.arkit_map`), where the user knows better.
        own: The avatar's own neutral face in its head's coefficients, put in the place of the one that `neutral` subtracts
            (`neutral_of`).

    Raises:
        CheckpointMismatch: The motion speaks coefficients that this head does not know.
        MissingAsset: ARKit weights, no map, and no landmarks to fit one to.
        UnsupportedFeature: An unknown `neutral`.
    """
    if neutral not in NEUTRALS:
        raise UnsupportedFeature(f"neutral: unknown '{neutral}'; expected one of {', '.join(NEUTRALS)}")
    if neutral != "none":
        still = sequence.expr.mean(axis=0, dtype=np.float64) if neutral == "mean" else sequence.expr[0]
        sequence = dataclasses.replace(sequence, expr=sequence.expr - still)
    sequence = _known_joints(sequence, head)
    if sequence.basis.startswith("arkit"):
        sequence = _by_name(sequence, head) if head.edition.startswith("arkit") else _through_map(
            sequence, head, arkit_map)
    elif sequence.basis == head.edition:
        sequence = _cut(sequence, head)
    check_driver(head, sequence)
    if neutral != "none" and own is not None:
        still = np.zeros(len(head.expr_names))
        still[:len(own)] = own
        columns = [head.expr_names.index(name) for name in sequence.expr_names] or slice(sequence.expr.shape[1])
        sequence = dataclasses.replace(sequence, expr=sequence.expr + still[columns])
    return sequence


def neutral_of(avatar: Avatar) -> Float32[np.ndarray, " E"] | None:
    """Return the mean expression of the frames an avatar was trained on, where its clip has a range named `train`.

    Expressions that a tracker finds in a person at rest are not zero, and a trained avatar looks at rest at its own person's.
    FateAvatar's reenactment (Zhang et al., CVPR 2025) moves a driver's expressions by the difference of the two means.
    """
    clip = avatar.sequence
    if clip is None or "train" not in clip.ranges or clip.basis != avatar.head.edition or clip.expr_names:
        return None
    first, end = clip.ranges["train"]
    return clip.expr[first:end].mean(axis=0)


def _known_joints(sequence: Sequence, head: HeadModel) -> Sequence:
    lost = [name for name in sequence.joints if name not in head.joint_names]
    if lost:
        LOG.warning("left out the joints %s: the head does not have them", ", ".join(lost))
    return dataclasses.replace(sequence, joints={k: v for k, v in sequence.joints.items() if k not in lost})


def _cut(sequence: Sequence, head: HeadModel) -> Sequence:
    count = len(head.expr_names)
    if sequence.expr_names or sequence.expr.shape[1] <= count:
        return sequence
    LOG.warning("cut %d expressions to the head's %d; the largest coefficient lost is %.3g", sequence.expr.shape[1],
                count, np.abs(sequence.expr[:, count:]).max(initial=0))
    return dataclasses.replace(sequence, expr=sequence.expr[:, :count])


def _arkit_weights(sequence: Sequence) -> dict[str, np.ndarray]:
    names = sequence.expr_names or ARKIT_52[:sequence.expr.shape[1]]
    if len(names) != sequence.expr.shape[1]:
        raise CheckpointMismatch(f"the sequence has {sequence.expr.shape[1]} ARKit weights and no names; expected names, "
                                 "or at most ARKit's 52 in alphabetical order")
    return {name: sequence.expr[:, i].astype(np.float64) for i, name in enumerate(names)}


def _report_lost(weights: Mapping[str, np.ndarray], lost: list[str], why: str) -> None:
    moving = [name for name in lost if np.any(weights[name])]
    if moving:
        LOG.warning("left out %s: %s; the largest weight lost is %.3g", ", ".join(moving), why,
                    max(float(np.abs(weights[name]).max()) for name in moving))


def _by_name(sequence: Sequence, head: HeadModel) -> Sequence:
    weights = _arkit_weights(sequence)
    _report_lost(weights, [name for name in weights if name not in head.expr_names], "the head has no such shape")
    still = np.zeros(len(sequence))
    expr = np.stack([weights.get(name, still) for name in head.expr_names], axis=1)
    return dataclasses.replace(sequence, basis=head.edition, expr=expr, expr_names=head.expr_names, edition="")


def _through_map(sequence: Sequence, head: HeadModel, given: np.ndarray | None) -> Sequence:
    """Add what each weight stands for: expression, jaw, neck, eyes, eyelids (`HeadModel.arkit_map`)."""
    if given is not None:
        arkit_map, which = given, "the map that was given"
    elif head.arkit_map is not None:
        arkit_map, which = head.arkit_map, "the head's own map"
    else:
        from formats.arkit_fit import fit_arkit_map

        fit = fit_arkit_map(head)
        arkit_map, which = fit.table, f"a map {fit.summary()}"
    LOG.info("ARKit weights to '%s' coefficients by %s", head.edition, which)
    weights = _arkit_weights(sequence)
    _report_lost(weights, [name for name in weights if name not in ARKIT_52], "not among ARKit's 52")
    table = np.zeros((len(sequence), len(ARKIT_52)))
    for name in weights.keys() & set(ARKIT_52):
        table[:, ARKIT_52.index(name)] = weights[name]
    driven = table @ arkit_map.astype(np.float64)
    ends = np.cumsum([len(head.expr_names), 3, 3, 6])
    expr, jaw, neck, eyes, eyelids = np.split(driven, ends, axis=1)
    added = {"jaw": jaw, "neck": neck, "eyes": eyes, "eyelids": eyelids}
    return dataclasses.replace(
        sequence, basis=head.edition, expr=expr, expr_names=head.expr_names, edition=head.content_hash, shape=None,
        **{name: getattr(sequence, name) + value for name, value in added.items()})


# --- Head motion ------------------------------------------------------------------------------------------------------


def with_head_motion(sequence: Sequence, head: HeadModel, mode: str = "head") -> Sequence:
    """Return the motion with the camera's movement given to the head (`head`), or as it is (`camera`).

    Some trackers keep the head still and move the camera. With W_t = [R_t | s_t] the camera of frame t, W_0 the first,
    M_t = W_0^-1 W_t = [M | m], a posed point v = A (u - J) + J + T (A the root rotation about the root joint J of the
    expressed shape, T the translation, u what the other joints did) must become M v + m, so that W_0 sees it where W_t
    saw v. Hence A' = M A and T' = M (J + T) + m - J. Cameras become W_0; intrinsics stay per frame.

    Exact for what the root joint carries, and for Gaussians in its axes or a triangle's; where the camera does not turn, for all
    joints. Frame `none` and rotation `none` keep world axes: right for systems whose root turned in training, not for others.
    Without cameras nothing changes.

    Args:
        sequence: The motion, in the head's basis.
        head: Who plays it: J depends on it.
        mode: `head` or `camera`.

    Raises:
        CheckpointMismatch: The motion does not fit the head; `retarget` it first.
        UnsupportedFeature: An unknown mode, or a head without a root joint of its own.
    """
    if mode not in MODES:
        raise UnsupportedFeature(f"head motion: unknown '{mode}'; expected one of {', '.join(MODES)}")
    if mode == "camera" or not sequence.cameras:
        return sequence
    check_driver(head, sequence)
    root = head.joint_roles.get("root")
    if root is None or head.parents[root] != -1:
        raise UnsupportedFeature("head motion cannot go to the head: it has no root joint that a motion turns; use "
                                 "--head-motion camera")
    rest, motion = head.rest_joints()
    columns = [head.expr_names.index(name) for name in sequence.expr_names] or slice(sequence.expr.shape[1])
    joint = rest[root] + sequence.expr.astype(np.float64) @ motion[root][:, columns].T
    world = sequence.cameras["world_to_camera"].astype(np.float64)
    # Trackers round their matrices; a root rotation must be exact, or the head would shear.
    turns, shifts = polar_rotation(world[:, :3, :3]), world[:, :3, 3]
    back = turns[0].T
    relative, offset = back @ turns, (shifts - shifts[0]) @ turns[0]
    rotation = relative @ axis_angle_to_matrix(np.asarray(sequence.rotation))
    carried = joint + np.asarray(sequence.translation, np.float64)
    translation = np.einsum("tab,tb->ta", relative, carried) + offset - joint
    first = np.repeat(world[:1], len(sequence), axis=0)
    return dataclasses.replace(sequence, rotation=quat_to_axis_angle(matrix_to_quat(rotation)), translation=translation,
                               cameras={**sequence.cameras, "world_to_camera": first})


# --- Joining ----------------------------------------------------------------------------------------------------------


def join(parts: Listing[Sequence], names: Listing[str]) -> Sequence:
    """Return sequences one after the other, each as a named range beside the ranges it brought.

    Extra joints and drivers that only some parts have rest at zero in the others; cameras are kept when all have them.

    Args:
        parts: At least one; basis, edition, frame rate and expressions must agree.
        names: One per part; a name that comes again gets a number.

    Raises:
        FormatError: There is no part, or frame rates differ.
        CheckpointMismatch: The parts do not speak the same coefficients.
    """
    if not parts:
        raise FormatError("no sequence to join; name at least one file")
    first = parts[0]
    for part, name in zip(parts, names, strict=True):
        if part.basis != first.basis or (part.edition and first.edition and part.edition != first.edition):
            raise CheckpointMismatch(f"'{name}' is in '{part.basis}' coefficients of head {part.edition[:12] or '?'}, "
                                     f"'{names[0]}' in '{first.basis}' of {first.edition[:12] or '?'}; join clips of one")
        if part.fps != first.fps:
            raise FormatError(f"'{name}' has {part.fps:g} frames per second, '{names[0]}' {first.fps:g}; pass --fps")
        if part.expr_names != first.expr_names or part.expr.shape[1] != first.expr.shape[1]:
            raise CheckpointMismatch(f"'{name}' has {part.expr.shape[1]} expressions, '{names[0]}' has "
                                     f"{first.expr.shape[1]}, or other names; retarget them to one head first")
    if len(parts) == 1:
        return first
    values = {name: np.concatenate([getattr(part, name) for part in parts])
              for name in (*ROTATION_FIELDS, *LINEAR_FIELDS)}
    cameras = {}
    if all(part.cameras for part in parts):
        cameras = {name: np.concatenate([part.cameras[name] for part in parts]) for name in first.cameras}
    elif any(part.cameras for part in parts):
        LOG.warning("left out the cameras: only some of the joined sequences have them")
    return Sequence(
        first.basis, first.fps, shape=first.shape, expr_names=first.expr_names, cameras=cameras,
        joints=_stacked([part.joints for part in parts], parts), edition=next((p.edition for p in parts if p.edition), ""),
        drivers=_stacked([part.drivers for part in parts], parts), ranges=_ranges(parts, names), **values)


def _stacked(groups: Listing[Mapping[str, np.ndarray]], parts: Listing[Sequence]) -> dict[str, np.ndarray]:
    widths = {name: value.shape[1] for group in groups for name, value in group.items()}
    stacked = {}
    for name, width in widths.items():
        pieces = [group.get(name, np.zeros((len(part), width), np.float32))
                  for group, part in zip(groups, parts, strict=True)]
        if any(piece.shape[1] != width for piece in pieces):
            raise FormatError(f"'{name}' has another width in some of the sequences to join")
        stacked[name] = np.concatenate(pieces)
    return stacked


def _ranges(parts: Listing[Sequence], names: Listing[str]) -> dict[str, tuple[int, int]]:
    ranges: dict[str, tuple[int, int]] = {}
    start = 0

    def put(name: str, first: int, end: int) -> None:
        unique, n = name, 2
        while unique in ranges:
            unique, n = f"{name}-{n}", n + 1
        ranges[unique] = (first, end)

    for part, name in zip(parts, names, strict=True):
        put(name, start, start + len(part))
        for inner, (first, end) in part.ranges.items():
            put(f"{name}/{inner}", start + first, start + end)
        start += len(part)
    return ranges
