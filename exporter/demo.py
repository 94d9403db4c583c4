"""The end of the demo: an avatar becomes a GLB, a page, pictures of its maps, a proof and a picture."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from exporter.export import export, options_type
from exporter.validate import validate
from formats import video
from formats.avatar import Avatar
from formats.camera import Camera, look_at
from formats.codecs.json_file import write_json
from formats.contact_sheet import contact_sheet
from formats.datasets.frames import Frames
from formats.errors import FormatError
from formats.render import default_camera, render_avatar
from formats.sequence import Sequence

SHOTS = (("neutral", 0.5, 0.0), ("talk", 0.22, -0.45), ("blink", 0.2, 0.2), ("turn", 0.35, 0.15), ("smile", 0.5, 0.0))
"""What the picture shows of the clip, left to right: a named range, how far into it, and how far the camera stands to the
side, radians."""


def finish(avatar: Avatar, clip: Sequence, held_out: Frames, out: Path, progress: Callable[[str], None]) -> None:
    """Fill the folder `out`: avatar.glb, web/, maps/ where the avatar has any, validation.json and picture.png.

    Args:
        avatar: With texture coordinates.
        clip: What the GLB and the page play; needs the ranges of `SHOTS`.
        held_out: Pictures the avatar was not trained on, for the picture.
        out: An existing folder.
        progress: Is told what happens, a line at a time.

    Raises:
        FormatError: The GLB is past its tolerance when read back.
    """
    avatar = dataclasses.replace(avatar, sequence=clip)
    progress("exporting the GLB, the page and the maps")
    export(avatar, "glb", out / "avatar.glb", options_type("glb")())
    export(avatar, "web", out / "web", options_type("web")())
    if avatar.maps is not None:
        export(avatar, "textures", out / "maps", options_type("textures")())
    progress("reading the GLB back and comparing it with the bundle")
    report = validate(out / "avatar.glb", avatar, 3, progress)
    write_json(report.as_dict(), out / "validation.json")
    if not report.ok:
        raise FormatError(f"{out / 'avatar.glb'}: past the tolerance: {report.failure}")
    progress("taking its picture")
    video.write_png(picture(avatar, held_out), out / "picture.png")


def picture(avatar: Avatar, held_out: Frames, tile: int = 256) -> UInt8[np.ndarray, "H W 3"]:
    """Return held-out frames, the avatar at the same moments, and the avatar driven by its clip, row by row."""
    count = len(SHOTS)
    # The last frames of a capture are its unseen angles; evenly spread, the row shows both kinds.
    rows = np.linspace(0, len(held_out) - 1, count).round().astype(int)
    filmed, drawn = [], []
    for row in rows:
        rgba = held_out.picture(int(row)).astype(np.float64) / 255
        over_white = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
        filmed.append(np.round(over_white * 255).astype(np.uint8))
        drawn.append(render_avatar(avatar, held_out.sequence, float(row), held_out.camera(int(row))).to_uint8())
    captions = ("filmed, and held out: expressions and camera angles that training never saw",
                "the trained avatar, baked to UV maps, at the same moments",
                "driven by another clip, from another side")
    return contact_sheet([filmed, drawn, portraits(avatar, tile)], captions=captions, tile=tile)


def portraits(avatar: Avatar, size: int = 512) -> list[UInt8[np.ndarray, "H W 3"]]:
    """Return `SHOTS` as square pictures; needs an avatar whose clip has those ranges."""
    assert avatar.sequence is not None
    pictures = []
    for name, along, side in SHOTS:
        first, end = avatar.sequence.ranges[name]
        camera = around(default_camera(avatar, size, size), avatar, side)
        pictures.append(render_avatar(avatar, avatar.sequence, first + along * (end - 1 - first), camera).to_uint8())
    return pictures


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
