"""Numbers as the bits of packed texels. Every rounding is written out, so that other languages give the same bytes.

Values are float64 here; boxes and scales are float32 numbers, as the descriptor stores them. Rounding is floor(x + 0.5).
"""

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt32

Words = UInt32[np.ndarray, "N W"]
TEXEL = 4
"""Words of 32 bits in a texel."""


def box_of(values: Float[np.ndarray, "N C"], at_least: tuple[float, float] | None = None
           ) -> tuple[Float32[np.ndarray, " C"], Float32[np.ndarray, " C"]]:
    """Return the lowest and highest value of each column, rounded outwards to float32.

    Args:
        values: Numbers.
        at_least: Bounds that the box has unless values lie outside of them.
    """
    low, high = (f(axis=0, initial=0.0) if not len(values) else f(axis=0) for f in (values.min, values.max))
    if at_least is not None:
        low, high = np.minimum(low, at_least[0]), np.maximum(high, at_least[1])
    down, up = low.astype(np.float32), high.astype(np.float32)
    down = np.where(down > low, np.nextafter(down, np.float32(-np.inf)), down)
    up = np.where(up < high, np.nextafter(up, np.float32(np.inf)), up)
    return down.astype(np.float32), up.astype(np.float32)


def to_unorm(values: np.ndarray, low: np.ndarray, high: np.ndarray, bits: int) -> UInt32[np.ndarray, "..."]:
    """Return floor((x - low) / (high - low) (2^bits - 1) + 0.5); 0 where a box has no size."""
    most = (1 << bits) - 1
    extent = high.astype(np.float64) - low
    share = (values.astype(np.float64) - low) / np.where(extent > 0, extent, 1)
    return np.clip(np.floor(share * most + 0.5), 0, most).astype(np.uint32)


def from_unorm(q: np.ndarray, low: np.ndarray, high: np.ndarray, bits: int) -> Float64[np.ndarray, "..."]:
    """Return low + (high - low) q / (2^bits - 1)."""
    return low.astype(np.float64) + (high.astype(np.float64) - low) * q.astype(np.float64) / ((1 << bits) - 1)


def to_snorm(values: np.ndarray, bits: int) -> UInt32[np.ndarray, "..."]:
    """Return floor(x (2^(bits-1) - 1) + 0.5) of x in -1..1 as two's complement of `bits` bits."""
    most = (1 << (bits - 1)) - 1
    q = np.clip(np.floor(values.astype(np.float64) * most + 0.5), -most, most).astype(np.int64)
    return (q & ((1 << bits) - 1)).astype(np.uint32)


def from_snorm(q: np.ndarray, bits: int) -> Float64[np.ndarray, "..."]:
    """Return x of `to_snorm`."""
    whole = q.astype(np.int64)
    signed = np.where(whole >= 1 << (bits - 1), whole - (1 << bits), whole)
    return np.clip(signed / ((1 << (bits - 1)) - 1), -1, 1)


def to_half(values: np.ndarray) -> UInt32[np.ndarray, "..."]:
    """Return the bits of float16: first to float32, then to the nearest, ties to even; beyond its range, the largest."""
    bounded = np.clip(values.astype(np.float32), -65504, 65504)
    return bounded.astype(np.float16).view(np.uint16).astype(np.uint32)


def from_half(bits: np.ndarray) -> Float64[np.ndarray, "..."]:
    """Return what `to_half` made bits of."""
    return bits.astype(np.uint16).view(np.float16).astype(np.float64)


def to_bits(values: np.ndarray) -> UInt32[np.ndarray, "..."]:
    """Return the bits of float32."""
    return np.ascontiguousarray(values.astype(np.float32)).view(np.uint32)


def from_bits(bits: np.ndarray) -> Float32[np.ndarray, "..."]:
    """Return the float32 of bits."""
    return np.ascontiguousarray(bits).view(np.float32)


def two(low: np.ndarray, high: np.ndarray) -> UInt32[np.ndarray, "..."]:
    """Return words of two 16-bit halves."""
    return (low | high << np.uint32(16)).astype(np.uint32)


