"""PNG pictures of 16 bits: every value comes back, and damaged or shallower pictures are refused."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from formats.codecs import deep_png
from formats.errors import FormatError, MissingAsset

pytest.importorskip("av")


def values(channels: int, height: int = 19, width: int = 31) -> np.ndarray:
    made = np.random.default_rng(channels).integers(0, 65536, (height, width, channels)).astype(np.uint16)
    made[0, 0], made[0, 1] = 0, 65535
    return made


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def by_hand(pixels: np.ndarray, kind: int) -> bytes:
    """Return a PNG written from the standard (section 11): no filter, one chunk of data, big-endian."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(19, 31), (1, 1), (64, 3)])
def test_every_value_comes_back(channels: int, size: tuple[int, int], tmp_path: Path) -> None:
    pixels = values(channels, *size) if size != (1, 1) else np.full((1, 1, channels), 40000, np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(deep_png.encode(pixels))
    back = deep_png.read(path)
    assert back.dtype == np.uint16 and np.array_equal(back, pixels)


@pytest.mark.parametrize("channels, kind", [(1, 0), (3, 2), (4, 6)])
def test_pictures_of_others_are_read(channels: int, kind: int) -> None:
    pixels = values(channels)
    assert np.array_equal(deep_png.decode(by_hand(pixels, kind), "a"), pixels)


def test_others_read_ours() -> None:
    pixels = values(1)
    with Image.open(io.BytesIO(deep_png.encode(pixels))) as image:
        assert np.array_equal(np.asarray(image).astype(np.uint16), pixels[..., 0])
    header = deep_png.encode(values(3))[:33]
    assert struct.unpack(">II", header[16:24]) == (31, 19) and header[24] == 16 and header[25] == 2


@pytest.mark.parametrize("channels", [2, 5])
def test_what_png_cannot_hold_is_refused(channels: int) -> None:
    with pytest.raises(FormatError, match=f"1, 3 or 4 channels, got {channels}"):
        deep_png.encode(values(channels))


def test_eight_bits_are_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(file, "PNG")
    with pytest.raises(FormatError, match="a.png: has 8 bits a channel, expected 16"):
        deep_png.decode(file.getvalue(), "a.png")


def test_grey_with_alpha_is_refused() -> None:
    with pytest.raises(FormatError, match="no grey, RGB or RGBA"):
        deep_png.decode(by_hand(values(2), 4), "a")


def test_damage_is_refused() -> None:
    """Cut anywhere, or with any bit turned, a picture is refused or unchanged: never another picture."""
    pixels = values(3)
    whole = deep_png.encode(pixels)
    rng = np.random.default_rng(0)
    broken = [whole[:n] for n in (0, 8, 20, 40, len(whole) // 2, len(whole) - 13, len(whole) - 1)]
    for at in rng.integers(0, len(whole), 150):
        turned = bytearray(whole)
        turned[at] ^= 1 << int(rng.integers(8))
        broken.append(bytes(turned))
    refused = 0
    for data in broken:
        try:
            assert np.array_equal(deep_png.decode(data, "a.png"), pixels)
        except FormatError as error:
            assert str(error).startswith("a.png: ") and "\n" not in str(error)
            refused += 1
    assert refused > 100


def test_short_data_are_refused() -> None:
    """Checksums are right, but there are too few rows."""
    whole = by_hand(values(3), 2)
    for rows, said in ((38, "less than its 38 rows"), (18, "more than its 18 rows")):
        other = whole[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 31, rows, 16, 2, 0, 0, 0)) + whole[33:]
        with pytest.raises(FormatError, match=said):
            deep_png.decode(other, "a")


@pytest.mark.parametrize("size", [(0, 4), (100_000, 100_000)])
def test_impossible_sizes_are_refused_unread(size: tuple[int, int]) -> None:
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 16, 2, 0, 0, 0)) + chunk(b"IEND", b"")
    with pytest.raises(FormatError, match="pixels"):
        deep_png.decode(data, "a")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="no such file"):
        deep_png.read(tmp_path / "a.png")
