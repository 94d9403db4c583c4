"""What a GLB's options leave out and what grade `small` rounds, in numbers."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from exporter.capabilities import Loss, measured_frames
from exporter.glb_packing import POSE_LENGTH, probe_coefficients
from formats.avatar import Avatar
from formats.deform import Posed, PosedSplats, deform
from formats.render import RenderOptions, default_camera, psnr, render_avatar
from formats.sequence import Sequence

RANDOM_FRAMES = 3
"""How many random poses are tried beside the clip's frames."""
PICTURE = 256
"""Pixels each way."""


def tried_frames(avatar: Avatar) -> Iterator[Sequence]:
    """Give frames of the clip, and random expressions (`glb_packing.LENGTH`) on a turned head."""
    head, rng = avatar.head, np.random.default_rng(8)
    yield from measured_frames(head, avatar.sequence)
    base = next(iter(measured_frames(head, avatar.sequence)))
    for expr in probe_coefficients(head, avatar.sequence)[-RANDOM_FRAMES:]:
        turns = rng.normal(size=15)
        turns *= POSE_LENGTH / 2 / np.linalg.norm(turns)
        yield dataclasses.replace(
            base, expr=expr[None].astype(np.float32), expr_names=head.expr_names, rotation=turns[None, :3],
            neck=turns[None, 3:6], jaw=turns[None, 6:9], eyes=turns[None, 9:], eyelids=rng.uniform(0, 1, (1, 2)))


def farthest(avatar: Avatar, back: Avatar) -> float:
    """Return the largest distance, metres, between posed vertices and means of two avatars over `tried_frames`."""
    largest = 0.0
    for frame in tried_frames(avatar):
        one, other = (_points(deform(each, frame)) for each in (avatar, back))
        largest = max(largest, *(float(np.linalg.norm(a - b, axis=1).max(initial=0))
                                 for a, b in zip(one, other, strict=True)))
    return largest


def _points(posed: Posed) -> list[np.ndarray]:
    return [posed.head.vertices, *(layer.cloud.means.astype(np.float64) for layer in posed.layers
                                   if isinstance(layer, PosedSplats))]


def limit_losses(avatar: Avatar, less: Avatar) -> list[Loss]:
    """Return what leaving out expressions and joints does to the posed head; asked for, so nobody has to allow it."""
    found = []
    gone = [name for name in avatar.head.expr_names if name not in less.head.expr_names]
    if gone:
        largest = 0.0
        for frame in tried_frames(avatar):
            keep = [i for i, name in enumerate(frame.expr_names or avatar.head.expr_names[:frame.expr.shape[1]])
                    if name in less.head.expr_names]
            names = [(frame.expr_names or avatar.head.expr_names)[i] for i in keep]
            cut = dataclasses.replace(frame, expr=frame.expr[:, keep], expr_names=names)
            a, b = (_points(deform(avatar, each))[0] for each in (frame, cut))
            largest = max(largest, float(np.linalg.norm(a - b, axis=1).max()))
        listed = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
        found.append(Loss(f"{len(gone)} of {len(avatar.head.expr_names)} expressions ({listed})",
                          f"head vertices up to {largest * 1e3:.3g} mm off", False))
    joints = [name for name in avatar.head.joint_names if name not in less.head.joint_names]
    if joints:
        found.append(Loss(f"{len(joints)} of {len(avatar.head.joint_names)} joints, which move nothing ({joints[0]}, ...)"
                          if len(joints) > 1 else f"joint {joints[0]}, which moves nothing", "0 mm", False))
    return found


def rounding_losses(avatar: Avatar, back: Avatar, error: float) -> list[Loss]:
    """Return what grade `small` rounds: posed points (`error`, metres), and the rest by what it does to a picture."""
    found = [Loss("grade small rounds", f"posed vertices and means up to {error * 1e3:.3g} mm off", False)]
    if avatar.layers:
        frame = next(tried_frames(avatar))
        camera, options = default_camera(avatar, PICTURE, PICTURE), RenderOptions()
        one, other = (render_avatar(each, frame, 0, camera, options).rgb for each in (avatar, back))
        found.append(Loss("grade small rounds", f"picture at {psnr(one, other):.3g} dB", False))
    return found
