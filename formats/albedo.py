"""A texture for avatars that have none: the avatar itself, seen from all sides, put back onto its head."""

import dataclasses

import numpy as np
from jaxtyping import Float32

from formats.avatar import Avatar
from formats.camera import Camera, look_at
from formats.deform import deform, rest_sequence
from formats.framing import FOV_Y, default_camera
from formats.render import RenderOptions, render
from formats.reproject import reproject

YAWS = (0, 40, -40, 80, -80, 125, -125, 180)
PITCHES = (0, 35)
"""Degrees that the cameras stand around the head, and above it (the front also from below)."""
SIZE = 512
"""Pixels of each picture."""


def albedo_of(avatar: Avatar, size: int, pictures: int = SIZE) -> Float32[np.ndarray, "S S 3"]:
    """Return a texture of the avatar's head as its layers look on it at rest, display sRGB 0..1, row 0 on top.

    It holds the light that the layers hold: avatars are drawn unlit.

    Args:
        avatar: With texture coordinates.
        size: Texels across.
        pictures: Pixels of the pictures it is gathered from.

    Raises:
        UnsupportedFeature: The head has no texture coordinates.
    """
    still = rest_sequence(avatar.head)
    posed = deform(dataclasses.replace(avatar, sequence=None), still)
    front = default_camera(avatar, pictures, pictures)
    views = []
    for camera in cameras_around(front, avatar.head.v_template.mean(axis=0)):
        picture = render(posed, camera, RenderOptions(background=(0, 0, 0)))
        alpha = picture.alpha[..., None].astype(np.float64)
        straight = np.where(alpha > 1e-3, picture.rgb / np.maximum(alpha, 1e-3), 0)
        rgba = np.concatenate([np.clip(straight, 0, 1), alpha], axis=2)
        views.append((posed.head.vertices, camera, np.round(rgba * 255).astype(np.uint8)))
    return reproject(avatar.head, views, size)[0]


def cameras_around(front: Camera, middle: np.ndarray) -> list[Camera]:
    """Return cameras as far from `middle` [3], metres, as `front` is, on all sides, looking at it."""
    distance = float(np.linalg.norm(front.position - middle))
    cameras = []
    for pitch in (*PITCHES, -25):
        for yaw in YAWS if pitch >= 0 else (0, 60, -60):
            a, b = np.deg2rad(yaw), np.deg2rad(pitch)
            arm = np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
            cameras.append(look_at(middle + distance * arm, middle, float(FOV_Y), front.width, front.height))
    return cameras
