"""Several videos of one person as one: clips end to end, in the order given."""

import dataclasses
from collections.abc import Sequence as Series

import numpy as np

from formats.datasets.frames import Frames
from formats.errors import FormatError
from formats.sequence import LINEAR_FIELDS, ROTATION_FIELDS, Sequence


def join_sequences(parts: Series[Sequence], where: str) -> Sequence:
    """Return clips end to end: frame rate and `shape` of the first one, no named ranges.

    Args:
        parts: One or more clips in one basis.
        where: They come from, for the message.

    Raises:
        FormatError: They differ in basis, or in how many coefficients, drivers or cameras they have.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts[1:]:
        for what, own, other in (("bases", first.basis, part.basis), ("expressions", first.expr.shape[1], part.expr.shape[1]),
                                 ("names of expressions", first.expr_names, part.expr_names),
                                 *((name, _widths(getattr(first, name)), _widths(getattr(part, name)))
                                   for name in ("joints", "drivers", "cameras"))):
            if own != other:
                raise FormatError(f"{where}: its videos differ in {what}: {own} and {other}; they were tracked differently: name "
                                  "one of them")
    each = {name: np.concatenate([getattr(part, name) for part in parts]) for name in (*ROTATION_FIELDS, *LINEAR_FIELDS)}
    many = {name: {key: np.concatenate([getattr(part, name)[key] for part in parts]) for key in getattr(first, name)}
            for name in ("joints", "drivers", "cameras")}
    return dataclasses.replace(first, **each, **many, ranges={})


def take_frames(frames: Frames, rows: Series[int]) -> Frames:
    """Return the frames at indices `rows`, in that order."""
    picked = list(rows)
    return Frames(frames.name, frames.split, frames.sequence.take(picked), tuple(frames.images[i] for i in picked),
                  tuple(frames.masks[i] for i in picked) if frames.masks else (), tuple(frames.labels[i] for i in picked),
                  {kind: value[picked] for kind, value in frames.points2d.items()})


def join_frames(parts: Series[Frames], name: str, where: str, prefixes: Series[str] = ()) -> Frames:
    """Return videos end to end, called `name`. A kind of point that some lack is unseen there.

    Args:
        parts: One or more videos of one split.
        name: Of the subject.
        where: They come from, for the message.
        prefixes: One per video, put before its frames' labels.

    Raises:
        FormatError: As `join_sequences`; or only some of them have masks.
    """
    if len({bool(part.masks) for part in parts}) > 1:
        bare = next(part for part in parts if not part.masks)
        raise FormatError(f"{where}: some of its videos have masks, {bare.images[0].parent} has none; write them for all")
    kinds = {kind: value.shape[1] for part in parts for kind, value in part.points2d.items()}
    points = {}
    for kind, count in kinds.items():
        rows = [part.points2d.get(kind, np.full((len(part), count, 2), np.nan)) for part in parts]
        if len({row.shape[1] for row in rows}) > 1:
            raise FormatError(f"{where}: its videos differ in how many {kind} they have: "
                              f"{', '.join(str(row.shape[1]) for row in rows)}")
        points[kind] = np.concatenate(rows)
    return Frames(name, parts[0].split, join_sequences([part.sequence for part in parts], where),
                  tuple(path for part in parts for path in part.images), tuple(path for part in parts for path in part.masks),
                  tuple(f"{before}_{label}" if before else label for part, before in zip(parts, prefixes or [""] * len(parts),
                                                                                     strict=True) for label in part.labels),
                  points)


def _widths(values: object) -> dict[str, tuple[int, ...]]:
    assert isinstance(values, dict) or hasattr(values, "items")
    return {key: value.shape[1:] for key, value in values.items()}  # type: ignore[attr-defined]
