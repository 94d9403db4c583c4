"""PNG pictures of 16 bits a channel, which Pillow reads and writes in grey only. Through the optional package `av` (FFmpeg)."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from formats.errors import FormatError, MissingAsset
from formats.files import read_bytes

FORMATS = {1: "gray16be", 3: "rgb48be", 4: "rgba64be"}
"""Channels to FFmpeg's names."""
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""PNG's colour types to channels."""
TEXEL_LIMIT = 1 << 26
"""8192 x 8192; larger pictures are refused before they are decoded."""


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
    if not 0 < size[0] * size[1] <= TEXEL_LIMIT:
        raise FormatError(f"{where}: is {size[0]} x {size[1]} pixels, from 1 to {TEXEL_LIMIT} are read")
    if depth != 16:
        raise FormatError(f"{where}: has {depth} bits a channel, expected 16; save it with 16 bits, or values are lost")
    _check_whole(data, where)
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


def _check_whole(data: bytes, where: str) -> None:
    """Raise unless all chunks are whole and hold as many rows as the header says: FFmpeg fills what is missing with zeros.

    Source: the PNG specification, sections 5.3 (chunks and their checksums) and 10 (compression).
    """
    at, kind, packed = 8, b"", b""
    while kind != b"IEND":
        length, kind = int.from_bytes(data[at:at + 4], "big"), data[at + 4:at + 8]
        body, check = data[at + 8:at + 8 + length], data[at + 8 + length:at + 12 + length]
        if len(check) != 4 or zlib.crc32(kind + body) != int.from_bytes(check, "big"):
            raise FormatError(f"{where}: is damaged: the part that begins at byte {at} is not whole")
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    width, height, _, color, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    row = 1 + 2 * width * CHANNELS.get(color, 0)
    if interlaced or color not in CHANNELS:
        return
    try:
        # One byte more is asked for, so that too much is found as well, and never all of a bomb.
        found = len(zlib.decompressobj().decompress(packed, height * row + 1))
    except zlib.error as error:
        raise FormatError(f"{where}: is damaged: {error}") from error
    if found != height * row:
        raise FormatError(f"{where}: is damaged: it holds {'more' if found > height * row else 'less'} than its {height} rows")


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