def halves(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the low and the high 16 bits of words."""
    return words & np.uint32(0xFFFF), words >> np.uint32(16)


def four(bytes_of: UInt32[np.ndarray, "N 4"]) -> UInt32[np.ndarray, " N"]:
    """Return words of four bytes, the first lowest."""
    b = bytes_of.astype(np.uint32)
    return b[:, 0] | b[:, 1] << np.uint32(8) | b[:, 2] << np.uint32(16) | b[:, 3] << np.uint32(24)


def bytes_of(words: UInt32[np.ndarray, " N"]) -> UInt32[np.ndarray, "N 4"]:
    """Return the four bytes of words, the lowest first."""
    return np.stack([words >> np.uint32(8 * i) & np.uint32(0xFF) for i in range(4)], axis=1)


def to_smallest_three(quats: Float[np.ndarray, "N 4"]) -> UInt32[np.ndarray, " N"]:
    """Return unit quaternions in 32 bits, up to their sign.

    Bits 30 and 31 name the component with the largest absolute value (the first of equal ones; w is 0), which is made
    positive; the other three, in order from bit 0, are 10-bit snorms times sqrt(2).
    """
    q = quats.astype(np.float64)
    largest = np.argmax(np.abs(q), axis=1)
    rows = np.arange(len(q))
    q = q * np.where(q[rows, largest] < 0, -1.0, 1.0)[:, None]
    others = np.array([[i for i in range(4) if i != k] for k in range(4)])[largest]
    parts = to_snorm(q[rows[:, None], others] * np.sqrt(2.0), 10)
    return (parts[:, 0] | parts[:, 1] << np.uint32(10) | parts[:, 2] << np.uint32(20)
            | largest.astype(np.uint32) << np.uint32(30)).astype(np.uint32)


def from_smallest_three(words: UInt32[np.ndarray, " N"]) -> Float64[np.ndarray, "N 4"]:
    """Return the unit quaternions of `to_smallest_three`."""
    parts = np.stack([from_snorm(words >> np.uint32(10 * i) & np.uint32(0x3FF), 10) for i in range(3)], axis=1) / np.sqrt(2.0)
    largest = (words >> np.uint32(30)).astype(int)
    rows = np.arange(len(words))
    others = np.array([[i for i in range(4) if i != k] for k in range(4)])[largest]
    q = np.zeros((len(words), 4))
    q[rows[:, None], others] = parts
    q[rows, largest] = np.sqrt(np.maximum(1 - np.sum(parts**2, axis=1), 0))
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def to_11_11_10(values: Float64[np.ndarray, "N 3"]) -> UInt32[np.ndarray, " N"]:
    """Return words of three snorms of 11, 11 and 10 bits, the first lowest."""
    x, y, z = (to_snorm(values[:, i], bits) for i, bits in enumerate((11, 11, 10)))
    return x | y << np.uint32(11) | z << np.uint32(22)


def from_11_11_10(words: UInt32[np.ndarray, " N"]) -> Float64[np.ndarray, "N 3"]:
    """Return the numbers of `to_11_11_10`."""
    return np.stack([from_snorm(words & np.uint32(0x7FF), 11), from_snorm(words >> np.uint32(11) & np.uint32(0x7FF), 11),
                     from_snorm(words >> np.uint32(22), 10)], axis=1)


def several(words: UInt32[np.ndarray, "N W"], per_texel: int) -> UInt32[np.ndarray, "T 4"]:
    """Return texels that hold `per_texel` rows each, the last ones zero: W is 4 / per_texel."""
    count = -(-len(words) // per_texel)
    padded = np.zeros((count * per_texel, words.shape[1]), np.uint32)
    padded[:len(words)] = words
    return padded.reshape(count, TEXEL)


def rows_to_texels(values: UInt32[np.ndarray, "N W"]) -> UInt32[np.ndarray, "T 4"]:
    """Return rows of words as texels, each row begun on a texel and its end zero."""
    width = -(-values.shape[1] // TEXEL) * TEXEL
    return np.pad(values, ((0, 0), (0, width - values.shape[1]))).reshape(-1, TEXEL)
