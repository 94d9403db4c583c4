"""Changes of a file's bytes that know its format, for making bad files out of good ones.

    in_json(put("fps", 0))(data)           JSON text with another value
    in_zip("a.json", change)(data)         a zip with one member changed
"""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import load, save

Files = dict[str, bytes]
Change = Callable[[bytes], bytes]
HUGE = 1 << 40


class Runs:
    """A pickle of this calls a function when a careless reader opens it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("the file ran code",))


def in_json(change: Callable[[Any], Any]) -> Change:
    """Return a change of the value that JSON text holds; NaN may go in."""
    def apply(data: bytes) -> bytes:
        value = json.loads(data)
        change(value)
        return json.dumps(value).encode()
    return apply


def in_zip(name: str, change: Change) -> Change:
    """Return a change of one member of a zip."""
    return lambda data: zipped({n: change(d) if n == name else d for n, d in unzipped(data).items()})


def unzipped(data: bytes) -> Files:
    """Return the members of a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(members: Files) -> bytes:
    """Return a zip of members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_member(name: str) -> Change:
    """Return a change that adds a member of that name to a zip."""
    return lambda data: zipped(unzipped(data) | {name: b"out"})


def bomb(data: bytes) -> bytes:
    """Return the zip with its last member declared to be a terabyte."""
    at, directory = data.rfind(b"PK\x01\x02"), bytearray(data)
    directory[at + 24:at + 28] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(directory)


def in_glb(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Return a change of a GLB's JSON."""
    def apply(data: bytes) -> bytes:
        size = struct.unpack_from("<I", data, 12)[0]
        value = json.loads(data[20:20 + size])
        change(value)
        text = json.dumps(value).encode()
        text += b" " * (-len(text) % 4)
        rest = data[20 + size:]
        return data[:8] + struct.pack("<III", 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest
    return apply


def in_tensors(change: Callable[[dict[str, np.ndarray], dict[str, str]], Any]) -> Change:
    """Return a change of a safetensors file's arrays and metadata."""
    def apply(data: bytes) -> bytes:
        about = json.loads(data[8:8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
        arrays = {name: array.copy() for name, array in load(data).items()}
        change(arrays, about)
        return save(arrays, about or None)
    return apply


def in_arrays(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Return a change of the arrays of an npz."""
    def apply(data: bytes) -> bytes:
        with np.load(io.BytesIO(data)) as stored:
            arrays: dict[str, Any] = dict(stored)
        change(arrays)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()
    return apply


def in_tables(change: Callable[[dict[str, Any]], Any]) -> Change:
    """Return a change of the tables in a FLAME pickle."""
    def apply(data: bytes) -> bytes:
        tables = pickle.loads(data)
        change(tables)
        return pickle.dumps(tables, 2)
    return apply


def put(key: Any, value: Any) -> Callable[[Any], None]:
    """Return a change that sets an entry; `key` may be a path of keys."""
    def change(target: Any) -> None:
        *path, last = key if isinstance(key, tuple) else (key,)
        for step in path:
            target = target[step]
        target[last] = value
    return change


def drop(key: Any) -> Callable[[Any], None]:
    """Return a change that removes an entry."""
    return lambda target: target.pop(key)


def nan(name: str) -> Callable[..., None]:
    """Return a change that makes the first number of an array NaN."""
    def change(arrays: dict[str, np.ndarray], *_: Any) -> None:
        arrays[name] = np.array(arrays[name], np.float32 if arrays[name].dtype.kind != "f" else None)
        arrays[name].flat[0] = np.nan
    return change


def npy(array: np.ndarray) -> bytes:
    """Return an .npy."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_claiming(shape: tuple[int, ...]) -> bytes:
    """Return an .npy whose header claims a shape, with eight bytes behind it."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(8)
