"""Mattes that a layout holds in parts, multiplied once and kept beside the pictures."""

import logging
from collections.abc import Sequence as Series
from pathlib import Path

import numpy as np
from PIL import Image

from formats.codecs.json_file import Fields, read_json, write_json
from formats.errors import FormatError, MissingAsset
from formats.files import replacing

LOG = logging.getLogger(__name__)
RECORD = "made_of.json"


def products(parts: Series[tuple[Path, ...]], cache: Path) -> tuple[Path, ...]:
    """Return grey mattes, the product of what `parts` hold for each frame.

    They are written below `cache` as 8-bit PNGs under the first part's names, one after the other, and made again when a
    part has changed.

    Args:
        parts: One or more lists of T grey pictures.
        cache: A folder of ours.

    Raises:
        MissingAsset: A picture is not there, or the folder cannot be written.
        FormatError: One is no picture, or its size is another than the first's.
    """
    made = [cache / f"{row[0].stem}.png" for row in zip(*parts, strict=True)]
    signs = {path.stem: [[file.stat().st_size, file.stat().st_mtime_ns] for file in row]
             for path, row in zip(made, zip(*parts, strict=True), strict=True)}
    known = Fields(read_json(cache / RECORD), str(cache / RECORD)).values if (cache / RECORD).is_file() else {}
    stale = [i for i, path in enumerate(made) if known.get(path.stem) != signs[path.stem] or not path.is_file()]
    if stale:
        LOG.info("%s: writing %d mattes, once", cache, len(stale))
        for i in stale:
            rows = [_grey(files[i]) for files in parts]
            for row, files in zip(rows[1:], parts[1:], strict=True):
                if row.shape != rows[0].shape:
                    raise FormatError(f"{files[i]}: is {row.shape[1]} x {row.shape[0]} pixels, {parts[0][i]} "
                                      f"{rows[0].shape[1]} x {rows[0].shape[0]}; write them at one size")
            product = np.prod([row / 255.0 for row in rows], axis=0)
            with replacing(made[i]) as temporary:
                Image.fromarray(np.round(255 * product).astype(np.uint8)).save(temporary, format="PNG")
        write_json(dict(known) | signs, cache / RECORD)
    return tuple(made)


def _grey(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"), np.float64)
    except FileNotFoundError as error:
        raise MissingAsset(f"{path}: no such matte") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: not a picture that can be read: {error}") from error
