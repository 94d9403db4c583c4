"""How far the tracked head lands from what trackers saw in the pictures: the one test that catches a wrong axis.

A sample of frames is posed with `formats.deform.deform_head`, FLAME's static landmarks and its eyes are projected with
the frames' cameras, and compared with `Frames.points2d`. The jaw's outline is left out: it is another line on the head in
every view. The usual mistakes are then undone one by one: where one of them explains the points far better, it is named,
also when the error alone would pass (a transposed rotation only mirrors the pitch of a frontal camera).
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from formats.avatar import check_driver
from formats.conventions import CV_FROM_GL
from formats.datasets.frames import Frames
from formats.deform import PosedHead, deform_head
from formats.errors import FormatError
from formats.head_model import HeadModel

LIMIT = 0.015
"""Of the picture's width: 7.7 pixels of 512. Trackers leave 1 to 3, a flipped axis or a wrong scale tens."""
SAMPLE = 30
"""Frames that are posed at most, spread evenly."""
STATIC = 51
"""FLAME's landmarks that stay on one place of the skin: iBUG's 68 without the 17 of the jaw."""
LIDS = (slice(25, 31), slice(19, 25))
"""Of the left and the right eye in the static landmarks."""
EYES = ("left_eye", "right_eye")
EYE_RADIUS = 0.012
"""Metres, of a person's eyeball."""
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


@dataclass(frozen=True, eq=False)
class _Evidence:
    """Posed points of one kind and their cameras, for the frames `picks`."""

    kind: str
    picks: Float64[np.ndarray, " n"]
    world: Float64[np.ndarray, "n L 3"]
    seen: Float64[np.ndarray, "T L 2"]
    k: Float64[np.ndarray, "n 3 3"]
    world_to_camera: Float64[np.ndarray, "n 4 4"]
    size: Float64[np.ndarray, "n 2"]
    crossed: Float64[np.ndarray, "n L 3"]
    """`world` with each eye looking where the other should."""


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
    evidence, note = _gather(frames, head)
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


def project(points: Float64[np.ndarray, "n L 3"], k: Float64[np.ndarray, "n 3 3"],
            world_to_camera: Float64[np.ndarray, "n 4 4"]) -> Float64[np.ndarray, "n L 2"]:
    """Return pixels of world points; infinity for what is behind the camera."""
    view = np.einsum("nab,nlb->nla", world_to_camera[:, :3, :3], points) + world_to_camera[:, None, :3, 3]
    plane = np.einsum("nab,nlb->nla", k, view)
    ahead = view[..., 2:] > 1e-6
    return np.where(ahead, plane[..., :2] / np.where(ahead, plane[..., 2:], 1), np.inf)


# --- What is compared -------------------------------------------------------------------------------------------------


def _gather(frames: Frames, head: HeadModel) -> tuple[list[_Evidence], str]:
    points = {kind: _static(kind, seen) for kind, seen in frames.points2d.items()
              if kind in ("landmarks", "eyes", "irises") and np.isfinite(seen).any()}
    if not points:
        return [], "the data holds no landmarks, irises or eyes to compare with"
    if "static_lmk_faces_idx" not in head.landmarks:
        points.pop("landmarks", None)
    if not set(EYES) <= set(head.joint_roles):
        points.pop("irises", None)
        points.pop("eyes", None)
    if not points:
        return [], "the head has no landmark embedding; pass one with its FLAME files to have cameras checked"
    usable = np.flatnonzero(sum(_whole(seen).sum(axis=1) for seen in points.values()))
    if not len(usable):
        return [], "no point was seen whole"
    picks = np.unique(usable[np.linspace(0, len(usable) - 1, min(SAMPLE, len(usable))).round().astype(int)])
    person = head.personalise(frames.sequence.shape)
    posed = [deform_head(person, frames.sequence.take([int(i)])) for i in picks]
    cameras = [frames.camera(int(i)) for i in picks]
    views = (np.stack([camera.K for camera in cameras]), np.stack([camera.world_to_camera for camera in cameras]),
             np.array([[camera.width, camera.height] for camera in cameras], np.float64))
    place: dict[str, Callable[[PosedHead], np.ndarray]] = {
        "landmarks": lambda pose: _landmarks(person, pose), "irises": lambda pose: _irises(person, pose),
        "eyes": lambda pose: _eyes(person, pose)}
    evidence = []
    for kind, seen in points.items():
        world = np.stack([place[kind](pose) for pose in posed])
        crossed = np.stack([_irises(person, pose, True) for pose in posed]) if kind == "irises" else world
        evidence.append(_Evidence(kind, picks, world, seen, *views, crossed))
    return evidence, ""


