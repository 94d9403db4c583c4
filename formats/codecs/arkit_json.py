"""Tracks of ARKit blendshape weights: LAM's JSON (`names`, `frames[].weights`) and Live Link Face's CSV.

Names are mapped, never positions: Apple's order, MediaPipe's and LAM's differ.
"""

import csv
import io
import logging
import os
from pathlib import Path

import numpy as np

from formats.codecs.json_file import Fields, as_numbers, dump_line, read_json
from formats.conventions import ARKIT_52
from formats.errors import FormatError
from formats.files import read_bytes, replacing
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
JSON_FPS, CSV_FPS = 30.0, 60.0
"""Frames per second where a file does not say: LAM's tracks, and Live Link Face's recordings."""
_CSV_LIMIT = 256 << 20


def read(path: str | os.PathLike[str], fps: float | None = None) -> Sequence:
    """Return an ARKit track as a sequence in basis `arkit-52`, its columns sorted by name.

    Args:
        path: JSON or CSV.
        fps: Frame rate; what the file says when None.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is neither, names no ARKit shape, or rows have another length than the names.
    """
    where = str(path)
    if Path(path).suffix.lower() == ".csv":
        names, weights, rate = _csv(read_bytes(path, _CSV_LIMIT), where)
    else:
        names, weights, rate = _json(path, where)
    return _sequence(names, weights, rate if fps is None else fps, where)


def _sequence(names: list[str], weights: np.ndarray, fps: float, where: str) -> Sequence:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) != len(names) else []
    if twice:
        raise FormatError(f"{where}: '{twice[0]}' is named twice")
    known = [name for name in ARKIT_52 if name in names]
    if not known:
        raise FormatError(f"{where}: none of {', '.join(names[:5]) or 'its names'} is an ARKit shape; expected names "
                          "such as jawOpen, eyeBlinkLeft")
    other = [name for name in names if name not in ARKIT_52 and name != "_neutral"]
    if other:
        LOG.warning("%s: left out %s: not among ARKit's 52 shapes", where, ", ".join(other))
    try:
        return Sequence("arkit-52", fps, weights[:, [names.index(name) for name in known]], expr_names=tuple(known))
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error


def _json(path: str | os.PathLike[str], where: str) -> tuple[list[str], np.ndarray, float]:
    fields = Fields(read_json(path), where)
    names = list(fields.texts("names"))
    rows = [Fields(frame, f"{where}: frame {i}").items("weights") for i, frame in enumerate(fields.items("frames"))]
    if not rows:
        raise FormatError(f"{where}: 'frames' is empty")
    for i, row in enumerate(rows):
        if len(row) != len(names):
            raise FormatError(f"{where}: frame {i}: {len(row)} weights for {len(names)} names")
    weights = as_numbers(rows, f"{where}: 'weights'")
    if weights.ndim != 2:
        raise FormatError(f"{where}: 'weights': expected a flat list of numbers per frame")
    return names, weights, fields.number("fps", fields.fields("metadata").number("fps", JSON_FPS))


def _csv(data: bytes, where: str) -> tuple[list[str], np.ndarray, float]:
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{where}: not a CSV text: {error}") from error
    if len(rows) < 2:
        raise FormatError(f"{where}: expected a line of names and lines of weights, got {len(rows)} lines")
    head = [name.strip() for name in rows[0]]
    shapes = {i: name[:1].lower() + name[1:] for i, name in enumerate(head)
              if name.lower() not in ("timecode", "blendshapecount", "time", "frame", "")}
    values = np.empty((len(rows) - 1, len(shapes)))
    for i, row in enumerate(rows[1:]):
        if len(row) != len(head):
            raise FormatError(f"{where}: line {i + 2} has {len(row)} cells, the first line {len(head)}; cut off?")
        try:
            values[i] = [float(row[column]) for column in shapes]
        except ValueError as error:
            raise FormatError(f"{where}: line {i + 2}: expected numbers: {error}") from error
    timecodes = [row[head.index("Timecode")] for row in rows[1:]] if "Timecode" in head else []
    return list(shapes.values()), values, _rate(timecodes)


def _rate(timecodes: list[str]) -> float:
    """Return the rate that timecodes HH:MM:SS:FF.sss show: lines in each whole second, else the recorder's usual 60."""
    seconds = [code.rsplit(":", 1)[0] for code in timecodes]
    changes = [i for i in range(1, len(seconds)) if seconds[i] != seconds[i - 1]]
    counts = np.diff(changes)
    return float(np.median(counts)) if len(counts) else CSV_FPS


def write(sequence: Sequence, path: str | os.PathLike[str]) -> None:
    """Write the expressions of an ARKit sequence as LAM's JSON, all of `ARKIT_52` and one frame per line, atomically.

    Raises:
        FormatError: The sequence is not in ARKit weights, or something other than expressions moves in it.
    """
    if not sequence.basis.startswith("arkit"):
        raise FormatError(f"{path}: the sequence is in '{sequence.basis}' coefficients; this file holds ARKit weights")
    moving = [name for name in ("rotation", "neck", "jaw", "eyes", "eyelids", "translation")
              if getattr(sequence, name).any()] + [name for name in ("joints", "drivers") if getattr(sequence, name)]
    if moving:
        raise FormatError(f"{path}: an ARKit track has no place for {', '.join(moving)}; write our own sequence")
    names = sequence.expr_names or ARKIT_52[:sequence.expr.shape[1]]
    weights = np.zeros((len(sequence), len(ARKIT_52)))
    weights[:, [ARKIT_52.index(name) for name in names]] = sequence.expr
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{\n"names": {dump_line(list(ARKIT_52))},\n"metadata": {dump_line({"fps": sequence.fps})},\n'
                   '"frames": [\n')
        file.write(",\n".join(dump_line({"weights": row}) for row in weights.tolist()) + "\n]\n}\n")


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is an ARKit track, JSON or CSV."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"{"):
        return b'"names"' in text and any(f'"{name}"'.encode() in text for name in ARKIT_52)
    first = text.split(b"\n", 1)[0].lower()
    return first.count(b",") > 2 and b"jawopen" in first and b"\0" not in first
