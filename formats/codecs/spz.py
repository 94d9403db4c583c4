"""SPZ, Niantic's packed Gaussians: about 14 to 20 bytes each, read by Spark, three.js, Babylon, PlayCanvas, Scaniverse, ...

Axes are x right, y up, z towards the viewer, as ours. Every attribute is quantised:

- positions: 24-bit fixed point with `fractional_bits` after the point, which the file states: steps of 2^-f, up to 2^(23-f).
- scales: 8 bits of the logarithm, steps of 1/16 (at most 3.2 % off), from e^-10 (0.045 mm) to e^5.94.
- rotations: version 3 and 4 the three smallest components in 10 bits and which one is left out; 1 and 2 x, y, z in 8 bits.
- opacities 8 bits; the DC colour 8 bits over +-3.33; further SH 8 bits over -1..1.

Versions 1 to 3 are one gzip stream: a header of 16 bytes, then attribute after attribute. Version 4 has a plain header of 32
bytes, extension records, a table of sizes, and one Zstandard stream per attribute that has bytes; it needs the package
`zstandard`. Version 1 has half floats for positions. Format: github.com/nianticlabs/spz (MIT), README; written from its facts.
"""

import gzip
import os
import struct
import zlib
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from formats.conventions import wxyz_to_xyzw, xyzw_to_wxyz
from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.files import read_bytes, write_bytes
from formats.gaussians import GaussianCloud
from formats.rotations import normalize

MAGIC = b"NGSP"
GZIP = b"\x1f\x8b"
VERSIONS = (3, 4)
"""What is written; 1 and 2 are read too."""
POINT_LIMIT = 50_000_000
COLOR_SCALE = 0.15 * 255
SH_SIZES = (0, 3, 8, 15)
"""Coefficients after the DC term, by degree."""
_V3_HEADER, _V4_HEADER, _TOC_ENTRY = 16, 32, 16
_HEAD = struct.Struct("<4sIIBBBB")
_ANTIALIASED = 1


@dataclass(frozen=True)
class Header:
    """What an SPZ says of itself."""

    version: int
    count: int
    sh_degree: int
    fractional_bits: int
    antialiased: bool
    """Trained with an antialiasing filter; we draw the classic way."""

    @property
    def step(self) -> float:
        """Of positions, in the file's units."""
        return 2.0 ** -self.fractional_bits

    @property
    def reach(self) -> float:
        """The largest coordinate that positions can have, in the file's units."""
        return (2**23 - 1) * self.step

    def sizes(self) -> tuple[int, ...]:
        """Return the bytes of positions, alphas, colours, scales, rotations, SH."""
        position, rotation = 6 if self.version == 1 else 9, 3 if self.version < 3 else 4
        return tuple(self.count * n for n in (position, 1, 3, 3, rotation, 3 * SH_SIZES[self.sh_degree]))


def read(path: str | os.PathLike[str]) -> GaussianCloud:
    """Return the Gaussians in an SPZ, in the file's own units.

    Raises:
        MissingAsset: There is no such file, or it is a version 4 and `zstandard` is not installed.
        FormatError: It is cut off, damaged or no SPZ.
        UnsupportedFeature: It is of a newer version, or has SH of degree 4.
    """
    return parse(read_bytes(path), str(path))


def parse(data: bytes, where: str) -> GaussianCloud:
    """Return the Gaussians in the bytes of an SPZ; `where` names the file in messages. Raises as `read`."""
    header, streams = _streams(data, where)
    positions, alphas, colors, scales, rotations, sh = (np.frombuffer(stream, np.uint8) for stream in streams)
    n = header.count
    if header.version == 1:
        means = positions.view("<f2").astype(np.float64).reshape(n, 3)
    else:
        b = positions.reshape(n, 3, 3).astype(np.int32)
        means = (((b[..., 0] | b[..., 1] << 8 | b[..., 2] << 16) ^ 0x800000) - 0x800000) * header.step
    dc = (colors.reshape(n, 1, 3) - 127.5) / COLOR_SCALE
    rest = (sh.reshape(n, SH_SIZES[header.sh_degree], 3) - 128.0) / 128
    quats = _first_three(rotations.reshape(n, 3)) if header.version < 3 else _smallest_three(rotations.view("<u4"))
    try:
        return GaussianCloud(means, xyzw_to_wxyz(quats), np.exp(scales.reshape(n, 3) / 16.0 - 10), alphas / 255.0,
                             np.concatenate([dc, rest], axis=1))
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error


def header_of(data: bytes, where: str) -> Header:
    """Return what the file says of itself. Raises as `read`."""
    return _header(data[:_V3_HEADER] if data.startswith(MAGIC) else _inflate(data, _V3_HEADER, where), where)


