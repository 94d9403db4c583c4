"""Proof for Unity assets of grade `small`: read back, posed and drawn; those of other grades are GLBs, and checked as such."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from exporter.capabilities import fit
from exporter.glb_losses import farthest, limit_losses
from exporter.targets.unity import SMALL_CAPABILITIES
from exporter.validate import METRES, PICTURE_DB, as_limited, clip_measure, picture_measures, posed_measures
from exporter.validation_report import Measure, ValidationReport
from formats.avatar import Avatar
from formats.codecs import unity_avatar
from formats.deform import rest_sequence
from formats.errors import CheckpointMismatch


def check(path: Path, avatar: Avatar, frames: int = 10, progress: Callable[[str], None] | None = None) -> ValidationReport:
    """Return how far a small Unity asset is from `avatar`.

    Args:
        path: What `export unity --grade small` wrote.
        avatar: The bundle it was made from.
        frames: How many frames of the clip to pose, spread over it.
        progress: Told what is going on.

    Raises:
        FormatError: It is damaged.
        CheckpointMismatch: It was made from another head, or holds other layers.
    """
    tell = progress or (lambda _: None)
    tell("reading back")
    back = unity_avatar.read(path)
    fitted = fit(avatar, SMALL_CAPABILITIES)
    if back.head.content_hash != avatar.head.content_hash or back.head.v_template.shape != avatar.head.v_template.shape:
        raise CheckpointMismatch(f"{path}: rides head {back.head.content_hash[:12]}, the bundle {avatar.head.content_hash[:12]}; "
                                 "validate it against the bundle it was made from")
    names = [layer.name for layer in back.layers]
    if names != [layer.name for layer in fitted.avatar.layers]:
        raise CheckpointMismatch(f"{path}: holds layers {', '.join(names) or 'none'}, the bundle would give "
                                 f"{', '.join(layer.name for layer in fitted.avatar.layers) or 'none'}")
    less = as_limited(fitted.avatar, back, path)
    sequence = back.sequence or rest_sequence(back.head)
    times = [float(t) for t in np.unique(np.linspace(0, len(sequence) - 1, max(frames, 1)).round())]
    tell("posing")
    bound = METRES["small"]
    measures = posed_measures(less, back, sequence, times, bound, judged=False)
    measures.append(Measure("posed points, random expressions and turns too", farthest(less, back) * 1e3, "mm", bound * 1e3))
    measures += picture_measures(less, back, sequence, times, PICTURE_DB["small"], tell)
    notes = []
    if back.sequence is not None:
        clip = clip_measure(less, back.sequence, bound)
        if clip is None:
            notes.append("the clip's keys: the bundle holds another clip, or none")
        else:
            measures.append(clip)
    limits = tuple(limit_losses(fitted.avatar, less))
    return ValidationReport("unity small", tuple(measures), (*fitted.losses, *limits), tuple(notes))
