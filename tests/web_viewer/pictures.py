"""Shows for picture tests: an avatar, what drives it, and how the player's pictures of it are compared with the reference."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from exporter.targets import glb
from formats.avatar import Avatar
from formats.camera import Camera
from formats.codecs import camera_json, sequence_json
from formats.render import render_avatar
from formats.sequence import Sequence
from tests.web_viewer.browser import run

Grade = Literal["plain", "full", "small"]
HALF_DB, CANVAS_DB, SMALL_DB = 45.0, 42.0, 40.0
"""dB a player must reach: into a half-float target; on the 8-bit canvas; of grade `small` into either."""

EDGE_DB = 42.0
"""dB of hard silhouettes on SwiftShader, which places corners to a sixteenth of a pixel: on small pictures a pixel of an edge
in thirty is another triangle's. llvmpipe, like graphics cards, places them to 1/256, and keeps the common bound."""


@dataclass(frozen=True)
class Show:
    """An avatar, what drives it, and when it is photographed."""

    avatar: Avatar
    sequence: Sequence
    camera: Camera
    moments: tuple[float, ...]


def write_show(show: Show, folder: Path, grades: tuple[Grade, ...] = ("full", "small"),
               **options: Any) -> list[np.ndarray]:
    """Write the files that the page reads, `GRADE.glb` among them; return the reference pictures, display sRGB.

    `options` are further ones of the GLB target.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for grade in grades:
        # Grade small needs a clip, to know how far coefficients go.
        avatar = dataclasses.replace(show.avatar, sequence=show.sequence)
        glb.write(avatar, folder / f"{grade}.glb", glb.Options(grade=grade, **options))
    sequence_json.write(show.sequence, folder / "clip.json")
    camera_json.write(show.camera, folder / "camera.json")
    return [render_avatar(show.avatar, show.sequence, t, show.camera).rgb for t in show.moments]


def photograph(driver: str, show: Show, files: Path, out: Path, grades: tuple[str, ...] = ("full",),
               exact: bool = False, page: Path | None = None) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Return, per grade and moment, what the player drew into half floats and onto its canvas, display sRGB 0..1."""
    tasks = [{"kind": "pictures", "name": grade, "avatar": f"{grade}.glb", "clip": "clip.json", "camera": "camera.json",
              "moments": list(show.moments), "near": 0.2, "exact": exact} for grade in grades]
    report = run(driver, tasks, files, out, page)
    errors = [line for line in report["errors"] if "Performance" not in line]
    assert not errors, errors
    shape = (show.camera.height, show.camera.width, 4)
    pictures: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {grade: [] for grade in grades}
    for grade, pairs in pictures.items():
        for i in range(len(show.moments)):
            half = np.fromfile(out / f"{grade}.{i}.half.f32", "<f4").reshape(shape)[..., :3].clip(0, 1)
            canvas = np.fromfile(out / f"{grade}.{i}.canvas.u8", "u1").reshape(shape)[..., :3].astype(np.float32) / 255
            pairs.append((half, canvas))
    return pictures
