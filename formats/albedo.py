"""A texture for avatars that have none: the avatar itself, seen from all sides, put back onto its head."""

import dataclasses

import numpy as np
from jaxtyping import Float32

from formats.avatar import Avatar
from formats.camera import Camera, look_at
from formats.deform import Posed, deform, rest_sequence
from formats.framing import FOV_Y, default_camera
from formats.render import RenderOptions, render
from formats.reproject import View, reproject

AROUND = {0: (0, 40, -40, 80, -80, 125, -125, 180), 35: (0, 90, -90, 180), -25: (0, 60, -60)}
"""Degrees above the head to degrees around it: where cameras stand."""
GAZES = ((0.0, 0.45), (0.0, -0.45), (0.3, 0.0), (-0.3, 0.0))
"""Radians that eyes turn down and to the side, in further pictures from the front: at rest, lids hide most of them."""
JAW = 0.25
"""Radians that the jaw opens there, for the inside of the lips and what is behind."""
SIZES = (128, 512)
"""Pixels of each picture, at least and at most: lids and lips are a few pixels of it."""


def albedo_of(avatar: Avatar, size: int, pictures: int | None = None) -> Float32[np.ndarray, "S S 3"]:
    """Return a texture of the avatar's head as its layers look on it at rest, display sRGB 0..1, row 0 on top.

    It holds the light that the layers hold: avatars are drawn unlit. Heads with FLAME's joints also look around and open
    their mouth for it.

    Args:
        avatar: With texture coordinates.
        size: Texels across.
        pictures: Pixels of the pictures it is gathered from; as many as texels, within `SIZES`, when None.

    Raises:
        UnsupportedFeature: The head has no texture coordinates.
    """
    pictures = min(max(size, SIZES[0]), SIZES[1]) if pictures is None else pictures
    avatar = dataclasses.replace(avatar, sequence=None)
    still = rest_sequence(avatar.head)
    rest = deform(avatar, still)
    front = default_camera(avatar, pictures, pictures)
    views = [_view(rest, camera) for camera in cameras_around(front, avatar.head.v_template.mean(axis=0))]
    if {"jaw", "left_eye", "right_eye"} <= avatar.head.joint_roles.keys():
        for down, aside in GAZES:
            eyes = np.array([[down, aside, 0, down, aside, 0]], np.float32)
            moved = dataclasses.replace(still, eyes=eyes, jaw=np.array([[JAW, 0, 0]], np.float32))
            views.append(_view(deform(avatar, moved), front))
    return reproject(avatar.head, views, size)[0]


def _view(posed: Posed, camera: Camera) -> View:
    """Return what `reproject` needs of a picture of `posed`, straight RGBA."""
    picture = render(posed, camera, RenderOptions(background=(0, 0, 0)))
    alpha = picture.alpha[..., None].astype(np.float64)
    straight = np.where(alpha > 1e-3, picture.rgb / np.maximum(alpha, 1e-3), 0)
    rgba = np.concatenate([np.clip(straight, 0, 1), alpha], axis=2)
    return posed.head.vertices, camera, np.round(rgba * 255).astype(np.uint8)


def cameras_around(front: Camera, middle: np.ndarray) -> list[Camera]:
    """Return cameras as far from `middle` [3], metres, as `front` is, on all sides, looking at it."""
    distance = float(np.linalg.norm(front.position - middle))
    cameras = []
    for pitch, yaws in AROUND.items():
        for yaw in yaws:
            a, b = np.deg2rad(yaw), np.deg2rad(pitch)
            arm = np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
            cameras.append(look_at(middle + distance * arm, middle, float(FOV_Y), front.width, front.height))
    return cameras
