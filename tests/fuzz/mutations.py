"""How files are changed: inside what is packed, framed or structured, where flips of bytes rarely get."""

import gzip
import importlib
import io
import json
import random
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

atheris: Any = importlib.import_module("atheris")  # an optional package

LONGEST = 1 << 18
"""Bytes of a file; seeds are smaller."""
GLB_HEAD = 20
"""Bytes before the JSON of a GLB."""


def mutated(data: bytes, longest: int, seed: int) -> bytes:
    """Return another file: changed inside two times of three where there is an inside, and as it lies else."""
    made = _inside(data, seed // 3) if seed % 3 else None
    return made if made is not None and len(made) <= longest else atheris.Mutate(data, longest)


def _inside(data: bytes, seed: int) -> bytes | None:
    """Return `data` with its content changed and its frame mended; None where it has none, or an earlier change broke it."""
    for begins, change in _FRAMES.items():
        if data.startswith(begins):
            return change(data, seed)
    for width in (4, 8):  # packed texels, safetensors
        length = int.from_bytes(data[:width], "little")
        if data[width:width + 1] == b"{" and length <= len(data) - width:
            text = _text(data[width:width + length], seed)
            return len(text).to_bytes(width, "little") + text + data[width + length:]
    return None


def _text(data: bytes, seed: int) -> bytes:
    """Change JSON as a value as often as as text."""
    return other_json(data, seed // 2) if seed % 2 else atheris.Mutate(data, len(data) * 2 + 64)


def _gltf(data: bytes, seed: int) -> bytes:
    length = int.from_bytes(data[12:16], "little")
    text, rest = data[GLB_HEAD:GLB_HEAD + length], data[GLB_HEAD + length:]
    if seed % 4:
        text = _text(text, seed // 4)
        text += b" " * (-len(text) % 4)
    else:
        # The first 8 bytes are the length and kind of what follows.
        rest = rest[:8] + atheris.Mutate(rest[8:], max(len(rest) - 8, 1)).ljust(len(rest) - 8, b"\0")
    return b"glTF\2\0\0\0" + (GLB_HEAD + len(text) + len(rest)).to_bytes(4, "little") + len(text).to_bytes(
        4, "little") + b"JSON" + text + rest


def _unzipped(data: bytes, seed: int) -> bytes | None:
    try:
        content = zlib.decompressobj(31).decompress(data, LONGEST)
    except zlib.error:
        return None
    return gzip.compress(atheris.Mutate(content, len(content) * 2 + 64), 1, mtime=0)


def _member(data: bytes, seed: int) -> bytes | None:
    """Change one member of a zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [info for info in archive.infolist() if info.file_size < LONGEST]
            contents = {info.filename: archive.read(info) for info in infos}
    except Exception:  # a zip that was damaged by an earlier mutation
        return None
    if not contents:
        return None
    # The pickle of a torch file, the JSON of a bundle: small members say the most.
    order = sorted(contents, key=lambda name: (not name.endswith(("data.pkl", ".json")), name))
    chosen = order[0] if seed % 2 and not order[0].endswith(".npy") else order[seed // 2 % len(order)]
    content = contents[chosen]
    inside = _inside(content, seed // 8) if seed // 4 % 2 else None
    contents[chosen] = inside if inside is not None else atheris.Mutate(content, max(len(content) * 2, 64))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def other_array(data: bytes, seed: int) -> bytes | None:
    """Return the .npy with an array of another type, shape or value in it."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:  # damaged by an earlier mutation
        return None
    flat = array.ravel()
    changes = (
        lambda: np.zeros(0, array.dtype), lambda: flat[:1], lambda: array[()] if array.ndim == 0 else array[:-1],
        lambda: array[None], lambda: flat, lambda: array.T, lambda: np.concatenate([flat, flat]), lambda: flat.sum(),
        lambda: np.full(array.shape, np.nan), lambda: np.full(array.shape, np.inf), lambda: np.full(array.shape, 1e300),
        lambda: np.full(array.shape, -1), lambda: np.full(array.shape, 2**63 - 1), lambda: np.zeros_like(array),
        lambda: np.full(array.shape, "text"), lambda: np.zeros(array.shape, bool), lambda: array.astype(np.float16),
        lambda: array.astype(np.int64), lambda: array.astype(np.uint8), lambda: np.asfortranarray(array),
        lambda: array.astype(array.dtype.newbyteorder(">")), lambda: np.zeros((0, *array.shape[1:]), array.dtype),
        lambda: np.zeros((*array.shape[:-1], 0), array.dtype))
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            np.save(buffer, changes[seed % len(changes)](), allow_pickle=False)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return buffer.getvalue()


ODD = (-1, 0, 1, 2, 7, 255, 65536, 2**31, 2**32, 2**53, 2**63, 2**64, 10**30, -2**31, 0.5, -0.5, 1e-320, 1e38, 1e300, "", "x",
       "..", None, True, False, [], {}, [[]], [0], [1e300], {"a": 1})
"""What stands in JSON where something else is expected."""


def other_json(text: bytes, seed: int) -> bytes:
    """Return the JSON with one value changed, left out, repeated, or put elsewhere."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return atheris.Mutate(text, len(text) * 2 + 64)
    places, rng = list(_places(value)), random.Random(seed)
    if not places:
        return json.dumps(rng.choice(ODD)).encode()
    holder, key = rng.choice(places)
    old = holder[key]
    changes: tuple[Callable[[], Any], ...] = (
        lambda: rng.choice(ODD), lambda: rng.choice(ODD), lambda: [old], lambda: {"a": old},
        lambda: (lambda other: other[0][other[1]])(rng.choice(places)),
        lambda: old[:-1] if isinstance(old, (list, str)) else old * 2 if type(old) in (int, float) else None,
        lambda: old * 2 if isinstance(old, (list, str)) else old + 1 if type(old) in (int, float) else [])
    if rng.random() < 0.15:
        del holder[key]
    else:
        holder[key] = changes[rng.randrange(len(changes))]()
    try:
        return json.dumps(value, separators=(",", ":")).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # put into itself
        return text


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Give every value of a JSON as what holds it and where; of long lists of numbers only some."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys if len(keys) < 64 or isinstance(holder, dict) else (*range(8), len(keys) - 1):
            yield holder, key
            if isinstance(holder[key], (dict, list)):
                waiting.append(holder[key])


_FRAMES: dict[bytes, Callable[[bytes, int], bytes | None]] = {
    b"PK\x03\x04": _member, b"\x93NUMPY": other_array, b"\x1f\x8b": _unzipped, b"glTF": _gltf, b"{": _text, b"[": _text}
"""What a file begins with, and how its content is changed."""
