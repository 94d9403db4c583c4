"""A tensor that still lies in its file, and the places where bytes can lie."""

import codecs
import math
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from formats.codecs import npz_file
from formats.errors import FormatError

EXPANDED_LIMIT = 1 << 24
"""Elements of a tensor that repeats its storage (`expand`); it takes no memory here, but copies of it would."""
_CHUNK = 1 << 20


class Place(Protocol):
    """Bytes that can be fetched when they are wanted."""

    @property
    def nbytes(self) -> int:
        """How many there are."""
        ...

    def read(self, start: int, count: int) -> bytes | bytearray:
        """Return `count` bytes from `start` on.

        Raises:
            FormatError: They are not there, or damaged.
        """
        ...


@dataclass(frozen=True)
class Memory:
    """Bytes that were read already."""

    data: bytes

    @property
    def nbytes(self) -> int:
        return len(self.data)

    def read(self, start: int, count: int) -> bytes:
        return self.data[start:start + count]


@dataclass(frozen=True)
class Span:
    """A run of bytes in a file."""

    path: Path
    start: int
    nbytes: int

    def read(self, start: int, count: int) -> bytes:
        try:
            with open(self.path, "rb") as file:
                file.seek(self.start + start)
                data = file.read(count)
        except OSError as error:
            raise FormatError(f"{self.path}: cannot be read any more: {error.strerror}") from error
        if len(data) != count:
            raise FormatError(f"{self.path}: ends after {len(data)} of {count} bytes; it changed while it was read")
        return data


@dataclass(frozen=True)
class Packed:
    """A deflated member of a zip; reading unpacks it from its beginning."""

    path: Path
    info: zipfile.ZipInfo

    @property
    def nbytes(self) -> int:
        return self.info.file_size

    def read(self, start: int, count: int) -> bytes:
        try:
            with npz_file.open_zip(self.path) as archive, archive.open(self.info) as file:
                file.seek(start)
                data = file.read(count)
        except (*npz_file.DAMAGED, OSError, zlib.error) as error:
            raise FormatError(f"{self.path}: the zip entry {ascii(self.info.filename[:120])} is damaged ({error}); copy it again"
                              ) from error
        if len(data) != count:
            raise FormatError(f"{self.path}: the zip entry {ascii(self.info.filename[:120])} has other than its "
                              f"{self.info.file_size} bytes; copy it again")
        return data


@dataclass(frozen=True)
class Latin:
    """Bytes written as text (one character each, UTF-8), which is how pickle protocol 2 holds an array's bytes."""

    text: Span
    nbytes: int

    def read(self, start: int, count: int) -> bytearray:
        """Return all bytes; an array's text is only wanted whole. Decoded piece by piece: one copy, not five."""
        assert start == 0 and count == self.nbytes
        result, filled = bytearray(self.nbytes), 0
        decoder = codecs.getincrementaldecoder("utf-8")()
        for at in range(0, self.text.nbytes, _CHUNK):
            piece = self.text.read(at, min(_CHUNK, self.text.nbytes - at))
            try:
                raw = decoder.decode(piece, at + _CHUNK >= self.text.nbytes).encode("latin1")
            except UnicodeError as error:
                raise FormatError(f"{self.text.path}: byte {self.text.start + at}: a text that stands for bytes is none"
                                  ) from error
            if filled + len(raw) > self.nbytes:
                break
            result[filled:filled + len(raw)] = raw
            filled += len(raw)
        else:
            if filled == self.nbytes:
                return result
        raise FormatError(f"{self.text.path}: byte {self.text.start}: an array of {self.nbytes} bytes, its text has more "
                          "or fewer")


@dataclass(frozen=True, eq=False)
class TorchTensor:
    """A tensor (or a long NumPy array) whose numbers were not loaded yet."""

    shape: tuple[int, ...]
    dtype: np.dtype
    """What `load` gives: little-endian; bfloat16 becomes float32."""
    place: Place = field(repr=False)
    first: int = field(default=0, repr=False)
    """Byte of its first element in `place`."""
    stride: tuple[int, ...] | None = field(default=None, repr=False)
    """Elements from one index to the next on each axis; None for an array without gaps, last axis first."""
    stored: str = field(default="", repr=False)
    """How an element lies in the file: a NumPy type, or `<bfloat16`, `>bfloat16`; empty for `dtype`."""

    @property
    def nbytes(self) -> int:
        """Bytes of the loaded array."""
        return math.prod(self.shape) * self.dtype.itemsize

    def beginning(self, rows: int) -> np.ndarray:
        """Return its first `rows` rows, of which only these are read. It must have an axis; see `load`."""
        part = replace(self, shape=(min(rows, self.shape[0]), *self.shape[1:]))
        return part.load()

    def load(self) -> np.ndarray:
        """Return the numbers, read-only; a tensor that repeats its storage comes as a view that does, too.

        Raises:
            FormatError: The file is damaged or changed since it was opened.
        """
        count = math.prod(self.shape)
        if count == 0:
            array = np.zeros(self.shape, self.dtype)
            array.flags.writeable = False
            return array
        stride = contiguous(self.shape) if self.stride is None else self.stride
        reach = 1 + sum((n - 1) * step for n, step in zip(self.shape, stride, strict=True))
        brain = self.stored.endswith("bfloat16")
        stored = np.dtype(f"{self.stored[0]}u2") if brain else np.dtype(self.stored or self.dtype)
        flat = np.frombuffer(self.place.read(self.first, reach * stored.itemsize), stored)
        if brain:
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        elif self.dtype.kind == "b":
            flat = flat.view(np.uint8) != 0
        elif flat.dtype != self.dtype:
            flat = flat.astype(self.dtype)
        if stride == contiguous(self.shape):
            array = flat.reshape(self.shape)
        else:
            steps = [step * flat.itemsize for step in stride]
            array = np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)
            if count <= reach:
                array = np.ascontiguousarray(array)
        array.flags.writeable = False
        return array


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of an array without gaps whose last axis runs first."""
    return tuple(math.prod(shape[axis + 1:]) for axis in range(len(shape)))
