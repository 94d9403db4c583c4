"""NumPy's .npz, read without pickles and with every size checked before it is allocated."""

import io
import math
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from typing import IO

import numpy as np
from numpy.lib import format as npy

from formats.errors import FormatError, MissingAsset
from formats.files import SIZE_LIMIT, check_readable, replacing

_DEFLATE_RATIO = 1100
"""Deflate cannot shrink by more than about 1032; a zip entry that claims to is damaged or a bomb."""
UNPACKED_LIMIT = 512 << 20
"""Bytes that deflated entries may unpack to together. Half a megabyte of them is enough for that."""
ARCHIVE_LIMIT = 64 << 30
"""Bytes of a .npz whose large arrays are skipped or scanned: 62 KB a frame of vertex offsets add up."""
PIECE = 1 << 24
"""Bytes that `scan` looks at together."""
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
"""What the zip library raises for damaged, cut, encrypted or exotic archives."""


def read(path: str | os.PathLike[str], skip: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz by name: numbers, booleans and fixed-width text, never Python objects.

    Args:
        path: The file.
        skip: Names that are not needed; they are not even unpacked.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is damaged, holds pickled objects, or claims sizes it does not have.
    """
    where = str(path)
    with open_zip(path, ARCHIVE_LIMIT) as archive:
        wanted = {name: info for name, info in members(archive, where, uncounted={f"{name}.npy" for name in skip}).items()
                  if name.endswith(".npy") and name.removesuffix(".npy") not in skip}
        check_unpacked(wanted.values(), where)
        return {name.removesuffix(".npy"): parse_array(take(archive, info, where), f"{where}: {ascii(name[:120])}")
                for name, info in wanted.items()}


def names(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the arrays in a .npz, without reading them."""
    with open_zip(path, ARCHIVE_LIMIT) as archive:
        return [name.removesuffix(".npy") for name in members(archive, str(path), ARCHIVE_LIMIT) if name.endswith(".npy")]


def scan(path: str | os.PathLike[str], name: str) -> tuple[np.dtype, tuple[int, ...], float]:
    """Return type, shape and largest magnitude (infinite when something is not finite) of an array of numbers, piece by
    piece: gigabytes are never held.

    Raises: as `read`; FormatError also when it is not there, or holds no numbers.
    """
    where = f"{path}: '{ascii(name[:120])[1:-1]}'"
    with open_zip(path, ARCHIVE_LIMIT) as archive:
        info = members(archive, str(path), ARCHIVE_LIMIT).get(f"{name}.npy")
        if info is None:
            raise FormatError(f"{where} is missing")
        try:
            with archive.open(info) as file:
                shape, _, dtype = _header(file, where)
                if dtype.kind not in "biuf":
                    raise FormatError(f"{where}: holds {dtype}; expected numbers")
                _check_bytes(shape, dtype, info.file_size - file.tell(), where)
                most = 0.0
                while data := file.read(PIECE // 16 * 16):
                    piece = np.frombuffer(data, dtype)
                    if piece.any():  # most of them are zero
                        found = float(np.abs(piece.astype(np.float64)).max())
                        most = max(most, found) if np.isfinite(found) else np.inf
        except (*DAMAGED, OSError) as error:
            raise FormatError(f"{where}: is damaged ({error}); copy it again") from error
    return dtype, shape, most


def write(arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    """Write `arrays` as an uncompressed .npz, atomically."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **dict(arrays), allow_pickle=False)


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a .npz: a zip whose first entry is an array."""
    if not head.startswith(b"PK\x03\x04") or len(head) < 30:
        return False
    length = int.from_bytes(head[26:28], "little")
    return head[30:30 + length].endswith(b".npy")


# --- Zips from strangers, also for bundles ----------------------------------------------------------------------------


def open_zip(path: str | os.PathLike[str], limit: int = SIZE_LIMIT) -> zipfile.ZipFile:
    """Return an opened zip of at most `limit` bytes.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is no zip, or a damaged one.
    """
    check_readable(path, limit)
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise MissingAsset(f"{path}: cannot be read: {error.strerror or error}") from error
    except DAMAGED as error:
        raise FormatError(f"{path}: not a whole zip archive ({error}); copy it again") from error


def members(archive: zipfile.ZipFile, where: str, limit: int = SIZE_LIMIT, uncounted: Collection[str] = ()
            ) -> dict[str, zipfile.ZipInfo]:
    """Return the files of a zip by name, after checking names, duplicates, encryption and declared sizes.

    Files in `uncounted`, which nobody unpacks, may be of any size.

    Raises:
        FormatError: A name leaves the archive's folder or comes twice, an entry is encrypted, the sizes it declares
            are more than `limit` bytes together or more than its compressed bytes can hold, or entries overlap.
    """
    entries: dict[str, zipfile.ZipInfo] = {}
    total = packed = 0
    held = os.path.getsize(archive.filename) if archive.filename is not None else limit
    for info in archive.infolist():
        name = info.filename
        if not name:
            raise FormatError(f"{where}: a zip entry without a name; refused")
        if name.startswith(("/", "\\")) or "\\" in name or ":" in name or ".." in name.split("/"):
            raise FormatError(f"{where}: the zip entry {ascii(name[:120])} points outside the archive; refused")
        if info.is_dir():
            continue
        if name in entries:
            raise FormatError(f"{where}: the zip entry {ascii(name[:120])} comes twice; refused")
        if info.flag_bits & 1:
            raise FormatError(f"{where}: the zip entry {ascii(name[:120])} is encrypted; unpack it first")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FormatError(f"{where}: the zip entry {ascii(name[:120])} is packed by a method other than store and deflate")
        total += 0 if name in uncounted else info.file_size
        if total > limit or info.file_size > max(info.compress_size, 1) * _DEFLATE_RATIO:
            raise FormatError(f"{where}: the zip entry {ascii(name[:120])} claims {info.file_size} bytes, which is more than we "
                              "read or more than it can hold")
        packed += info.compress_size
        if packed > held:
            raise FormatError(f"{where}: the zip entry {ascii(name[:120])} shares its bytes with others; refused")
        entries[name] = info
    return entries


def check_unpacked(entries: Iterable[zipfile.ZipInfo], where: str) -> None:
    """Raise `FormatError` when deflated entries unpack to more than `UNPACKED_LIMIT` bytes together."""
    unpacked = sum(info.file_size for info in entries if info.compress_type != zipfile.ZIP_STORED)
    if unpacked > UNPACKED_LIMIT:
        raise FormatError(f"{where}: unpacks to {unpacked} bytes, more than the {UNPACKED_LIMIT} that are read; unzip it "
                          "and zip it again without packing (`zip -0 -r`)")


def take(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> bytes:
    """Return the bytes of an entry that `members` let pass."""
    check_unpacked([info], where)
    try:
        with archive.open(info) as file:
            data = file.read(info.file_size)
            if len(data) != info.file_size or file.read(1):
                raise FormatError(f"{where}: the zip entry {ascii(info.filename[:120])} has other than its {info.file_size} "
                                  "bytes")
            return data
    except (*DAMAGED, OSError) as error:
        raise FormatError(f"{where}: the zip entry {ascii(info.filename[:120])} is damaged ({error}); copy it again") from error


def parse_array(data: bytes, where: str) -> np.ndarray:
    """Return the array in the bytes of a .npy, read-only; `where` names it in messages.

    Raises:
        FormatError: It is damaged, holds pickled objects, or claims a size it does not have.
    """
    file = io.BytesIO(data)
    shape, fortran, dtype = _header(file, where)
    if dtype.hasobject:
        raise FormatError(f"{where}: holds pickled Python objects, which may run code; save it as plain arrays")
    if dtype.kind not in "biufU" or dtype.names or dtype.itemsize == 0:
        raise FormatError(f"{where}: holds {dtype}; expected numbers or text")
    count = _check_bytes(shape, dtype, len(data) - file.tell(), where)
    try:
        flat = np.frombuffer(data, dtype, count, file.tell()) if count else np.zeros(0, dtype)
        return flat.reshape(shape, order="F" if fortran else "C")
    except ValueError as error:
        raise FormatError(f"{where}: shape {list(shape)} cannot be held") from error


def _check_bytes(shape: tuple[int, ...], dtype: np.dtype, there: int, where: str) -> int:
    """Return how many numbers `shape` has, which must fill the bytes that are `there`."""
    count = math.prod(shape)
    if any(n < 0 for n in shape) or count * dtype.itemsize != there:
        raise FormatError(f"{where}: shape {list(shape)} of {dtype} needs {count * dtype.itemsize} bytes, {there} are there")
    return count


def _header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether columns come first, and type in the header of a .npy."""
    try:
        version = npy.read_magic(file)
        header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if header is None:
            raise FormatError(f"{where}: .npy version {version} is not known; save it as plain arrays")
        with warnings.catch_warnings():
            # NumPy mentions headers that Python 2 wrote, which read well.
            warnings.simplefilter("ignore")
            return header(file)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, struct.error, tokenize.TokenError) as error:
        reason = (str(error) or "damaged").splitlines()[0]
        raise FormatError(f"{where}: not an array: {reason}") from error
