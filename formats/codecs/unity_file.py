"""The container of a small Unity asset: a JSON and named chunks, deflated or as they are. Specified in `exporter/UNITY.md`."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from formats.codecs.json_file import Fields, check_version
from formats.codecs.json_head import JsonHead
from formats.errors import FormatError

FAMILY, MAJOR = "flameport.unity", 1
HEAD = JsonHead(b"FLAV", 1, "small Unity asset")
SIZE_LIMIT = 1 << 30
"""Bytes of all chunks together, decoded."""


@dataclass(frozen=True, eq=False)
class UnityFile:
    """A JSON, and bytes by name."""

    json: dict[str, Any]
    """Without `format` and `chunks`, which the container adds."""
    chunks: Mapping[str, bytes]
    """Decoded."""

    def to_bytes(self, stored: frozenset[str] = frozenset()) -> bytes:
        """Return the file; chunks named in `stored` are not deflated (pictures are already)."""
        entries, bodies = [], []
        for name, data in self.chunks.items():
            body, codec = (data, "none") if name in stored else (_deflate(data), "deflate")
            entries.append({"name": name, "codec": codec, "bytes": len(body), "size": len(data)})
            bodies.append(body)
        return b"".join([HEAD.pack({"format": f"{FAMILY}/{MAJOR}", **self.json, "chunks": entries}), *bodies])


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a small Unity asset."""
    return HEAD.sniff(head)


def parse(data: bytes, where: str) -> UnityFile:
    """Return the container in `data`; `where` names the file in messages.

    Raises:
        FormatError: It is something else, cut off or damaged, or would decode to more than `SIZE_LIMIT` bytes.
        UnsupportedFeature: A later version wrote it.
    """
    fields, at = HEAD.parse(data, where)
    check_version(fields, "format", FAMILY, MAJOR)
    chunks: dict[str, bytes] = {}
    total = 0
    for i, raw in enumerate(fields.items("chunks")):
        entry = Fields(raw, f"{where}: chunks[{i}]")
        name, size = entry.text("name"), entry.integer("size", high=SIZE_LIMIT)
        count, codec = entry.integer("bytes", high=SIZE_LIMIT), entry.choice("codec", ("none", "deflate"))
        total += size
        if name in chunks or total > SIZE_LIMIT:
            raise FormatError(f"{entry.where}: '{name}' is there twice, or decodes to more than {SIZE_LIMIT} bytes with the rest")
        if count > len(data) - at:
            raise FormatError(f"{entry.where}: '{name}' has {count} bytes, {len(data) - at} are left; the file is cut off")
        body = data[at:at + count]
        chunks[name] = body if codec == "none" else _inflate(body, size, f"{entry.where}: '{name}'")
        if len(chunks[name]) != size:
            raise FormatError(f"{entry.where}: '{name}' has {len(chunks[name])} bytes, expected {size}")
        at += count
    if at != len(data):
        raise FormatError(f"{where}: {len(data) - at} bytes follow the last chunk; expected none")
    return UnityFile({k: v for k, v in fields.values.items() if k not in ("format", "chunks")}, chunks)


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _inflate(data: bytes, size: int, where: str) -> bytes:
    unpacker = zlib.decompressobj(-15)
    try:
        # One byte more than it may have tells a stream that is too long.
        out = unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise FormatError(f"{where}: is damaged: {error}") from error
    if len(out) != size or not unpacker.eof or unpacker.unused_data:
        more = "more than " if len(out) > size else ""
        raise FormatError(f"{where}: decodes to {more}{min(len(out), size)} bytes, expected {size}; the file is damaged")
    return out
