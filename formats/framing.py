"""Where to stand so that an avatar's head fills the picture."""

import dataclasses

import numpy as np
from jaxtyping import Float64

from formats.avatar import Avatar, MeshLayer, SplatLayer
from formats.camera import Camera, look_at
from formats.deform import deform_head, deform_splats, deform_strands, rest_sequence

FOV_Y = np.deg2rad(20)
"""A portrait lens: about a metre away from a head."""
FILL = 0.85
"""Share of the picture that the framed box takes, across or up, whichever is tighter."""
STRAY = 1.0
"""Percent cut from each end of every axis, so that a few stray Gaussians do not move the camera."""
CLOSEST = 0.4
"""Metres; the camera keeps this far from the box, beyond the default near plane of 0.2."""
FAINT = 0.1
"""Gaussians with less opacity are not framed."""


def default_camera(avatar: Avatar, width: int = 512, height: int = 512) -> Camera:
    """Return a camera in front of the avatar at rest that shows all of it.

    It frames what the layers show, or the head's vertices when there are none, with identity but without expression,
    pose or dynamics. The head looks towards +z, so the camera stands there, level and square to it. The result does
    not depend on the frame, so that one stored camera serves a clip in every player.

    Args:
        avatar: Any.
        width: Pixels.
        height: Pixels.
    """
    points = _rest_points(avatar)
    low, high = np.percentile(points, [STRAY, 100 - STRAY], axis=0)
    target, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-3)
    slope = np.tan(FOV_Y / 2) * FILL
    distance = half[2] + max(half[1] / slope, half[0] / (slope * width / height), CLOSEST)
    return look_at(target + [0, 0, distance], target, float(FOV_Y), width, height)


def _rest_points(avatar: Avatar) -> Float64[np.ndarray, "N 3"]:
    frame = rest_sequence(avatar.head)
    posed = deform_head(avatar.head, frame)
    clouds, points = [], []
    for layer in avatar.layers:
        if isinstance(layer, SplatLayer):
            clouds.append(deform_splats(dataclasses.replace(layer, dynamics=None), avatar, posed, frame).cloud)
        elif isinstance(layer, MeshLayer):
            points.append(layer.vertices)
        else:
            clouds.append(deform_strands(layer, avatar, posed).cloud)
    points += [c.means[c.opacities >= FAINT] for c in clouds]
    found = np.concatenate(points) if points else np.zeros((0, 3))
    return (found if len(found) else posed.vertices).astype(np.float64)