def _static(kind: str, seen: np.ndarray) -> np.ndarray:
    return seen[:, -STATIC:] if kind == "landmarks" else seen


def _landmarks(head: HeadModel, posed: PosedHead) -> Float64[np.ndarray, "51 3"]:
    faces = head.faces[head.landmarks["static_lmk_faces_idx"].reshape(-1)[:STATIC]]
    weights = head.landmarks["static_lmk_bary_coords"].reshape(-1, 3)[:STATIC].astype(np.float64)
    return np.einsum("lc,lcx->lx", weights, posed.vertices[faces])


def _eyes(head: HeadModel, posed: PosedHead) -> Float64[np.ndarray, "2 3"]:
    """Return the middles of the left and the right eye's lids; without landmarks, of the eyes looking straight ahead."""
    if "static_lmk_faces_idx" in head.landmarks:
        marks = _landmarks(head, posed)
        return np.stack([marks[lids].mean(axis=0) for lids in LIDS])
    parents = [int(head.parents[head.joint_roles[role]]) for role in EYES]
    return _eyeballs(head, posed, [max(parent, 0) for parent in parents])


def _irises(head: HeadModel, posed: PosedHead, crossed: bool = False) -> Float64[np.ndarray, "2 3"]:
    """Return the left and the right iris; `crossed` lets each eye look where the other should (they share a parent)."""
    joints = [head.joint_roles[role] for role in EYES]
    return _eyeballs(head, posed, joints[::-1] if crossed else joints)


def _eyeballs(head: HeadModel, posed: PosedHead, turned: list[int]) -> Float64[np.ndarray, "2 3"]:
    """Return the points of the left and the right eyeball that lie ahead by the rotation of the joints `turned`."""
    rest, motion = head.rest_joints()
    rest = rest + motion @ posed.expr
    points = []
    for role, joint in zip(EYES, turned, strict=True):
        own = posed.joint_transforms[head.joint_roles[role]]
        centre = own[:3, :3] @ rest[head.joint_roles[role]] + own[:3, 3]
        # Rest axes are FLAME's: the face looks along +z.
        points.append(centre + EYE_RADIUS * posed.joint_transforms[joint][:3, 2])
    return np.stack(points)


# --- How far off ------------------------------------------------------------------------------------------------------


def _distances(one: _Evidence, points: np.ndarray, shift: int = 0) -> Float64[np.ndarray, " n"]:
    """Return each sampled frame's mean distance to what was seen `shift` frames before; NaN where nothing was."""
    at = one.picks.astype(int) - shift
    valid = (at >= 0) & (at < len(one.seen))
    seen = np.where(valid[:, None, None], one.seen[np.where(valid, at, 0)], np.nan)
    whole = _whole(seen)
    distance = np.linalg.norm(np.where(whole[..., None], points - np.where(whole[..., None], seen, 0), 0), axis=2)
    count = whole.sum(axis=1)
    return np.where(count > 0, distance.sum(axis=1) / np.maximum(count, 1), np.nan)


def _whole(seen: np.ndarray) -> Bool[np.ndarray, "T L"]:
    return np.all(np.asarray(np.isfinite(seen)), axis=2)


def _error(one: _Evidence, labels: tuple[str, ...]) -> PointError:
    points = project(one.world, one.k, one.world_to_camera)
    own = _distances(one, points)
    known = np.flatnonzero(np.isfinite(own) | np.isinf(own))
    values = own[known]
    worst = int(np.argmax(values))
    shift = 0
    for step in SHIFTS:
        moved = _distances(one, points, step)
        both = np.isfinite(own) & np.isfinite(moved)
        if both.sum() >= 5 and own[both].mean() > max(2 * moved[both].mean(), MOVING * one.size[0, 0]):
            shift = step
    return PointError(one.kind, len(known), float(values.mean()), float(np.median(values)), float(values[worst]),
                      labels[int(one.picks[known[worst]])], float(np.median(values / one.size[known, 0])), shift)


