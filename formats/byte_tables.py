"""Tables of linear dynamics as bytes: eight bits a number and one scale for each Gaussian and channel.

13 numbers (position, rotation vector, log-scale, opacity logit, colour) of 16 coefficients are 208 bytes, their five scales 20.
Scales have few enough bits that bytes times scale are exact in float32; so tables that were rounded once say so themselves
(`as_bytes`), and every file that stores them as bytes gives back the same float32 numbers.
"""

import numpy as np
from jaxtyping import Float, Float32, Int8

MOST = 127
SCALE_BITS = 15
"""Of a scale's mantissa: with the seven of a byte less than float32's 24."""


def rounded(table: Float[np.ndarray, "N K C"]) -> Float32[np.ndarray, "N K C"]:
    """Return `table` with each Gaussian's numbers as whole multiples, up to 127, of one scale of its own.

    The scale is the smallest of `SCALE_BITS` bits that reaches the largest number; a Gaussian that never moves has none.
    """
    largest = np.abs(table).max(axis=(1, 2), initial=0).astype(np.float64)
    fraction, exponent = np.frexp(largest / MOST)
    scale = np.ldexp(np.ceil(fraction * 2**SCALE_BITS) / 2**SCALE_BITS, exponent)
    scale = np.where(largest > 1e-30, scale, 0)[:, None, None]  # smaller ones would leave float32's whole precision
    whole = np.round(table / np.where(scale > 0, scale, 1))
    # The largest is 127 itself, so that the scale can be told from the table.
    at = np.abs(table).reshape(len(table), -1).argmax(axis=1)
    flat = whole.reshape(len(table), -1)
    rows = np.arange(len(table))
    flat[rows, at] = np.where(scale[:, 0, 0] > 0, np.sign(flat[rows, at]) * MOST, 0)
    return (flat.reshape(table.shape) * scale + 0.0).astype(np.float32)  # bytes have no -0


def as_bytes(table: Float32[np.ndarray, "N K C"]) -> tuple[Int8[np.ndarray, "N K C"], Float32[np.ndarray, " N"]] | None:
    """Return bytes and scales whose product is exactly `table`; None where there are none, because it was never `rounded`."""
    scales = (np.abs(table).max(axis=(1, 2), initial=0) / np.float32(MOST)).astype(np.float32)
    whole = np.round(table / np.where(scales > 0, scales, np.float32(1))[:, None, None])
    stored = whole.astype(np.int8)
    return (stored, scales) if np.array_equal(from_bytes(stored, scales), table) else None


def from_bytes(stored: Int8[np.ndarray, "N K C"], scales: Float32[np.ndarray, " N"]) -> Float32[np.ndarray, "N K C"]:
    """Return the table that bytes and scales say."""
    return stored.astype(np.float32) * scales.astype(np.float32)[:, None, None]
