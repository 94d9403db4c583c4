"""Files of `torch.save` (.pth, .pt, .ckpt, .frame, BakedAvatar's .pkl), read without torch and without running them.

Both containers are read: the zip of torch 1.6 and later, and the older one. The pickle in them goes through
`safe_pickle` with `torch_records.NAMES`: tensors, parameters, state dicts, optimisers' states, sizes, devices, number
types and NumPy arrays; a class of somebody's program is refused by its name. Opening parses the pickle alone; a tensor's
numbers stay in the file until `load`.
"""

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from formats.codecs import torch_legacy, torch_zip
from formats.codecs.torch_tensor import Span, TorchTensor
from formats.errors import FormatError, MissingAsset, naming
from formats.files import check_readable

__all__ = ["TorchFile", "TorchTensor", "arrays", "load", "open", "read", "sniff"]
_open = open
REPEATS, REPEATS_SPARE = 4, 256 << 20
"""Tensors that share storages may come to this many times their bytes together, and some more."""


@dataclass(frozen=True, eq=False)
class TorchFile:
    """A parsed torch file. Nothing is kept open; leaving its `with` block does nothing more."""

    path: Path
    container: Literal["zip", "legacy"]
    root: Any
    """Dictionaries, lists, tuples, sets, numbers, texts, None, NumPy arrays, and `TorchTensor` for tensors and for NumPy
    arrays of more than 64 KiB. Ordered dictionaries come as dictionaries, sizes as tuples, devices and number types as
    text (`cuda:0`, `torch.float32`)."""

    def __enter__(self) -> "TorchFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None


def open(path: str | os.PathLike[str]) -> TorchFile:  # noqa: A001
    """Return the content of the torch file at `path`, its tensors not loaded.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is no torch file, damaged, or holds something that is not allowed.
    """
    path = Path(path)
    check_readable(path)
    where = str(path)
    try:
        with _open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] == b"PK\x03\x04":
                return TorchFile(path, "zip", torch_zip.read(path, data, where))
            if torch_legacy.sniff(data[:64]):
                whole = Span(path, 0, len(data))
                root = torch_legacy.read(data, where, lambda start, size: Span(path, start, size), whole)
                return TorchFile(path, "legacy", root)
    except (OSError, ValueError) as error:
        raise MissingAsset(f"{path}: cannot be read: {error}") from error
    raise FormatError(f"{path}: not what torch.save writes (a zip with data.pkl, or the older container)")


def read(path: str | os.PathLike[str]) -> Any:
    """Return the content of the torch file at `path` with every tensor loaded, as read-only arrays.

    Raises: as `open`.
    """
    with naming(Path(path)):
        return load(open(path).root)


def load(tree: Any) -> Any:
    """Return `tree` with every `TorchTensor` in it loaded; shared parts stay shared.

    Raises:
        FormatError: A tensor's bytes are damaged, or together they are far more than the file has bytes for them.
    """
    done: dict[int, Any] = {}
    _check_repeats(_tensors(tree))

    def walk(value: Any) -> Any:
        if isinstance(value, TorchTensor | dict | list | tuple):
            if id(value) not in done:
                done[id(value)] = (value.load() if isinstance(value, TorchTensor) else
                                   {k: walk(v) for k, v in value.items()} if isinstance(value, dict) else
                                   type(value)(walk(v) for v in value))
            return done[id(value)]
        return value

    return walk(tree)


def arrays(tree: Any, where: str) -> dict[str, np.ndarray]:
    """Return the arrays of a flat state dict by key, loaded.

    Args:
        tree: A dictionary of tensors and arrays.
        where: The file and the part of it, for messages.

    Raises:
        FormatError: It is no dictionary, or an entry (named) is no array.
    """
    if not isinstance(tree, Mapping):
        raise FormatError(f"{where}: is {_kind(tree)}, expected a dictionary of tensors")
    with naming(where):
        _check_repeats([value for value in tree.values() if isinstance(value, TorchTensor)])
    found: dict[str, np.ndarray] = {}
    for key, value in tree.items():
        if not isinstance(value, TorchTensor | np.ndarray) or not isinstance(key, str):
            raise FormatError(f"{where}: {ascii(str(key)[:120])} is {_kind(value)}, expected a tensor by a name")
        with naming(where):
            found[key] = value.load() if isinstance(value, TorchTensor) else value
    return found


def _tensors(tree: Any) -> list[TorchTensor]:
    """Return every tensor in a tree once."""
    found: dict[int, TorchTensor] = {}
    seen, left = {id(tree)}, [tree]
    while left:
        value = left.pop()
        if isinstance(value, TorchTensor):
            found[id(value)] = value
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        for each in inside:
            if id(each) not in seen:
                seen.add(id(each))
                left.append(each)
    return list(found.values())


def _check_repeats(tensors: list[TorchTensor]) -> None:
    """Raise when tensors that share their bytes would come to far more than these."""
    held = sum(place.nbytes for place in {tensor.place for tensor in tensors})
    needed = sum(tensor.nbytes for tensor in tensors)
    if needed > REPEATS * held + REPEATS_SPARE:
        raise FormatError(f"{len(tensors)} tensors take {needed} bytes and share {held}; refused as a trap")


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a torch file: the older container, or a zip that begins as one."""
    if torch_legacy.sniff(head):
        return True
    if not head.startswith(b"PK\x03\x04") or len(head) < 30:
        return False
    name = head[30:30 + int.from_bytes(head[26:28], "little")]
    return name == b"data.pkl" or name.endswith(b"/data.pkl")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