# --- Why --------------------------------------------------------------------------------------------------------------


def _cause(frames: Frames, head: HeadModel, evidence: list[_Evidence], errors: tuple[PointError, ...],
           limit: float) -> str:
    """Return what is likely wrong, empty when nothing seems to be."""
    now = max(error.share for error in errors)
    if any(error.shift for error in errors):
        return ("pictures and parameters are paired one frame off: the points fit a neighbour's motion better; renumber one "
                "of them (trackers that count from 0 beside pictures that count from 1)")
    if now > limit / 2:
        best, text = min((max(_share(one, *change(one)) for one in evidence), text) for text, change in _MISTAKES)
        if best < min(now / BETTER, limit):
            return f"it would be {100 * best:.2f} % {text}"
    for error in errors:
        if error.kind == "landmarks" and error.share > limit / 5 and frames.sequence.shape is not None:
            anybody = dataclasses.replace(frames, sequence=dataclasses.replace(frames.sequence, shape=None))
            mean = [one for one in _gather(anybody, head)[0] if one.kind == error.kind]
            share = _share(mean[0], mean[0].world, mean[0].k, mean[0].world_to_camera)
            if share * SHAPE_BETTER < error.share:
                return (f"the mean head fits better ({100 * share:.2f} %) than the data's shape: it is another person's, or "
                        "for another head file")
    if now <= limit:
        return ""
    return ("likely causes: another layout than the one named (camera axes, scale), pictures cropped or resized after "
            "tracking, another person's shape, or another FLAME edition than the head's")


def _share(one: _Evidence, world: np.ndarray, k: np.ndarray, world_to_camera: np.ndarray) -> float:
    distance = _distances(one, project(world, k, world_to_camera)) / one.size[:, 0]
    distance = distance[~np.isnan(distance)]
    return float(np.median(distance))


_Change = Callable[[_Evidence], tuple[np.ndarray, np.ndarray, np.ndarray]]


def _turned(one: _Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.world, one.k, CV_FROM_GL @ one.world_to_camera


def _turned_world(one: _Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.world, one.k, one.world_to_camera @ CV_FROM_GL


def _transposed(one: _Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrix = one.world_to_camera.copy()
    matrix[:, :3, :3] = matrix[:, :3, :3].swapaxes(1, 2)
    return one.world, one.k, matrix


def _inverted(one: _Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.world, one.k, np.linalg.inv(one.world_to_camera)


def _nearer(factor: float) -> _Change:
    def change(one: _Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        matrix = one.world_to_camera.copy()
        matrix[:, :3, 3] *= factor
        return one.world, one.k, matrix

    return change


def _flipped_centre(one: _Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    k = one.k.copy()
    k[:, 1, 2] = one.size[:, 1] - k[:, 1, 2]
    return one.world, k, one.world_to_camera


def _other_eyes(one: _Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.world if one.kind == "landmarks" else one.world[:, ::-1], one.k, one.world_to_camera


def _other_gaze(one: _Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return one.crossed, one.k, one.world_to_camera


_MISTAKES: tuple[tuple[str, _Change], ...] = (
    ("with the camera's y and z axes turned: the data mixes OpenGL's and OpenCV's cameras", _turned),
    ("with the world's y and z axes turned: the data mixes OpenGL's and OpenCV's axes", _turned_world),
    ("with the camera's rotation transposed", _transposed),
    ("with the camera's matrix inverted: camera-to-world and world-to-camera are mixed up", _inverted),
    ("with the camera four times nearer: its positions are in units of a quarter of a metre", _nearer(0.25)),
    ("with the camera four times further away: its positions were divided by 4 twice", _nearer(4.0)),
    ("with cy counted from the other side: the principal point is flipped", _flipped_centre),
    ("with the points of left and right eye exchanged", _other_eyes),
    ("with the rotations of left and right eye exchanged", _other_gaze),
)
"""What undoing a mistake would do to points and cameras."""
