"""A clip at another frame rate."""

import dataclasses

import numpy as np

from formats.errors import FormatError
from formats.sequence import LINEAR_FIELDS, ROTATION_FIELDS, Sequence


def resample(sequence: Sequence, fps: float) -> Sequence:
    """Return `sequence` at `fps` frames per second over the same time; named ranges move to the nearest frames."""
    if not 0 < fps <= 1000:
        raise FormatError(f"fps: expected a rate in 0..1000, got {fps}")
    if fps == sequence.fps:
        return sequence
    count = int(np.floor(sequence.duration * fps + 1e-6)) + 1
    frames = [sequence.sample(i * sequence.fps / fps) for i in range(count)]

    def stack(pick) -> np.ndarray:  # noqa: ANN001 - a field of a frame
        return np.concatenate([pick(frame) for frame in frames])

    ranges = {}
    for name, (first, end) in sequence.ranges.items():
        start = min(round(first * fps / sequence.fps), count - 1)
        ranges[name] = (start, min(max(round(end * fps / sequence.fps), start + 1), count))
    return dataclasses.replace(
        sequence, fps=fps, ranges=ranges,
        **{name: stack(lambda f, n=name: getattr(f, n)) for name in (*LINEAR_FIELDS, *ROTATION_FIELDS)},
        **{group: {key: stack(lambda f, g=group, k=key: getattr(f, g)[k]) for key in getattr(sequence, group)}
           for group in ("joints", "drivers", "cameras")})
