"""The whole path on our own data, from nothing to a page and a picture."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from exporter.export import export, options_type
from exporter.validate import validate
from formats import video
from formats.avatar import Avatar
from formats.camera import Camera, look_at
from formats.codecs import bundle
from formats.codecs.json_file import write_json
from formats.errors import FormatError
from formats.render import default_camera, render_avatar
from formats.standin.avatar import standin_avatar

SHOTS = (("neutral", 0.5, 0.0), ("talk", 0.22, -0.45), ("smile", 0.5, 0.0), ("turn", 0.35, 0.15))
"""What the picture shows, left to right: a named range of the clip, how far into it, and how far the camera stands to the
side, radians."""


def run(out: Path, progress: Callable[[str], None]) -> None:
    """Fill the folder `out`: standin.avatar, standin.glb, web/, validation.json and picture.png.

    Raises:
        FormatError: The GLB is past its tolerance when read back.
    """
    progress("painting the stand-in avatar")
    avatar = standin_avatar()
    bundle.write(avatar, out / "standin.avatar")
    progress("exporting the GLB and the page")
    export(avatar, "glb", out / "standin.glb", options_type("glb")())
    export(avatar, "web", out / "web", options_type("web")())
    progress("reading the GLB back and comparing it with the bundle")
    report = validate(out / "standin.glb", avatar, 3, progress)
    write_json(report.as_dict(), out / "validation.json")
    if not report.ok:
        raise FormatError(f"{out / 'standin.glb'}: past the tolerance: {report.failure}")
    progress("taking its picture")
    video.write_png(portraits(avatar), out / "picture.png")


def portraits(avatar: Avatar, size: int = 512) -> UInt8[np.ndarray, "H W 3"]:
    """Return `SHOTS` side by side, [size, size * shots, 3]; needs an avatar whose clip has those ranges."""
    assert avatar.sequence is not None
    pictures = []
    for name, along, side in SHOTS:
        first, end = avatar.sequence.ranges[name]
        camera = around(default_camera(avatar, size, size), avatar, side)
        pictures.append(render_avatar(avatar, avatar.sequence, first + along * (end - 1 - first), camera).to_uint8())
    return np.concatenate(pictures, axis=1)


def around(camera: Camera, avatar: Avatar, angle: float) -> Camera:
    """Return `camera` moved around the head's vertical axis by `angle` radians, looking at the same height."""
    middle = avatar.head.v_template.mean(axis=0)
    eye = camera.position
    arm = eye - [middle[0], eye[1], middle[2]]
    c, s = np.cos(angle), np.sin(angle)
    turned = np.array([c * arm[0] + s * arm[2], arm[1], c * arm[2] - s * arm[0]])
    place = turned + [middle[0], eye[1], middle[2]]
    target = np.array([middle[0], eye[1], middle[2]])
    return look_at(place, target, 2 * np.arctan(camera.height / 2 / camera.K[1, 1]), camera.width, camera.height)
