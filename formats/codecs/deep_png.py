"""PNG pictures of 16 bits a channel, which Pillow reads and writes in grey only. Through the optional package `av` (FFmpeg)."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from formats.errors import FormatError, MissingAsset
from formats.files import read_bytes

FORMATS = {1: "gray16be", 3: "rgb48be", 4: "rgba64be"}
"""Channels to FFmpeg's names."""
SIDE_LIMIT = 16384
"""Pixels; larger pictures are refused before they are decoded."""


def encode(values: UInt16[np.ndarray, "H W C"]) -> bytes:
    """Return a PNG of 16-bit values, lossless; C is 1, 3 or 4.

    Raises:
        FormatError: Another number of channels.
        MissingAsset: The package `av` is not installed.
    """
    height, width, channels = values.shape
    if channels not in FORMATS:
        raise FormatError(f"a 16-bit PNG holds 1, 3 or 4 channels, got {channels}")
    av = _av()
    plane = np.ascontiguousarray(values[..., 0] if channels == 1 else values)
    frame = av.VideoFrame.from_ndarray(plane, format=FORMATS[channels])
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, FORMATS[channels], Fraction(1)
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def decode(data: bytes, where: str) -> UInt16[np.ndarray, "H W C"]:
    """Return the values of a 16-bit PNG; `where` names it in messages.

    Raises:
        FormatError: It is no PNG, damaged, too large, or has 8 bits a channel.
        MissingAsset: The package `av` is not installed.
    """
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 29:
        raise FormatError(f"{where}: is no PNG")
    size, depth = [int.from_bytes(data[i:i + 4], "big") for i in (16, 20)], data[24]
    if not all(1 <= side <= SIDE_LIMIT for side in size):
        raise FormatError(f"{where}: is {size[0]} x {size[1]} pixels, at most {SIDE_LIMIT} each way are read")
    if depth != 16:
        raise FormatError(f"{where}: has {depth} bits a channel, expected 16; save it with 16 bits, or values are lost")
    av = _av()
    try:
        codec = av.CodecContext.create("png", "r")
        frames = [*codec.decode(av.Packet(data)), *codec.decode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise FormatError(f"{where}: is damaged: {error}") from error
    names = {name: channels for channels, name in FORMATS.items()}
    if len(frames) != 1 or frames[0].format.name not in names:
        raise FormatError(f"{where}: is no grey, RGB or RGBA picture of 16 bits")
    channels = names[frames[0].format.name]
    return frames[0].to_ndarray(format=FORMATS[channels]).reshape(size[1], size[0], channels).astype(np.uint16)


def read(path: Path) -> UInt16[np.ndarray, "H W C"]:
    """Return the values of the 16-bit PNG at `path`; errors as `decode`."""
    return decode(read_bytes(path), str(path))


def _av():  # noqa: ANN202 - an optional package's module
    try:
        import av
        import av.error
    except ImportError as error:
        raise MissingAsset(f"pictures of 16 bits a channel need the package av: pip install 'flameport[export]' ({error})"
                           ) from error
    return av
