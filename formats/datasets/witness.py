"""The points of a posed head that trackers see in pictures, beside where they saw them."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from formats.datasets.frames import Frames
from formats.deform import PosedHead, deform_head
from formats.head_model import HeadModel

SAMPLE = 30
"""Frames that are posed at most, spread evenly."""
STATIC = 51
"""FLAME's landmarks that stay on one place of the skin: iBUG's 68 without the 17 of the jaw."""
LIDS = (slice(25, 31), slice(19, 25))
"""Of the left and the right eye in the static landmarks."""
EYES = ("left_eye", "right_eye")
EYE_RADIUS = 0.012
"""Metres, of a person's eyeball."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Posed points of one kind with the cameras of n sampled frames, and the seen ones of all T."""

    kind: str
    picks: Int64[np.ndarray, " n"]
    """Indices of the sampled frames."""
    world: Float64[np.ndarray, "n L 3"]
    seen: Float64[np.ndarray, "T L 2"]
    k: Float64[np.ndarray, "n 3 3"]
    world_to_camera: Float64[np.ndarray, "n 4 4"]
    size: Float64[np.ndarray, "n 2"]
    crossed: Float64[np.ndarray, "n L 3"]
    """`world` with each eye looking where the other should."""


def gather(frames: Frames, head: HeadModel) -> tuple[list[Evidence], str]:
    """Return what can be compared, one per kind of point, or nothing and the reason."""
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
    person = _landmark_head(frames.personal(head))
    posed = [deform_head(person, frames.sequence.take([int(i)])) for i in picks]
    cameras = [frames.camera(int(i)) for i in picks]
    views = (np.stack([camera.K for camera in cameras]), np.stack([camera.world_to_camera for camera in cameras]),
             np.array([[camera.width, camera.height] for camera in cameras], np.float64))
    place: dict[str, Callable[[PosedHead], np.ndarray]] = {
        "landmarks": lambda pose: _landmarks(person, pose), "irises": lambda pose: _irises(person, pose),
        "eyes": lambda pose: _eyes(person, pose)}
    evidence = []
    for kind, seen in points.items():
        if not _whole(seen[picks]).any():
            continue
        world = np.stack([place[kind](pose) for pose in posed])
        crossed = np.stack([_irises(person, pose, True) for pose in posed]) if kind == "irises" else world
        evidence.append(Evidence(kind, picks, world, seen, *views, crossed))
    return evidence, ""


def _landmark_head(head: HeadModel) -> HeadModel:
    """Return the head with the vertices of its static landmarks alone, joints as they were: poses 50 times as fast."""
    names = [name for name in ("static_lmk_faces_idx", "static_lmk_bary_coords") if name in head.landmarks]
    rows = head.landmarks[names[0]].reshape(-1)[:STATIC] if names else np.zeros(1, int)
    ids, corners = np.unique(head.faces[rows], return_inverse=True)
    joints, motion = head.rest_joints()
    landmarks = {}
    if names:
        weights = head.landmarks[names[1]].reshape(-1, 3)[:STATIC]
        landmarks = dict(zip(names, (np.arange(len(rows)), weights), strict=True))
    return dataclasses.replace(
        head, v_template=head.v_template[ids], faces=corners.reshape(-1, 3), exprdirs=head.exprdirs[ids],
        lbs_weights=head.lbs_weights[ids], J_regressor=None, J_template=joints, J_exprdirs=motion,
        posedirs=None if head.posedirs is None else head.posedirs[ids],
        eyeliddirs=None if head.eyeliddirs is None else head.eyeliddirs[ids], uvs=None, uv_faces=None, regions={},
        landmarks=landmarks)


def _static(kind: str, seen: np.ndarray) -> np.ndarray:
    return seen[:, -STATIC:] if kind == "landmarks" else seen


def _landmarks(head: HeadModel, posed: PosedHead) -> Float64[np.ndarray, "51 3"]:
    faces = head.faces[head.landmarks["static_lmk_faces_idx"]]
    weights = head.landmarks["static_lmk_bary_coords"].astype(np.float64)
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


def project(points: Float64[np.ndarray, "n L 3"], k: Float64[np.ndarray, "n 3 3"],
            world_to_camera: Float64[np.ndarray, "n 4 4"]) -> Float64[np.ndarray, "n L 2"]:
    """Return pixels of world points; infinity for what is behind the camera."""
    view = np.einsum("nab,nlb->nla", world_to_camera[:, :3, :3], points) + world_to_camera[:, None, :3, 3]
    plane = np.einsum("nab,nlb->nla", k, view)
    ahead = view[..., 2:] > 1e-6
    return np.where(ahead, plane[..., :2] / np.where(ahead, plane[..., 2:], 1), np.inf)


def distances(one: Evidence, points: np.ndarray, shift: int = 0) -> Float64[np.ndarray, " n"]:
    """Return each sampled frame's mean distance to what was seen `shift` frames before; NaN where nothing was."""
    at = one.picks - shift
    valid = (at >= 0) & (at < len(one.seen))
    seen = np.where(valid[:, None, None], one.seen[np.where(valid, at, 0)], np.nan)
    whole = _whole(seen)
    distance = np.linalg.norm(np.where(whole[..., None], points - np.where(whole[..., None], seen, 0), 0), axis=2)
    count = whole.sum(axis=1)
    return np.where(count > 0, distance.sum(axis=1) / np.maximum(count, 1), np.nan)


def _whole(seen: np.ndarray) -> Bool[np.ndarray, "T L"]:
    return np.all(np.asarray(np.isfinite(seen)), axis=2)


def median_share(one: Evidence, world: np.ndarray, k: np.ndarray, world_to_camera: np.ndarray) -> float:
    """Return the median over frames of the mean distance, as a share of the width, with other points or cameras."""
    distance = distances(one, project(world, k, world_to_camera)) / one.size[:, 0]
    distance = distance[~np.isnan(distance)]
    return float(np.median(distance))