def write(cloud: GaussianCloud, path: str | os.PathLike[str], version: int = 3, fractional_bits: int = 16,
          sh_bits: int = 8) -> None:
    """Write Gaussians as SPZ, atomically; arguments and errors as `pack`."""
    write_bytes(path, pack(cloud, version, fractional_bits, sh_bits))


def pack(cloud: GaussianCloud, version: int = 3, fractional_bits: int = 16, sh_bits: int = 8) -> bytes:
    """Return the bytes of an SPZ.

    Args:
        cloud: x right, y up, z towards the viewer; in whatever unit the file should be in.
        version: 3 or 4.
        fractional_bits: Of positions. 12 is what Niantic's own writer takes, a quarter of a millimetre in metres.
        sh_bits: Bits of SH after the DC term that are not zero, 1 to 8: fewer pack better. Niantic's takes 5 and 4.

    Raises:
        FormatError: A position is out of the fixed point's reach.
        UnsupportedFeature: There is no such version or number of bits.
        MissingAsset: Version 4 and `zstandard` is not installed.
    """
    if version not in VERSIONS or not 0 <= fractional_bits <= 23 or not 1 <= sh_bits <= 8:
        raise UnsupportedFeature(f"SPZ: version {version} with {fractional_bits} fractional bits and {sh_bits} bits of SH; "
                                 "versions 3 and 4, 0 to 23 and 1 to 8 bits are written")
    header = Header(version, len(cloud), cloud.sh_degree, fractional_bits, False)
    fixed = np.round(cloud.means.astype(np.float64) / header.step)
    if np.abs(fixed).max(initial=0) > 2**23 - 1:
        raise FormatError(f"SPZ: a position of {np.abs(cloud.means).max():.4g} is beyond {header.reach:.4g}, the reach of 24 "
                          f"bits with {fractional_bits} of them after the point; take fewer, or a smaller unit")
    positions = fixed.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3]
    bucket = 1 << (8 - sh_bits)
    sh = (np.round(cloud.sh[:, 1:].astype(np.float64) * 128) + 128 + bucket // 2) // bucket * bucket
    logs = np.log(np.maximum(cloud.scales.astype(np.float64), 1e-30))
    streams = [each.tobytes() for each in (
        positions, _bytes(cloud.opacities.astype(np.float64) * 255), _bytes(cloud.sh[:, 0] * COLOR_SCALE + 127.5),
        _bytes((logs + 10) * 16), _packed_quats(cloud.quats), _bytes(sh))]
    head = _HEAD.pack(MAGIC, version, len(cloud), cloud.sh_degree, fractional_bits, 0, 0)
    if version == 3:
        return gzip.compress(head + b"".join(streams), 9, mtime=0)
    zstd = _zstandard("to write")
    kept = [(zstd.ZstdCompressor(level=19).compress(stream), len(stream)) for stream in streams if stream]
    head = head[:-1] + struct.pack("<BI12x", len(kept), _V4_HEADER)
    return head + b"".join(struct.pack("<QQ", len(packed), raw) for packed, raw in kept) + b"".join(p for p, _ in kept)


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is an SPZ."""
    if not head.startswith(GZIP):
        return head.startswith(MAGIC)
    try:
        return zlib.decompressobj(31).decompress(head, len(MAGIC)) == MAGIC
    except zlib.error:
        return False


# --- Container --------------------------------------------------------------------------------------------------------


def _streams(data: bytes, where: str) -> tuple[Header, list[bytes]]:
    """Return the header and six attributes, each as long as the header says."""
    header = header_of(data, where)
    sizes = header.sizes()
    if header.version < 4:
        body = _inflate(data, _V3_HEADER + sum(sizes), where)[_V3_HEADER:]
        ends = np.cumsum(sizes).tolist()
        return header, [body[end - size:end] for end, size in zip(ends, sizes, strict=True)]
    if len(data) < _V4_HEADER:
        raise FormatError(f"{where}: {len(data)} bytes, an SPZ of version 4 begins with {_V4_HEADER}; copy it again")
    count, start = data[15], int.from_bytes(data[16:20], "little")
    wanted = [size for size in sizes if size]
    if count != len(wanted) or not _V4_HEADER <= start <= len(data) - count * _TOC_ENTRY:
        raise FormatError(f"{where}: {count} streams with their table at byte {start} of {len(data)}; expected {len(wanted)}. "
                          "The file is damaged or cut off, copy it again")
    toc = np.frombuffer(data, "<u8", 2 * count, start).reshape(count, 2).tolist()
    zstd, at, unpacked = _zstandard("to read"), start + count * _TOC_ENTRY, []
    for (packed, raw), size in zip(toc, wanted, strict=True):
        if raw != size or packed > len(data) - at:
            raise FormatError(f"{where}: a stream of {packed} bytes at byte {at} of {len(data)}, for {raw} unpacked, expected "
                              f"{size}; the file is damaged or cut off, copy it again")
        unpacked.append(_unpacked(zstd, data[at:at + packed], size, where))
        at += packed
    rest = iter(unpacked)
    return header, [next(rest) if size else b"" for size in sizes]


def _unpacked(zstd: ModuleType, data: bytes, size: int, where: str) -> bytes:
    try:
        # A reader stops at `size`, whatever the frame says it unpacks to.
        with zstd.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data) as reader:
            unpacked = reader.read(size + 1)
    except zstd.ZstdError as error:
        raise FormatError(f"{where}: a damaged stream ({error}); copy it again") from error
    if len(unpacked) != size:
        raise FormatError(f"{where}: a stream unpacks to {'more than' if len(unpacked) > size else 'only'} "
                          f"{min(len(unpacked), size)} bytes, expected {size}; copy it again")
    return unpacked


def _inflate(data: bytes, size: int, where: str) -> bytes:
    """Return the first `size` bytes of a gzip stream; what follows them is left alone, as the format wants."""
    if not data.startswith(GZIP):
        raise FormatError(f"{where}: not an SPZ: it starts neither with NGSP nor as gzip does")
    try:
        body = zlib.decompressobj(31).decompress(data, size)
    except zlib.error as error:
        raise FormatError(f"{where}: damaged: {error}; copy it again") from error
    if len(body) < size:
        raise FormatError(f"{where}: {size} bytes expected inside, {len(body)} are there; the file is cut off, copy it again")
    return body


def _header(head: bytes, where: str) -> Header:
    if len(head) < _V3_HEADER:
        raise FormatError(f"{where}: {len(head)} bytes; the file is cut off, copy it again")
    magic, version, count, degree, bits, flags, _ = _HEAD.unpack(head)
    if magic != MAGIC:
        raise FormatError(f"{where}: gzip, but not of an SPZ: NGSP does not come first in it")
    if not 1 <= version <= 4:
        raise UnsupportedFeature(f"{where}: SPZ of version {version}; 1 to 4 are read")
    if degree >= len(SH_SIZES):
        raise UnsupportedFeature(f"{where}: SH of degree {degree}; 0 to {len(SH_SIZES) - 1} are read")
    if count > POINT_LIMIT or bits > 24:
        raise FormatError(f"{where}: {count} Gaussians with {bits} fractional bits; at most {POINT_LIMIT} and 24 are read")
    return Header(version, count, degree, bits, bool(flags & _ANTIALIASED))


def _zstandard(why: str) -> ModuleType:
    try:
        import zstandard
    except ImportError as error:
        raise MissingAsset(f"SPZ version 4 is packed with Zstandard; {why} it, `pip install zstandard`, or use version "
                           "3") from error
    return zstandard


# --- Quantities -------------------------------------------------------------------------------------------------------


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _packed_quats(quats: np.ndarray) -> np.ndarray:
    """Return u32: 2 bits which component of xyzw is largest, then sign and 9 bits (511 is sqrt(1/2)) of the others in order."""
    q = normalize(wxyz_to_xyzw(quats).astype(np.float64))
    largest = np.argmax(np.abs(q), axis=1)
    rows = np.arange(len(q))
    q = q * np.where(q[rows, largest] < 0, -1, 1)[:, None]
    packed = largest.astype(np.uint32)
    for i in range(4):
        value = np.minimum(np.abs(q[:, i]) * np.sqrt(2) * 511 + 0.5, 511).astype(np.uint32)
        value |= (q[:, i] < 0).astype(np.uint32) << 9
        packed = np.where(largest == i, packed, packed << 10 | value).astype(np.uint32)
    return packed.astype("<u4")


def _smallest_three(packed: np.ndarray) -> np.ndarray:
    left, largest = packed.astype(np.uint32), (packed >> 30).astype(np.intp)
    q = np.zeros((len(packed), 4))
    for i in (3, 2, 1, 0):
        value = (left & 511) / (511 * np.sqrt(2)) * np.where(left & 512, -1, 1)
        q[:, i] = np.where(largest == i, 0, value)
        left = np.where(largest == i, left, left >> 10)
    q[np.arange(len(q)), largest] = np.sqrt(np.maximum(1 - np.sum(q * q, axis=1), 0))
    return normalize(q)


def _first_three(rotations: np.ndarray) -> np.ndarray:
    xyz = rotations / 127.5 - 1
    w = np.sqrt(np.maximum(1 - np.sum(xyz * xyz, axis=1), 0))
    return normalize(np.concatenate([xyz, w[:, None]], axis=1))
