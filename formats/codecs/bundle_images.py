"""Images of a bundle: 8-bit PNG where that loses nothing, float32 arrays where it would."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from formats.errors import FormatError

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_READABLE = ("1", "L", "LA", "P", "RGB", "RGBA")
TEXEL_LIMIT = 1 << 26
"""8192 x 8192."""


def to_png(image: np.ndarray) -> bytes | None:
    """Return an image [H, W, C] as PNG, or None unless every value is a whole 8-bit level over 255, to the bit."""
    if image.shape[2] not in _MODES or not image.size or image.shape[0] * image.shape[1] > TEXEL_LIMIT:
        return None
    levels = np.clip(np.rint(image * np.float32(255)), 0, 255).astype(np.uint8)
    if not (_from_levels(levels).view(np.uint32) == np.ascontiguousarray(image).view(np.uint32)).all():
        return None
    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if image.shape[2] == 1 else levels, _MODES[image.shape[2]]).save(file, "PNG")
    return file.getvalue()


def from_png(data: bytes, channels: int, where: str) -> np.ndarray:
    """Return the image [H, W, channels] in PNG bytes, float32 in 0..1; `where` names the file in messages."""
    return _from_levels(bytes_of_png(data, channels, where))


def bytes_of_png(data: bytes, channels: int, where: str) -> np.ndarray:
    """Return the image [H, W, channels] in PNG bytes as its levels, uint8; `where` names the file in messages."""
    if len(data) < 33 or data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise FormatError(f"{where}: not a PNG; save the image as 8-bit PNG")
    width, height = struct.unpack(">II", data[16:24])
    if not 0 < width * height <= TEXEL_LIMIT:
        raise FormatError(f"{where}: {width} x {height} pixels; at most {TEXEL_LIMIT} are read")
    if channels not in _MODES:
        raise FormatError(f"{where}: a PNG has 1 to 4 channels, {channels} are expected")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode not in _READABLE:
                raise FormatError(f"{where}: has mode {image.mode}; save the image with 8 bits per channel")
            levels = np.array(image.convert(_MODES[channels]))
    except (OSError, ValueError, SyntaxError, EOFError, zlib.error, struct.error, IndexError, KeyError) as error:
        raise FormatError(f"{where}: damaged PNG ({error}); save it again") from error
    return levels.reshape(height, width, channels)


def _from_levels(levels: np.ndarray) -> np.ndarray:
    return levels.astype(np.float32) / np.float32(255)
