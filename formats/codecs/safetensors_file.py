"""Named arrays in a safetensors file, read with bounds and written with integers as small as they fit."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save

from formats.errors import FormatError
from formats.files import SIZE_LIMIT, read_bytes, write_bytes

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
           "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}


def read(path: str | os.PathLike[str], limit: int = SIZE_LIMIT) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file, read-only, by name.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is damaged, larger than `limit` bytes, or holds a type that NumPy lacks.
    """
    return parse(read_bytes(path, limit), str(path))


def parse(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Return the arrays in `data`; `where` names the file in messages."""
    try:
        # The library checks lengths, offsets and overlaps against the bytes that are really there.
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise FormatError(f"{where}: not a whole safetensors file ({error}); copy or write it again") from error
    arrays = {}
    for name, entry in entries:
        if not name.isprintable():  # it would break the lines of whoever mentions it
            raise FormatError(f"{where}: the name {name[:40]!r} of an array holds control characters; write the file again")
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise FormatError(f"{where}: '{name}' has type {entry['dtype']}; expected one of {', '.join(_DTYPES)}")
        raw = np.frombuffer(entry["data"], "u1")
        raw.flags.writeable = False
        if dtype == "?" and raw.size and raw.max() > 1:
            raise FormatError(f"{where}: '{name}' holds bytes that are neither true nor false")
        try:
            arrays[name] = raw.view(dtype).reshape(entry["shape"])
        except ValueError as error:  # an empty array whose other sizes are beyond what NumPy can count
            raise FormatError(f"{where}: '{name}' has the impossible shape {entry['shape']}") from error
    return arrays


def metadata(data: bytes) -> dict[str, str]:
    """Return the text metadata of bytes that `parse` accepted."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8:8 + length]).get("__metadata__") or {}


def pack(arrays: Mapping[str, np.ndarray], text: Mapping[str, str] | None = None) -> bytes:
    """Return safetensors bytes; integers are stored in the smallest of uint8, uint16, int32 that holds them, int8 as it is."""
    return save({name: np.ascontiguousarray(_compact(value)) for name, value in arrays.items()},
                dict(sorted((text or {}).items())) or None)


def write(arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> Path:
    """Write `arrays` as a safetensors file, atomically, and return the path."""
    return write_bytes(path, pack(arrays))


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` may be safetensors: a header length, then a JSON object."""
    length = int.from_bytes(head[:8], "little")
    return len(head) > 9 and 2 <= length < 100 << 20 and head[8:9] == b"{" and b'"' in head[9:12]


def _compact(value: np.ndarray) -> np.ndarray:
    if value.dtype.kind not in "iu" or not value.size or value.dtype == np.int8:
        return value
    low, high = int(value.min()), int(value.max())
    for dtype in (np.uint8, np.uint16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return value.astype(dtype)
    return value
