"""What ARKit's weights mean for a head, as a JSON file that people make, share and correct.

    {"format": "flameport.arkit-map/1", "edition": "flame2020", "expressions": 100,
     "shapes": {"jawOpen": {"jaw": [0.35, 0, 0]}, "mouthSmileLeft": {"expr": [0.4, -1.2, ...]}, ...}}

Of each shape any of `expr`, `jaw`, `neck`, `eyes` (left, right; axis-angle) and `eyelids` (left, right); what is left out is 0.
"""

import os

import numpy as np
from jaxtyping import Float32

from formats.codecs.json_file import Fields, read_json, write_json
from formats.conventions import ARKIT_52
from formats.errors import CheckpointMismatch, FormatError
from formats.head_model import ARKIT_TAIL, HeadModel

FORMAT = "flameport.arkit-map/1"
WIDTHS = {"jaw": 3, "neck": 3, "eyes": 6, "eyelids": 2}


def read(path: str | os.PathLike[str], head: HeadModel) -> Float32[np.ndarray, "52 A"]:
    """Return the map in a file, for `head`, as `HeadModel.arkit_map` holds it.

    Raises:
        FormatError: It is no such file, names what is no ARKit shape, or has too many numbers.
        CheckpointMismatch: It is for another edition's coefficients.
    """
    fields = Fields(read_json(path), str(path))
    fields.choice("format", (FORMAT,))
    edition, count = fields.text("edition"), len(head.expr_names)
    if edition != head.edition:
        raise CheckpointMismatch(f"{path}: maps to '{edition}' coefficients, the head is '{head.edition}'; make a map for it")
    shapes = fields.fields("shapes")
    table = np.zeros((len(ARKIT_52), count + ARKIT_TAIL), np.float32)
    for name in shapes.values:
        if name not in ARKIT_52:
            raise FormatError(f"{path}: '{name}' is not one of ARKit's 52 shapes; they are spelled like jawOpen, eyeBlinkLeft")
        row, at = shapes.fields(name), count
        parts = {"expr": (0, count)}
        for part, width in WIDTHS.items():
            parts[part], at = (at, width), at + width
        for part, (first, width) in parts.items():
            if not row.has(part):
                continue
            values = row.numbers(part)
            fits = values.ndim == 1 and (len(values) == width or part == "expr" and len(values) <= width)
            if not fits:
                raise FormatError(f"{row.where}: '{part}': expected {'up to ' * (part == 'expr')}{width} numbers, got "
                                  f"{list(values.shape)}")
            if np.abs(values).max(initial=0) > np.finfo(np.float32).max:
                raise FormatError(f"{row.where}: '{part}': a number is too large")
            table[ARKIT_52.index(name), first:first + len(values)] = values
        row.note(*parts)
        row.warn_unknown()
    return table


def write(table: Float32[np.ndarray, "52 A"], head: HeadModel, path: str | os.PathLike[str]) -> None:
    """Write a map of `head`, atomically; numbers of 0 are left out where all of a part are."""
    count, shapes = len(head.expr_names), {}
    for name, row in zip(ARKIT_52, np.asarray(table, np.float64), strict=True):
        parts = {"expr": row[:count]} | dict(zip(WIDTHS, np.split(row[count:], np.cumsum(list(WIDTHS.values()))[:-1]),
                                                  strict=True))
        shapes[name] = {part: [round(float(v), 6) for v in values] for part, values in parts.items() if values.any()}
    write_json({"format": FORMAT, "edition": head.edition, "expressions": count, "shapes": shapes}, path)
