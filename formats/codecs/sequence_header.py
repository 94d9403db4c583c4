"""What the two sequence files say before their frames; the same keys in both. Field by field in `formats/SPEC.md`."""

import math
from typing import Any

import numpy as np

from formats.codecs.json_file import Fields, check_version
from formats.errors import FormatError
from formats.sequence import Sequence

FORMAT = "flameport.sequence"
VERSION = 1
WIDTHS = {"rotation": 3, "neck": 3, "jaw": 3, "eyes": 6, "eyelids": 2, "translation": 3}
CAMERA_SHAPES = {"K": (3, 3), "world_to_camera": (4, 4), "size": (2,)}
FRAME_LIMIT = 1 << 21
"""23 hours at 25 frames per second."""
EMPTY_LIMIT = 1 << 26
"""Numbers that a file may leave out as zero: what it can make a reader allocate without holding it."""


def header_of(sequence: Sequence) -> dict[str, Any]:
    """Return the header of `sequence`, in the order it is written, without the identity."""
    header: dict[str, Any] = {
        "format": f"{FORMAT}/{VERSION}", "basis": sequence.basis, "fps": _short(sequence.fps),
        "frame_count": len(sequence), "expr_count": sequence.expr.shape[1]}
    if sequence.edition:
        header["edition"] = sequence.edition
    if sequence.expr_names:
        header["expr_names"] = list(sequence.expr_names)
    if sequence.ranges:
        header["ranges"] = {name: list(ends) for name, ends in sequence.ranges.items()}
    if sequence.joints:
        header["joints"] = list(sequence.joints)
    if sequence.drivers:
        header["drivers"] = {name: value.shape[1] for name, value in sequence.drivers.items()}
    return header


def _short(fps: float) -> float | int:
    return int(fps) if fps == int(fps) else fps


def check_header(fields: Fields) -> dict[str, Any]:
    """Return what a header gives to `Sequence`: basis, fps, edition, expr_names, ranges.

    Raises:
        FormatError: A field has the wrong type or an impossible value.
        UnsupportedFeature: Another major version wrote it.
    """
    check_version(fields, "format", FORMAT, VERSION)
    fps = fields.number("fps")
    if not (math.isfinite(fps) and 0 < fps <= 1000):
        raise FormatError(f"{fields.where}: 'fps': expected a rate in 0..1000, got {fps}")
    ranges = fields.fields("ranges")
    spans = {}
    for name in ranges.values:
        ends = ranges.items(name)
        if len(ends) != 2 or any(type(end) is not int for end in ends):
            raise FormatError(f"{ranges.where}: '{name}': expected [first frame, one past the last frame]")
        spans[name] = (ends[0], ends[1])
    return {"basis": fields.text("basis"), "fps": fps, "edition": fields.text("edition", ""),
            "expr_names": fields.texts("expr_names", ()), "ranges": spans}


def is_zero(value: np.ndarray) -> bool:
    """Tell whether every float is +0 to the bit, so that leaving it out loses nothing."""
    return not value.view(np.uint32).any()
