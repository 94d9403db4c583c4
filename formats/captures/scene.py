"""The film: who stands before the camera, what happens, and how each moment looks. Drawn by `formats.render`."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float64, UInt8

from formats.camera import Camera
from formats.captures.action import act
from formats.captures.landmarks import landmarks, on_picture
from formats.captures.regions import face_labels, sealed_faces
from formats.captures.rig import RIGS, filmed
from formats.captures.shots import LABELS, Film, Shot, Take
from formats.captures.subject import Subject, settled, subject
from formats.captures.tracking import FORMS, Tracked, track
from formats.deform import PosedHead, deform_head, deform_splats
from formats.errors import UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.rasterize import nearest_triangles
from formats.render import intrinsics_of, project, splat_pass, to_camera
from formats.rotations import matrix_to_quat, quat_multiply
from formats.sequence import Sequence
from formats.standin.clip import FPS
from formats.standin.head import standin_head

LEAST_FRAMES, LEAST_SIZE, MOST_SIZE = 20, 32, 4096
NEAR = 0.2
"""Metres."""
WALL, WALL_LOW, WALL_GLOW = (0.73, 0.74, 0.75), (0.60, 0.60, 0.62), (0.05, 0.045, 0.035)
"""Display sRGB of the room: above, below, and around the lamp."""


def film(frames: int, size: int, seed: int, layout: str) -> Film:
    """Return a film of the stand-in; the same arguments give the same bytes, whatever is drawn first.

    Args:
        frames: Of the talking take at 25 per second; its last 15 % are held out, and so are a few moments more from each
            of two further camera angles. Where the layout has a rig of cameras (`rig.RIGS`), these are two of the rig's,
            and `frames` counts moments, each seen by all.
        size: Pixels of the square pictures.
        seed: Who: 0, 1 and 2 are three different people, and so is any other number.
        layout: A key of `tracking.FORMS`: which coefficients and cameras the tracker's result is in.

    Raises:
        UnsupportedFeature: An unknown layout, or too few frames or pixels to make a video.
    """
    if layout not in FORMS:
        raise UnsupportedFeature(f"film: unknown layout '{layout}'; expected one of {', '.join(FORMS)}")
    if frames < LEAST_FRAMES:
        raise UnsupportedFeature(f"film: {frames} frames cannot show every kind of motion; ask for {LEAST_FRAMES} or more")
    if not LEAST_SIZE <= size <= MOST_SIZE:
        raise UnsupportedFeature(f"film: pictures of {size} pixels; expected {LEAST_SIZE}..{MOST_SIZE}")
    who, rig = subject(seed, FORMS[layout].identity), RIGS.get(layout)
    action = act(frames, seed, rig.held(frames), False) if rig else act(frames, seed)
    head = standin_head("open-mouth")
    tracked = track(action, head, who.shape, layout, size, seed)
    moments, cameras = np.arange(len(action)), {"train": (), "test": ()}
    if rig:
        tracked, moments = filmed(tracked, rig, action.training, size)
        cameras = {"train": rig.train, "test": tuple(stand.serial for stand in rig.stands)}
    person = settled(head.personalise(who.shape))
    stage = _Stage(who, tracked, moments, person, face_labels(who.avatar.head), sealed_faces(head),
                   functools.lru_cache(maxsize=4)(partial(_pose, who, person, tracked, moments)))
    cut = int(np.searchsorted(moments, action.training))
    takes = tuple(
        Take(split, tracked.found.take(np.arange(first, end)), tuple(action.labels[t] for t in moments[first:end]),
             partial(_shot_after, stage, first), cameras[split])
        for split, first, end in (("train", 0, cut), ("test", cut, len(moments))))
    return Film(f"standin{seed}", seed, head, takes, FPS, rig.unseen if rig else ())


@dataclass(frozen=True, eq=False)
class _Stage:
    """Everything that a moment is drawn from; nothing here changes, so threads may share it."""

    who: Subject
    tracked: Tracked
    moments: np.ndarray
    """Which moment each row of `tracked` is."""
    head: HeadModel
    """The tracked person: open mouth, shape put in."""
    labels: np.ndarray
    """Of the triangles of the person's own head."""
    sealed: np.ndarray
    """The tracked head's triangles with the mouth closed."""
    pose: Callable[[int], "_Moment"]
    """Poses a moment, and remembers the last few: cameras of a rig share it."""


@dataclass(frozen=True, eq=False)
class _Moment:
    """A moment's geometry, world space."""

    posed: PosedHead
    """The person's own head."""
    turn: Float64[np.ndarray, "3 3"]
    body: GaussianCloud
    guess: PosedHead
    """The tracked head as the tracker found it."""
    true: PosedHead
    """The tracked head where it was."""


def _pose(who: Subject, head: HeadModel, tracked: Tracked, moments: np.ndarray, moment: int) -> _Moment:
    row = int(np.searchsorted(moments, moment))
    truth, avatar = tracked.truth.take([row]), who.avatar
    posed = deform_head(avatar.head, truth)
    body = deform_splats(avatar.layers[0], avatar, posed, truth).cloud  # type: ignore[arg-type]
    return _Moment(posed, posed.joint_transforms[avatar.head.joint_roles["neck"]][:3, :3], body,
                   deform_head(head, tracked.found.take([row])), deform_head(head, truth))


