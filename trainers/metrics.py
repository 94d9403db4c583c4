"""How far a drawn picture is from the photograph. Pictures are [H, W, 3], display sRGB, clipped to 0..1 by the caller.

`formats.picture.psnr` is the same number for NumPy pictures, but for equal ones: theirs is infinite there, ours `MOST`,
so that means and JSON stay finite.
"""

import math

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from trainers import losses

MOST = 100.0
"""dB: what pictures closer than a mean squared error of 1e-10 get."""
INSIDE = 0.5
"""Of the matte: where a pixel counts as the person."""


def pixels(image: Tensor) -> UInt8[np.ndarray, "H W 3"]:
    """Return a picture in 8 bits, rounded to the nearest level."""
    return (image * 255 + 0.5).to(torch.uint8).cpu().numpy()


def psnr(image: Tensor, target: Tensor) -> float:
    """Return the peak signal-to-noise ratio over every pixel and channel, dB."""
    return _decibels((image - target).square().double().mean())


def masked_psnr(image: Tensor, target: Tensor, mask: Tensor) -> float | None:
    """Return the peak signal-to-noise ratio, dB, over the pixels inside, or None where there are none.

    The squared error is averaged over the pixels with `mask` [H, W] above `INSIDE`, and their three channels, and over
    nothing else: flat background does not count. (Some papers fill the background with white and average over the whole
    picture, which gives larger numbers; that is `psnr` on white.)
    """
    inside = mask > INSIDE
    if not bool(inside.any()):
        return None
    return _decibels((image - target).square().double()[inside].mean())


def ssim(image: Tensor, target: Tensor) -> float:
    """Return the mean structural similarity, as `trainers.losses.ssim` defines it."""
    return float(losses.ssim(image, target))


def l1(image: Tensor, target: Tensor) -> float:
    """Return the mean absolute difference, 0..1."""
    return float(losses.l1(image, target))


def _decibels(error: Tensor) -> float:
    value = float(error)
    return MOST if value <= 10 ** (-MOST / 10) else -10 * math.log10(value)
