"""`flameport.sequence/1` as bytes, for long takes: the JSON header, then float32 blocks. Byte layout in SPEC.md."""

import os
from typing import Any

import numpy as np

from formats.codecs.json_file import Fields
from formats.codecs.json_head import JsonHead
from formats.codecs.sequence_header import (
    CAMERA_SHAPES,
    EMPTY_LIMIT,
    FRAME_LIMIT,
    VERSION,
    WIDTHS,
    check_header,
    header_of,
    is_zero,
)
from formats.errors import FormatError, naming
from formats.files import read_bytes, write_bytes
from formats.sequence import Sequence

HEAD = JsonHead(b"FPSQ", VERSION, "binary sequence")


def read(path: str | os.PathLike[str]) -> Sequence:
    """Return the sequence in a binary file.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is cut off, longer than it says, or a field has the wrong type, length or value.
        UnsupportedFeature: A later major version wrote it.
    """
    return parse(read_bytes(path), str(path))


def parse(data: bytes, where: str) -> Sequence:
    """Return the sequence in `data`; `where` names the file in messages."""
    fields, start = HEAD.parse(data, where)
    known = check_header(fields)
    frames = fields.integer("frame_count", low=1, high=FRAME_LIMIT)
    expected = {"expr": (frames, fields.integer("expr_count", high=1 << 20))}
    expected |= {name: (frames, width) for name, width in WIDTHS.items()}
    expected |= {f"joints.{name}": (frames, 3) for name in fields.texts("joints", ())}
    widths = fields.fields("drivers")
    expected |= {f"drivers.{name}": (frames, widths.integer(name, high=1 << 20)) for name in widths.values}
    expected |= {f"cameras.{name}": (frames, *shape) for name, shape in CAMERA_SHAPES.items()}
    blocks: dict[str, np.ndarray] = {}
    for entry in fields.items("blocks"):
        block = Fields(entry, f"{where}: blocks")
        name, shape = block.text("name"), tuple(block.items("shape"))
        if any(type(n) is not int or n < 0 for n in shape) or (name != "shape" and shape != expected.get(name)):
            raise FormatError(f"{where}: block '{name}': expected shape {list(expected.get(name, ('a known name',)))}, "
                              f"got {list(shape)}")
        if name in blocks or (name == "shape" and len(shape) != 1):
            raise FormatError(f"{where}: block '{name}' appears twice, or is not flat")
        count = int(np.prod(shape, dtype=object)) if shape else 1
        if count * 4 > len(data) - start:
            raise FormatError(f"{where}: block '{name}' needs {count * 4} bytes, {len(data) - start} are left; the "
                              "file is cut off, copy it again")
        blocks[name] = np.frombuffer(data, "<f4", count, start).reshape(shape)
        start += count * 4
    if start != len(data):
        raise FormatError(f"{where}: {len(data) - start} bytes follow the last block; expected none")
    values = _gather(blocks, expected, where)
    fields.warn_unknown()
    with naming(where):
        return Sequence(**known, **values)


def read_header(data: bytes, where: str) -> dict[str, Any]:
    """Return the JSON header of `data`, of which only the beginning is looked at."""
    return HEAD.parse(data, where)[0].values


def _gather(blocks: dict[str, np.ndarray], expected: dict[str, tuple[int, ...]], where: str) -> dict[str, Any]:
    if sum(int(np.prod(shape, dtype=object)) for name, shape in expected.items() if name not in blocks) > EMPTY_LIMIT:
        raise FormatError(f"{where}: the blocks it leaves out would be larger than a sequence may be")
    values: dict[str, Any] = {"joints": {}, "drivers": {}, "cameras": {}}
    for name, shape in expected.items():
        group, _, inner = name.partition(".")
        if group == "cameras" and name not in blocks:
            continue
        block = blocks.get(name)
        block = np.zeros(shape, np.float32) if block is None else block
        if inner:
            values[group][inner] = block
        else:
            values[name] = block
    return values | {"shape": blocks.get("shape")}


def write(sequence: Sequence, path: str | os.PathLike[str]) -> None:
    """Write `sequence` as a binary file, atomically."""
    write_bytes(path, pack(sequence))


def pack(sequence: Sequence) -> bytes:
    """Return the bytes of a binary sequence; fields that are zero throughout are left out."""
    values = {name: getattr(sequence, name) for name in ("expr", *WIDTHS)}
    values |= {f"joints.{name}": value for name, value in sequence.joints.items()}
    values |= {f"drivers.{name}": value for name, value in sequence.drivers.items()}
    blocks = {name: value for name, value in values.items() if not is_zero(value)}
    blocks |= {f"cameras.{name}": sequence.cameras[name] for name in CAMERA_SHAPES if sequence.cameras}
    if sequence.shape is not None:
        blocks["shape"] = sequence.shape
    header = header_of(sequence) | {"blocks": [{"name": k, "shape": list(v.shape)} for k, v in blocks.items()]}
    return b"".join([HEAD.pack(header), *(np.ascontiguousarray(v, "<f4").tobytes() for v in blocks.values())])


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a binary sequence."""
    return HEAD.sniff(head)