def _shot_after(stage: _Stage, first: int, index: int) -> Shot:
    return _shot(stage, first + index)


def _shot(stage: _Stage, t: int) -> Shot:
    truth, found = stage.tracked.truth.take([t]), stage.tracked.found.take([t])
    camera, moment = _camera(truth), stage.pose(int(stage.moments[t]))
    posed, turn, guess = moment.posed, moment.turn, moment.guess
    # The shine turns with the head, not with the root alone.
    person = project(moment.body, camera, None, turn)
    shirt = project(_carried(stage.who.cloth, stage.tracked.shoulders[t]), camera)
    bare, bare_through = splat_pass([person], camera)
    dressed = dataclasses.replace(person, visible=person.visible & ~stage.who.tucked)
    whole, through = splat_pass([dressed, shirt], camera)
    kinds = [dataclasses.replace(p, rgb=rgb) for p, rgb in (
        (dressed, stage.who.is_hair[:, None] * np.array([1.0, 0, 0])), (shirt, np.tile([0.0, 1, 0], (len(shirt.depths), 1))))]
    shares, _ = splat_pass(kinds, camera)
    irises = np.stack([pupil_middle(stage.who.avatar.head, posed, side) for side in ("left", "right")])
    return Shot(
        rgb=_levels(whole + through[..., None] * room(camera.width, camera.height)),
        matte=_levels(1 - through),
        head_rgba=_levels(np.concatenate([bare / np.maximum(1 - bare_through, 1e-6)[..., None],
                                          1 - bare_through[..., None]], axis=2)),
        labels=_labels(stage, posed, camera, shares, 1 - through),
        depth=_depth(guess, stage.sealed, _camera(found)),
        vertices=guess.vertices.astype(np.float32),
        landmarks=landmarks(stage.head, moment.true.vertices, turn, camera).astype(np.float32),
        irises=on_picture(irises, camera).astype(np.float32))


def _camera(frame: Sequence) -> Camera:
    width, height = (int(v) for v in frame.cameras["size"][0])
    return Camera(frame.cameras["K"][0].astype(np.float64), frame.cameras["world_to_camera"][0].astype(np.float64), width,
                  height)


def _carried(cloud: GaussianCloud, matrix: Float64[np.ndarray, "4 4"]) -> GaussianCloud:
    turn = matrix[:3, :3]
    return dataclasses.replace(cloud, means=cloud.means @ turn.T + matrix[:3, 3],
                               quats=quat_multiply(matrix_to_quat(turn), cloud.quats.astype(np.float64)))


def pupil_middle(head: HeadModel, posed: PosedHead, side: str) -> Float64[np.ndarray, " 3"]:
    """Return the middle of the pupil of the `left` or `right` eye, metres, world space."""
    return posed.vertices[head.regions[f"{side}_pupil"]].mean(axis=0)


def room(width: int, height: int) -> Float64[np.ndarray, "H W 3"]:
    """Return the wall behind the person: lighter above, a soft glow on the lamp's side; display sRGB."""
    x, y = (np.arange(width) + 0.5) / width, ((np.arange(height) + 0.5) / height)[:, None]
    down = y[..., None] + 0 * x[:, None]
    glow = np.exp(-((x - 0.25) ** 2 + (y - 0.3) ** 2) / 0.18)[..., None]
    return np.array(WALL) * (1 - down) + np.array(WALL_LOW) * down + np.array(WALL_GLOW) * glow


def wall(width: int, height: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return the picture of the room without anybody."""
    return _levels(room(width, height))


def _levels(image: np.ndarray) -> np.ndarray:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _depth(posed: PosedHead, faces: np.ndarray, camera: Camera) -> np.ndarray:
    vertices = to_camera(posed.vertices, camera)
    face, weights = nearest_triangles(vertices, faces, intrinsics_of(camera), NEAR, camera.width, camera.height)
    depth = np.einsum("hwk,hwk->hw", weights, vertices[faces[np.maximum(face, 0)], 2])
    return np.where(face >= 0, depth, 0).astype(np.float32)


def _labels(stage: _Stage, posed: PosedHead, camera: Camera, shares: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Return what each pixel shows: cloth and hair by their Gaussians' part in it, the rest by the nearest triangle."""
    head = stage.who.avatar.head
    face, _ = nearest_triangles(to_camera(posed.vertices, camera), head.faces, intrinsics_of(camera), NEAR, camera.width,
                                camera.height)
    label = np.where(face >= 0, stage.labels[np.maximum(face, 0)], LABELS.index("skin"))
    hair, cloth = shares[..., 0], shares[..., 1]
    other = covered - hair - cloth
    label = np.where((hair > other) & (hair > cloth), LABELS.index("hair"), label)
    label = np.where((cloth > other) & (cloth >= hair), LABELS.index("cloth"), label)
    return np.where(covered < 0.5, LABELS.index("background"), label).astype(np.uint8)
