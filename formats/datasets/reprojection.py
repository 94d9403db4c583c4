"""How far the tracked head lands from what trackers saw in the pictures: the one test that catches a wrong axis.

A sample of frames is posed with `formats.deform.deform_head`, FLAME's static landmarks and its eyes are projected with
the frames' cameras, and compared with `Frames.points2d`. The jaw's outline is left out: it is another line on the head in
every view. The usual mistakes are then undone one by one: where one of them explains the points far better, it is named,
also when the error alone would pass (a transposed rotation only mirrors the pitch of a frontal camera).
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from formats.avatar import check_driver
from formats.datasets.frames import Frames
from formats.datasets.mistakes import MISTAKES
from formats.datasets.witness import Evidence, distances, gather, median_share, project
from formats.errors import FormatError
from formats.head_model import HeadModel

LIMIT = 0.015
"""Of the picture's width: 7.7 pixels of 512. Trackers leave 1 to 3, a flipped axis or a wrong scale tens."""
SHIFTS = (-1, 1)
BETTER = 3
"""Times that a mistake undone must fit better before it is named."""
SHAPE_BETTER = 1.25
"""Times that the mean head must fit better than the person's: another person's shape fits 1.4 times worse on average."""
MOVING = 0.001
"""Of the width: what stands stiller than this cannot show that frames are paired wrongly."""


@dataclass(frozen=True)
class PointError:
    """How far one kind of point is off, pixels of the picture."""

    kind: str
    """`landmarks`, `eyes` or `irises`."""
    frames: int
    """How many were compared."""
    mean: float
    median: float
    """Over frames, of the mean distance in a frame; what the limit is for."""
    worst: float
    worst_frame: str
    """Its label."""
    share: float
    """`median` as a share of the picture's width."""
    shift: int = 0
    """Not zero when the points fit the motion of so many frames later at least twice as well."""


@dataclass(frozen=True)
class ReprojectionReport:
    """What `reprojection` found; as text, one line for people."""

    errors: tuple[PointError, ...]
    """One per kind of point; empty when there was nothing to compare."""
    limit: float
    """Share of the width."""
    note: str = ""
    """Why there was nothing to compare."""
    cause: str = ""
    """What is likely wrong; empty when everything fits."""

    @property
    def fits(self) -> bool:
        """Whether every kind is within the limit, and no usual mistake explains it better."""
        return not self.cause

    def __str__(self) -> str:
        if not self.errors:
            return f"reprojection not checked: {self.note}"
        return "; ".join(f"{e.kind} {e.median:.1f} px ({100 * e.share:.2f} % of the width; mean {e.mean:.1f}, worst "
                         f"{e.worst:.1f} in frame {e.worst_frame}; {e.frames} frames)" for e in self.errors)


@np.errstate(over="ignore", invalid="ignore")  # points as far away as a file can say are far, not a surprise
def reprojection(frames: Frames, head: HeadModel, limit: float = LIMIT) -> ReprojectionReport:
    """Return how far the head's points land from the seen ones.

    Args:
        frames: One split of a tracked video.
        head: As read from its file, with identity directions; the frames' shape is put in here.
        limit: Share of the picture's width that `fits` allows.

    Raises:
        CheckpointMismatch: The frames were tracked with another head.
        FormatError: Their shape has more coefficients than the head.
    """
    check_driver(head, frames.sequence)
    evidence, note = gather(frames, head)
    if not evidence:
        return ReprojectionReport((), limit, note)
    errors = tuple(_error(one, frames.labels) for one in evidence)
    return ReprojectionReport(errors, limit, cause=_cause(frames, head, evidence, errors, limit))


def check_reprojection(frames: Frames, head: HeadModel, limit: float = LIMIT) -> ReprojectionReport:
    """Return the report of `reprojection`, or raise when it breaks the limit.

    Raises:
        FormatError: Points are further off than `limit`, or belong to neighbouring frames; the message names the
            likeliest cause.
    """
    report = reprojection(frames, head, limit)
    if report.fits:
        return report
    worst = max(report.errors, key=lambda error: (error.share, abs(error.shift)))
    limits = f", more than {100 * limit:g} %"
    found = (f"land {worst.median:.1f} px ({100 * worst.share:.2f} % of the width{'' if worst.share <= limit else limits}) from "
             f"where they were seen, the median of {worst.frames} frames" if np.isfinite(worst.median)
             else "lie behind the camera")
    raise FormatError(f"{frames.images[0].parent}: '{frames.name}' {frames.split}: {worst.kind} {found}; worst in frame "
                      f"{worst.worst_frame}: {report.cause}")


def _error(one: Evidence, labels: tuple[str, ...]) -> PointError:
    points = project(one.world, one.k, one.world_to_camera)
    own = distances(one, points)
    known = np.flatnonzero(np.isfinite(own) | np.isinf(own))
    values = own[known]
    worst = int(np.argmax(values))
    shift = 0
    for step in SHIFTS:
        moved = distances(one, points, step)
        both = np.isfinite(own) & np.isfinite(moved)
        if both.sum() >= 5 and own[both].mean() > max(2 * moved[both].mean(), MOVING * one.size[0, 0]):
            shift = step
    return PointError(one.kind, len(known), float(values.mean()), float(np.median(values)), float(values[worst]),
                      labels[int(one.picks[known[worst]])], float(np.median(values / one.size[known, 0])), shift)


def _cause(frames: Frames, head: HeadModel, evidence: list[Evidence], errors: tuple[PointError, ...],
           limit: float) -> str:
    """Return what is likely wrong, empty when nothing seems to be."""
    now = max(error.share for error in errors)
    if any(error.shift for error in errors):
        return ("pictures and parameters are paired one frame off: the points fit a neighbour's motion better; renumber one "
                "of them (trackers that count from 0 beside pictures that count from 1)")
    if now > limit / 2:
        best, text = min((max(median_share(one, *change(one)) for one in evidence), text) for text, change in MISTAKES)
        if best < min(now / BETTER, limit):
            return f"it would be {100 * best:.2f} % {text}"
    for error in errors:
        if error.kind == "landmarks" and error.share > limit / 5 and frames.sequence.shape is not None:
            anybody = dataclasses.replace(frames, sequence=dataclasses.replace(frames.sequence, shape=None))
            mean = [one for one in gather(anybody, head)[0] if one.kind == error.kind]
            share = median_share(mean[0], mean[0].world, mean[0].k, mean[0].world_to_camera)
            if share * SHAPE_BETTER < error.share:
                return (f"the mean head fits better ({100 * share:.2f} %) than the data's shape: it is another person's, or "
                        "for another head file")
    if now <= limit:
        return ""
    return ("likely causes: another layout than the one named (camera axes, scale), pictures cropped or resized after "
            "tracking, another person's shape, or another FLAME edition than the head's")
