"""Proof for LAM zips: read back with the importer of LAM's own files, posed by ARKit's weights and by its clips, and drawn."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exporter import lam_glb, lam_model, stills
from exporter.capabilities import fit
from exporter.lam_model import LamModel
from exporter.targets import lam as target
from exporter.validation_report import Measure, ValidationReport, decibels, largest_distance
from formats.avatar import Avatar
from formats.deform import PosedSplats, deform, deform_head
from formats.errors import CheckpointMismatch
from formats.gaussians import GaussianCloud
from formats.importers import lam
from formats.sequence import Sequence

METRES = 1e-5
RELATIVE = 1e-4
CLIP_METRES = 5e-5
"""The clips' keys are 32-bit floats a metre and more from the origin, and are resampled to 30 a second when read back."""
PICTURE_DB = 60.0


def check(path: Path, avatar: Avatar, frames: int = 10, progress: Callable[[str], None] | None = None) -> ValidationReport:
    """Return how far a LAM zip is from `avatar`.

    Args:
        path: What `export lam` wrote.
        avatar: The bundle it was made from.
        frames: How many frames of each clip to pose, spread over it.
        progress: Told what is going on.

    Raises:
        FormatError: It is damaged.
        CheckpointMismatch: It was made from another avatar.
        UnsupportedFeature: The avatar cannot be a LAM zip.
    """
    tell, fitted = progress or (lambda _: None), fit(avatar, target.CAPABILITIES)
    tell("reading back")
    back = lam.read(Path(path))
    model = lam_model.model_of(fitted.avatar)
    wanted = model.avatar()
    if back.head.v_template.shape != wanted.head.v_template.shape or back.head.expr_names != model.target_names:
        raise CheckpointMismatch(f"{path}: {len(back.head.v_template)} points with {len(back.head.expr_names)} targets, the "
                                 f"bundle gives {len(model.positions)} with {len(model.target_names)}; was it made from this "
                                 "bundle?")
    off = largest_distance(back.head.v_template, wanted.head.v_template)
    measures = [Measure("points at rest", 1e3 * off, "mm", 1e3 * METRES),
                Measure("targets", 1e3 * float(np.abs(back.head.exprdirs - model.targets).max(initial=0)), "mm", 1e3 * METRES)]
    tell("posing")
    clouds = []
    for one, other in zip(lam_model.faces(wanted.head), lam_model.faces(back.head), strict=True):
        clouds.append(tuple(_cloud(each, frame) for each, frame in ((wanted, one), (back, other))))
    measures += _cloud_measures(clouds)
    if model.sequence is not None and back.sequence is not None:
        measures.append(Measure("clips, on the points", 1e3 * _clip_error(wanted, model, back, frames), "mm", 1e3 * CLIP_METRES))
    tell("drawing")
    truth = list(lam_model.faces_of_both(fitted.avatar, model))
    moved = model.moved.astype(np.float32)
    drawn = [0, 1, len(clouds) - 1]
    whole = [stills.picture_psnr(avatar, truth[i][0], _shifted(clouds[i][1], -moved)) for i in drawn]
    worst = min(stills.picture_psnr(avatar, *(_shifted(cloud, -moved) for cloud in clouds[i])) for i in drawn[:2])
    measures += [Measure("picture", decibels(worst), "dB", PICTURE_DB, at_least=True),
                 Measure("picture at rest, against the avatar itself", decibels(whole[0]), "dB"),
                 Measure(f"picture at {len(whole)} faces, against the avatar itself", decibels(min(whole)), "dB")]
    kind = "lam" if lam_model.why_not(fitted.avatar) is None else "lam, converted"
    return ValidationReport(kind, tuple(measures), (*fitted.losses, *target.losses(avatar, target.Options())),
                            ("played live: needs Chromium and npm's renderer, scripts/compare_lam.py does it",))


def _cloud(avatar: Avatar, frame: Sequence) -> GaussianCloud:
    layer = deform(avatar, frame).layers[0]
    assert isinstance(layer, PosedSplats)
    return layer.cloud


def _shifted(cloud: GaussianCloud, by: np.ndarray) -> GaussianCloud:
    return GaussianCloud(cloud.means + by, cloud.quats, cloud.scales, cloud.opacities, cloud.sh)


def _cloud_measures(clouds: list[tuple[GaussianCloud, ...]]) -> list[Measure]:
    """Return the largest differences of Gaussians in metres, relative and absolute, over pairs of clouds."""
    means = max(largest_distance(a.means, b.means) for a, b in clouds)
    sizes = max(float((np.abs(b.scales.astype(np.float64) - a.scales) / np.maximum(a.scales, 1e-6)).max(initial=0))
                for a, b in clouds)
    # What our reader makes of the points' one-rings is not in the file, and nor is how an import was read.
    a, b = (cloud.quats.astype(np.float64) for cloud in clouds[0])
    apart = np.minimum(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    turn = float(2 * apart.max(initial=0))
    opacity = max(float(np.abs(a.opacities - b.opacities).max(initial=0)) for a, b in clouds)
    color = max(float(np.abs(a.sh - b.sh).max(initial=0)) for a, b in clouds)
    return [Measure("Gaussian means at a few faces", 1e3 * means, "mm", 1e3 * METRES),
            Measure("Gaussian rotations at rest", turn, "rad", RELATIVE),
            Measure("Gaussian scales", sizes, "relative", RELATIVE),
            Measure("Gaussian opacities", opacity, "", RELATIVE), Measure("Gaussian colours", color, "", RELATIVE)]


def _clip_error(wanted: Avatar, model: LamModel, back: Avatar, frames: int) -> float:
    """Return how far points are off in the clips' frames, metres."""
    assert model.sequence is not None and back.sequence is not None
    largest = 0.0
    for name, first, end in lam_glb.slots(model.sequence):
        start, stop = back.sequence.ranges[name]
        for i in np.unique(np.linspace(0, stop - start - 1, max(frames, 1)).round().astype(int)):
            t = min(first + i * model.sequence.fps / back.sequence.fps, end - 1.0)
            here = deform_head(wanted.head, _bones_only(model.sequence.sample(t)))
            there = deform_head(back.head, back.sequence.sample(float(start + i)))
            largest = max(largest, largest_distance(here.vertices, there.vertices))
    return largest


def _bones_only(frame: Sequence) -> Sequence:
    """Return a frame without expressions, which clips of bones have no place for."""
    return dataclasses.replace(frame, expr=0 * frame.expr)
