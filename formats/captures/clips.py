"""Pictures that a layout wants as clips: kept one by one while filming, then joined, an MP4 for each camera.

The encoder's threads may choose differently from run to run: of everything in a capture, only clips are not the same bytes
every time.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from formats.captures.pictures import write_png
from formats.errors import MissingAsset
from formats.video import write_mp4

LOOSE = ".frames"
"""Folder of the pictures that wait for their clip; removed at the end."""


def check_encoder(out: Path) -> None:
    """Raise `MissingAsset` when clips cannot be written, before anything is filmed."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise MissingAsset(f"{out}: this layout holds MP4 clips, which need the package av: pip install 'flameport[export]'"
                           ) from error


def keep(folder: Path, clip: str, number: int, pixels: UInt8[np.ndarray, "H W *c"]) -> None:
    """Store picture `number` of the clip that will be `folder / clip`."""
    place = folder / LOOSE / clip
    place.mkdir(parents=True, exist_ok=True)
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    write_png(place / f"{number:06d}.png", rgb)


def join(folder: Path, fps: float) -> None:
    """Write every clip that `keep` has pictures for, and remove those."""
    loose = folder / LOOSE
    for place in sorted({path.parent for path in loose.rglob("*.png")}):
        target = folder / place.relative_to(loose)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_mp4(_pictures(place), target, fps)
    shutil.rmtree(loose, ignore_errors=True)


def _pictures(place: Path) -> Iterator[np.ndarray]:
    for path in sorted(place.glob("*.png")):
        with Image.open(path) as image:
            yield np.asarray(image)
