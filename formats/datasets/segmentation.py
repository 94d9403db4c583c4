"""Where the eyes are in segmentation pictures: an independent witness of what the cameras say."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image

from formats.errors import FormatError

FEWEST_PIXELS = 4
"""Of one eye; fewer are a closed eye or noise."""
RUNS, RUN = 20, 3
"""A longer video is looked at in this many runs of this many frames on end: neighbours show whether frames are paired
right, and decoding every picture of a long video would take a minute."""


def seen_eyes(paths: list[Path], codes: tuple[int, int]) -> Float64[np.ndarray, "T 2 2"] | None:
    """Return the middles of the left and the right eye, pixels, NaN where none is seen; None when no frame shows any.

    Parsing networks differ in whose left they mean: when nearly always the left eye is left of the right one in the
    picture, the picture's left was meant, and they change places.

    Args:
        paths: One segmentation per frame; a file that is not there shows nothing.
        codes: Red values of the left and the right eye.

    Raises:
        FormatError: A file is no picture.
    """
    count = len(paths)
    picks = range(count) if count <= RUNS * RUN else sorted(
        {int(start) + k for start in np.linspace(0, count - RUN, RUNS) for k in range(RUN)})
    eyes = np.full((count, 2, 2), np.nan)
    for i in picks:
        if not paths[i].is_file():
            continue
        red = _red(paths[i])
        for side, code in enumerate(codes):
            eyes[i, side] = _middle(red == code)
    if not np.isfinite(eyes).any():
        return None
    distance = eyes[:, 0, 0] - eyes[:, 1, 0]
    distance = distance[np.isfinite(distance)]
    return eyes[:, ::-1] if len(distance) and (distance < 0).mean() > 0.9 else eyes


def _red(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image if image.mode == "L" else image.convert("RGB").getchannel("R"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: not a picture that can be read: {error}") from error


def _middle(shown: Bool[np.ndarray, "H W"]) -> np.ndarray:
    y, x = np.nonzero(shown)
    return np.full(2, np.nan) if len(x) < FEWEST_PIXELS else np.array([x.mean() + 0.5, y.mean() + 0.5])
