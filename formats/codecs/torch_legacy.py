"""The container that `torch.save` wrote before torch 1.6, and still does for a tensor inside another pickle.

Five pickles in a row (magic number, protocol 1001, a dictionary about the system, the content, the storages' keys),
then each storage: its element count as int64, then its elements.
"""

import mmap
import re
from collections.abc import Callable
from typing import Any

from formats.codecs import safe_pickle
from formats.codecs.torch_records import NAMES, Storages
from formats.codecs.torch_tensor import Place, Span
from formats.errors import FormatError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_BEGINNING = re.compile(rb"(?s)\x80[\x02-\x05](\x95.{8})?\x8a\x0a" + re.escape(MAGIC.to_bytes(10, "little")))


def sniff(head: bytes) -> bool:
    """Tell whether bytes that start with `head` are such a container."""
    return _BEGINNING.match(head) is not None


def read(data: bytes | mmap.mmap, where: str, place: Callable[[int, int], Place], file: Span | None = None) -> Any:
    """Return the content, its tensors not loaded.

    Args:
        data: The container's bytes, or the mapped file.
        where: The file's name, for messages.
        place: What makes the place of a storage from its first byte and its size.
        file: The whole file, to leave long arrays in it; see `safe_pickle.load_next`.

    Raises:
        FormatError: It is another kind of file, cut short, or uses a name that is not allowed.
    """
    storages = Storages(where, "<")
    parts, at = [], 0
    for index in range(5):
        part, at = safe_pickle.load_next(data, where, at, NAMES, storages.identify, file)
        parts.append(part)
        if index == 2 and isinstance(part, dict) and part.get("little_endian") is False:
            storages.order = ">"
    magic, protocol, system, root, keys = parts
    if magic != MAGIC or protocol != PROTOCOL or not isinstance(system, dict):
        raise FormatError(f"{where}: is not what torch.save wrote as protocol {PROTOCOL}")
    if not isinstance(keys, list) or not all(isinstance(k, str | int) for k in keys):
        raise FormatError(f"{where}: byte {at}: the storages' keys are not a list of names")
    if {str(k) for k in keys} != set(storages.found) or len(keys) != len(storages.found):
        raise FormatError(f"{where}: byte {at}: {len(keys)} storages follow, the content names {len(storages.found)}")
    for k in keys:
        storage = storages.found[str(k)]
        size = storage.nbytes
        count = int.from_bytes(data[at:at + 8], "little" if storages.order == "<" else "big")
        if at + 8 + size > len(data) or count != storage.count:
            raise FormatError(f"{where}: byte {at}: storage {ascii(storage.name[:40])} of {storage.count} elements takes {size} "
                              f"bytes, the file has {max(len(data) - at - 8, 0)} for {count}; cut short?")
        storage.at = place(at + 8, size)
        at += 8 + size
    return root
