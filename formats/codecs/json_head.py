"""The sixteen bytes and the JSON that our own binary files begin with: magic, version, length of the JSON, zero."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from formats.codecs.json_file import Fields, parse_json
from formats.errors import FormatError, UnsupportedFeature

LIMIT = 16 << 20
"""Bytes of the JSON."""
_FIXED = struct.Struct("<4sIII")


@dataclass(frozen=True)
class JsonHead:
    """How one kind of file begins."""

    magic: bytes
    """4 bytes."""
    version: int
    kind: str
    """What messages call the file: `binary sequence`."""

    def pack(self, values: Mapping[str, Any]) -> bytes:
        """Return the beginning of a file, filled with spaces to a multiple of 16 bytes."""
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 16)
        return _FIXED.pack(self.magic, self.version, len(text), 0) + text

    def sniff(self, head: bytes) -> bool:
        """Tell whether a file that starts with `head` is of this kind."""
        return head.startswith(self.magic)

    def parse(self, data: bytes, where: str) -> tuple[Fields, int]:
        """Return the JSON, and where in `data` it ends.

        Raises:
            FormatError: It is something else, cut off or damaged.
            UnsupportedFeature: A later version wrote it.
        """
        left = len(data) - _FIXED.size
        if left < 0 or not self.sniff(data):
            raise FormatError(f"{where}: not a {self.kind}: it does not start with '{self.magic.decode()}'")
        _, version, length, reserved = _FIXED.unpack_from(data)
        if version != self.version:
            raise UnsupportedFeature(f"{where}: {self.kind} of version {version}, this version reads {self.version}; update "
                                     "flameport, or write the file again with this version")
        if reserved != 0 or length > min(LIMIT, left):
            raise FormatError(f"{where}: says its header has {length} bytes, the file has {left} left; it is damaged or cut off")
        end = _FIXED.size + length
        return Fields(parse_json(data[_FIXED.size:end], f"{where}: header"), f"{where}: header"), end
