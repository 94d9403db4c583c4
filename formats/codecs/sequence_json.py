"""`flameport.sequence/1` as JSON: the header's keys first, then one frame per line. Specified in `formats/SPEC.md`.

A person can read it, `grep` finds a frame by its line, and a page can start to play before the end has arrived.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from formats.codecs.json_file import Fields, as_numbers, dump_line, read_json
from formats.codecs.sequence_header import (
    CAMERA_SHAPES,
    EMPTY_LIMIT,
    FORMAT,
    WIDTHS,
    check_header,
    header_of,
    is_zero,
)
from formats.errors import FormatError, naming
from formats.files import replacing
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
FRAME_KEYS = ("expr", *WIDTHS, "joints", "drivers", "camera")


def read(path: str | os.PathLike[str]) -> Sequence:
    """Return the sequence in a JSON file.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is not a sequence, or a field has the wrong type, length or value.
        UnsupportedFeature: A later major version wrote it.
    """
    with naming(path):
        return _sequence(Fields(read_json(path), str(path)))


def _sequence(fields: Fields) -> Sequence:
    where = fields.where
    known = check_header(fields)
    frames = [Fields(frame, f"{where}: frame {i}") for i, frame in enumerate(fields.items("frames"))]
    if not frames:
        raise FormatError(f"{where}: 'frames' is empty; a sequence needs at least one")
    if fields.has("frame_count") and fields.integer("frame_count") != len(frames):
        raise FormatError(f"{where}: 'frame_count' says {fields.integer('frame_count')}, there are {len(frames)} "
                          "frames; was the file cut off and closed by hand?")
    values: dict[str, Any] = {"expr": _column(frames, "expr", _expression_count(fields, frames, known))}
    values |= {name: _column(frames, name, width) for name, width in WIDTHS.items()}
    values["joints"] = _named(frames, "joints", dict.fromkeys(fields.texts("joints", ()), 3), 3)
    widths = fields.fields("drivers")
    values["drivers"] = _named(frames, "drivers", {name: widths.integer(name, high=1 << 20) for name in widths.values},
                               None)
    values["cameras"] = _cameras(frames, where)
    if fields.has("shape"):
        values["shape"] = _flat(fields.numbers("shape"), f"{where}: 'shape'")
    fields.warn_unknown()
    unknown = sorted({key for frame in frames for key in frame.values if key not in FRAME_KEYS})
    if unknown:
        LOG.warning("%s: ignored unknown frame fields %s", where, ", ".join(unknown))
    return Sequence(**known, **values)


def write(sequence: Sequence, path: str | os.PathLike[str]) -> None:
    """Write `sequence` as JSON, atomically; reading it gives the same float32 values to the bit."""
    header = {name: dump_line(value) for name, value in header_of(sequence).items()}
    if sequence.shape is not None:
        header["shape"] = _numbers(sequence.shape)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write("{\n" + "".join(f'"{name}": {text},\n' for name, text in header.items()) + '"frames": [\n')
        last = len(sequence) - 1
        for i, line in enumerate(_lines(sequence)):
            file.write(line + (",\n" if i < last else "\n"))
        file.write("]\n}\n")


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a JSON sequence."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and f'"{FORMAT}/'.encode() in head


# --- Writing ----------------------------------------------------------------------------------------------------------


def _texts(value: np.ndarray) -> list[str]:
    """Return the shortest decimals that read back as the same float32, in row-major order."""
    return [text[:-2] if text.endswith(".0") and text != "-0.0" else text
            for text in np.asarray(value, np.float32).ravel().astype(str).tolist()]


def _numbers(value: np.ndarray) -> str:
    return "[" + ", ".join(_texts(value)) + "]"


def _matrix(value: np.ndarray) -> str:
    return "[" + ", ".join(_numbers(row) for row in value) + "]"


def _lines(sequence: Sequence) -> Iterator[str]:
    plain = {name: getattr(sequence, name) for name in ("expr", *WIDTHS)}
    for i in range(len(sequence)):
        parts = [f'"{name}": {_numbers(value[i])}' for name, value in plain.items() if not is_zero(value[i])]
        for key, group in (("joints", sequence.joints), ("drivers", sequence.drivers)):
            inner = [f"{dump_line(name)}: {_numbers(value[i])}" for name, value in group.items()
                     if not is_zero(value[i])]
            if inner:
                parts.append(f'"{key}": {{{", ".join(inner)}}}')
        if sequence.cameras:
            shot = {name: sequence.cameras[name][i] for name in CAMERA_SHAPES}
            parts.append(f'"camera": {{"K": {_matrix(shot["K"])}, "world_to_camera": '
                         f'{_matrix(shot["world_to_camera"])}, "size": {_numbers(shot["size"])}}}')
        yield "{" + ", ".join(parts) + "}"


# --- Reading ----------------------------------------------------------------------------------------------------------


def _expression_count(fields: Fields, frames: list[Fields], known: dict[str, Any]) -> int:
    if fields.has("expr_count"):
        return fields.integer("expr_count", high=1 << 20)
    if known["expr_names"]:
        return len(known["expr_names"])
    return max((len(frame.items("expr")) for frame in frames if frame.has("expr")), default=0)


def _column(frames: list[Fields], name: str, width: int) -> np.ndarray:
    """Return a field over all frames, [T, width] float64, zero where a frame leaves it out."""
    # A header may claim any width while every frame leaves the field out; bound it before it is allocated.
    if width * len(frames) > EMPTY_LIMIT:
        raise FormatError(f"'{name}' would hold {width} x {len(frames)} numbers, more than a sequence may")
    rows = np.zeros((len(frames), width))
    for i, frame in enumerate(frames):
        if frame.has(name):
            rows[i] = _row(frame.items(name), width, f"{frame.where}: '{name}'")
    return rows


def _row(value: Any, width: int, where: str) -> np.ndarray:
    row = _flat(as_numbers(value, where), where)
    if len(row) != width:
        raise FormatError(f"{where}: expected {width} numbers, got {len(row)}")
    return row


def _flat(row: np.ndarray, where: str) -> np.ndarray:
    if row.ndim != 1:
        raise FormatError(f"{where}: expected a flat list of numbers")
    return row


def _named(frames: list[Fields], key: str, widths: dict[str, int], fixed: int | None) -> dict[str, np.ndarray]:
    """Return the named arrays of `joints` or `drivers`; names and widths may come from the header or the frames."""
    inner = [frame.fields(key) for frame in frames]
    for group in inner:
        for name in group.values:
            if name not in widths:
                widths[name] = fixed or len(group.items(name))
    total = sum(widths.values()) * len(frames)
    if total > EMPTY_LIMIT:
        raise FormatError(f"'{key}' would hold {total} numbers, more than a sequence may")
    return {name: _column(inner, name, width) for name, width in widths.items()}


def _cameras(frames: list[Fields], where: str) -> dict[str, np.ndarray]:
    having = [frame for frame in frames if frame.has("camera")]
    if not having:
        return {}
    if len(having) != len(frames):
        first = next(frame for frame in frames if not frame.has("camera"))
        raise FormatError(f"{first.where}: 'camera' is missing, {len(having)} of {len(frames)} frames have one; give "
                          "all or none")
    cameras = {}
    for name, shape in CAMERA_SHAPES.items():
        rows = []
        for frame in frames:
            camera = frame.fields("camera")
            value = camera.numbers(name)
            if value.shape != shape:
                raise FormatError(f"{camera.where}: '{name}': expected shape {list(shape)}, got {list(value.shape)}")
            rows.append(value)
        cameras[name] = np.stack(rows)
    return cameras
