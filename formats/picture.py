"""A drawn picture, and how far two are apart."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from formats.errors import CheckpointMismatch


@dataclass(frozen=True, eq=False)
class Picture:
    """Display sRGB over its background, and how much of each pixel is covered."""

    rgb: Float32[np.ndarray, "H W 3"]
    """0..1, row 0 on top, background included."""
    alpha: Float32[np.ndarray, "H W"]
    """0 where only the background shows, 1 where none of it does."""

    def to_uint8(self) -> UInt8[np.ndarray, "H W 3"]:
        """Return the picture in 8 bits, rounded to the nearest level."""
        return (self.rgb.astype(np.float64) * 255 + 0.5).astype(np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of two images over every pixel and channel, dB; infinity when equal.

    Args:
        a: Values in 0..1, or uint8.
        b: The same shape.
    """
    if a.shape != b.shape:
        raise CheckpointMismatch(f"psnr: pictures of {list(a.shape)} and {list(b.shape)} cannot be compared; draw both "
                                 "with the same camera")
    error = float(np.mean((_unit(a) - _unit(b)) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def _unit(image: np.ndarray) -> Float64[np.ndarray, "..."]:
    return image.astype(np.float64) / (255 if image.dtype == np.uint8 else 1)
