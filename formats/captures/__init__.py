"""A synthetic tracked video: the stand-in filmed by a virtual camera, written as real trackers lay their results out.

`scene` decides who is filmed and what happens, and draws it; one file per layout writes it down.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

from formats.errors import UnsupportedFeature

LAYOUTS = {
    "imavatar": "formats.captures.imavatar",
    "insta": "formats.captures.insta",
    "point-avatar": "formats.captures.point_avatar",
    "metrical-tracker": "formats.captures.metrical_tracker",
    "vhap": "formats.captures.vhap",
    "nersemble": "formats.captures.nersemble",
    "nersemble-benchmark": "formats.captures.nersemble_benchmark",
    "gaussian-head-avatar": "formats.captures.gaussian_head_avatar",
}
"""Name to module with `write(film, out, progress)`."""


def capture(out: Path, layout: str, frames: int = 144, size: int = 512, seed: int = 0,
            progress: Callable[[str], None] = lambda text: None) -> None:
    """Film the stand-in and write the folder `out`, whole or not at all.

    Args:
        out: Folder to write; a previous one is replaced in one step.
        layout: A key of `LAYOUTS`.
        frames: Of the talking take; its last 15 % (`vhap`: 30 %) and two further camera angles are held out. Where the
            layout has a rig of cameras, these are moments, and each gives a picture of every camera.
        size: Pixels of the square pictures.
        seed: Who: 0, 1 and 2 are three different people, and so is any other number.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: There is no such layout, or too few frames or pixels to make a video.
    """
    if layout not in LAYOUTS:
        raise UnsupportedFeature(f"unknown capture layout '{layout}'; available are {', '.join(LAYOUTS)}")
    from formats.captures.scene import film

    importlib.import_module(LAYOUTS[layout]).write(film(frames, size, seed, layout), Path(out), progress)
