"""The film of the stand-in: who, what happens, what a tracker finds, and how it is drawn."""

import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from formats.camera import Camera
from formats.captures.action import FPS, NEVER, UNSEEN, Action, act
from formats.captures.landmarks import contour_row, landmarks
from formats.captures.rig import RIGS
from formats.captures.scene import film
from formats.captures.shots import LABELS, Film, Shot
from formats.captures.subject import body, settled, subject
from formats.captures.tracking import PIVOT
from formats.conventions import ARKIT_52
from formats.deform import PosedSplats, deform_head, deform_splats
from formats.errors import UnsupportedFeature
from formats.render import RenderOptions, render_layers
from formats.sequence import Sequence

SIZE = 64
LAYOUTS = ("imavatar", "insta")
RIGID = "gaussian-head-avatar"
EYES = range(36, 48)
"""Landmarks on the lids, which a layout without lids cannot place in a blink."""


@functools.cache
def filmed(layout: str, seed: int = 0, frames: int = 24) -> Film:
    return film(frames, SIZE, seed, layout)


@functools.cache
def shot(layout: str, seed: int = 0, take: int = 0, index: int = 5) -> Shot:
    return filmed(layout, seed).takes[take].shoot(index)


def camera_of(sequence: Sequence, t: int) -> Camera:
    return Camera(sequence.cameras["K"][t], sequence.cameras["world_to_camera"][t], SIZE, SIZE)


def views(sequence: Sequence) -> np.ndarray:
    """Return the directions [T, 3] from the head to the camera, in the head's axes."""
    head = settled(filmed("insta").head.personalise(sequence.shape))
    result = []
    for t in range(len(sequence)):
        matrix = deform_head(head, sequence.take([t])).joint_transforms[head.joint_roles["neck"]]
        there = np.linalg.inv(matrix) @ [*camera_of(sequence, t).position, 1]
        result.append(there[:3] / np.linalg.norm(there[:3]))
    return np.array(result)


def same(a: Shot, b: Shot) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in Shot.__dataclass_fields__)


# --- What happens -----------------------------------------------------------------------------------------------------


def test_a_short_take_is_cut_as_promised() -> None:
    train, test = film(144, SIZE, 0, "imavatar").takes
    assert (train.split, test.split) == ("train", "test")
    assert len(train.sequence) == len(train.labels) == 122
    assert len(test.sequence) == len(test.labels) == 30
    assert test.labels == ("expression",) * 22 + ("angle",) * 8
    assert {"talk", "expression", "turn", "gaze", "blink"} <= set(train.labels) and "angle" not in train.labels


def yaw(action: Action) -> np.ndarray:
    return np.degrees(action.turn[:action.training, 1])


@pytest.mark.parametrize("frames", [20, 36, 144, 600])
@pytest.mark.parametrize("seed", [0, 1, 2, 40])
def test_training_shows_every_kind_of_motion(frames: int, seed: int) -> None:
    action = act(frames, seed)
    kept = {name: value[:action.training] for name, value in action.weights.items()}
    assert kept["eyeBlinkLeft"].max() == 1
    assert kept["mouthSmileLeft"].max() > 0.6 and kept["jawOpen"].max() > 0.6 and kept["mouthPucker"].max() > 0.6
    assert kept["browInnerUp"].max() > 0.6
    assert yaw(action).max() > 22 and yaw(action).min() < -22
    pitch, roll = np.degrees(action.turn[:action.training, 0]), np.degrees(action.turn[:action.training, 2])
    assert np.ptp(pitch) > 14 and np.ptp(roll) > 11
    assert max(kept["eyeLookOutLeft"].max(), kept["eyeLookInLeft"].max()) > 0.4
    assert np.ptp(kept["jawOpen"]) > 0.4


@pytest.mark.parametrize("frames", [20, 36, 144, 600])
def test_reserved_expressions_never_occur_in_training_and_always_in_the_test(frames: int) -> None:
    action = act(frames, 3)
    end = len(action) - sum(label == "angle" for label in action.labels)
    for name in UNSEEN:
        assert not action.weights[name][:action.training].any(), name
        assert not action.weights[name][end:].any(), name
    assert (np.sum([action.weights[name][action.training:end] for name in UNSEEN], axis=0) > 0.4).all()
    assert not any(action.weights[name].any() for name in NEVER)
    if frames >= 144:
        assert all(action.weights[name][action.training:end].max() > 0.3 for name in UNSEEN)


def test_a_longer_take_shows_more_rather_than_the_same_slowly() -> None:
    short, long = act(144, 0), act(600, 0)
    speed = [np.abs(np.diff(a.weights["jawOpen"][:a.training])).mean() * FPS for a in (short, long)]
    assert 0.6 < speed[1] / speed[0] < 1.6
    rows = [np.stack([a.weights[name][:a.training] for name in ARKIT_52], axis=1) for a in (short, long)]
    spread = [np.linalg.svd(r - r.mean(axis=0), compute_uv=False) for r in rows]
    assert (spread[1] > 1.0).sum() > (spread[0] > 1.0).sum()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_tracker_sees_reserved_shapes_only_in_the_test(layout: str) -> None:
    train, test = film(144, SIZE, 0, layout).takes
    ids = [ARKIT_52.index(name) for name in UNSEEN if not name.startswith(("jawLeft", "jawRight"))]
    assert np.abs(train.sequence.expr[:, ids]).max() < 0.07
    held = np.array(test.labels) == "expression"
    assert (test.sequence.expr[held][:, ids].max(axis=1) > 0.25).all()
    assert np.abs(train.sequence.jaw[:, 1:]).max() < 0.01 < np.abs(test.sequence.jaw[:, 1]).max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_further_angles_are_far_from_every_view_in_training(layout: str) -> None:
    train, test = film(144, SIZE, 1, layout).takes
    unseen = views(test.sequence)[np.array(test.labels) == "angle"]
    nearest = np.degrees(np.arccos(np.clip(unseen @ views(train.sequence).T, -1, 1))).min(axis=1)
    assert nearest.min() > 8, nearest
    sides = np.degrees(np.arctan2(unseen[:, 0], unseen[:, 2]))
    assert (sides > 25).any() and (sides < -15).any()


# --- What the tracker gives -------------------------------------------------------------------------------------------


def test_the_imavatar_form() -> None:
    sequence = filmed("imavatar").takes[0].sequence
    assert sequence.expr.shape[1] == 50 and sequence.shape is not None and len(sequence.shape) == 100
    assert not sequence.eyelids.any() and not sequence.translation.any()
    assert np.abs(sequence.rotation).max() > 0.1 and np.abs(sequence.neck).max() > 0.3
    world = sequence.cameras["world_to_camera"]
    np.testing.assert_array_equal(world[:, :3, :3], np.repeat(np.diag([1.0, -1, -1])[None], len(sequence), axis=0))
    assert np.ptp(world[:, :3, 3], axis=0).max() > 0.001
    blink = ARKIT_52.index("eyeBlinkLeft")
    assert sequence.expr[:, blink].max() > 0.9
    assert not np.abs(filmed("imavatar").head.exprdirs[:, :, blink]).any()


def test_the_insta_form() -> None:
    sequence = filmed("insta").takes[0].sequence
    assert sequence.expr.shape[1] == 100 and sequence.shape is not None and len(sequence.shape) == 300
    assert not sequence.rotation.any() and not sequence.neck.any() and not sequence.translation.any()
    assert sequence.eyelids.max() > 0.9
    world = sequence.cameras["world_to_camera"]
    turned = np.degrees(np.arctan2(world[:, 0, 2], world[:, 2, 2]))
    assert np.ptp(turned) > 44


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_lens_off_centre(layout: str) -> None:
    for take in filmed(layout).takes:
        lens = take.sequence.cameras["K"]
        np.testing.assert_array_equal(lens, np.repeat(lens[:1], len(lens), axis=0))
        assert 1.2 * SIZE < lens[0, 0, 0] < 3 * SIZE
        assert 0.005 * SIZE < abs(lens[0, 0, 2] - SIZE / 2) < 0.05 * SIZE
        assert 0.005 * SIZE < abs(lens[0, 1, 2] - SIZE / 2) < 0.05 * SIZE


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_tracked_head_lands_on_the_landmarks(layout: str) -> None:
    made = filmed(layout)
    errors = []
    for number, take in enumerate(made.takes):
        head = made.head.personalise(take.sequence.shape)
        for t in range(0, len(take.sequence), 5):
            frame, camera = take.sequence.take([t]), camera_of(take.sequence, t)
            posed = deform_head(head, frame)
            seen = shot(layout, 0, number, t)
            np.testing.assert_allclose(seen.vertices, posed.vertices, atol=1e-6)
            turn = posed.joint_transforms[head.joint_roles["neck"]][:3, :3]
            off = landmarks(head, posed.vertices, turn, camera) - seen.landmarks
            errors.append(np.delete(np.linalg.norm(off, axis=1), EYES) * 512 / SIZE)
    # The outline's row may differ by a degree, and another vertex then stands for a point.
    assert 0.05 < np.mean(errors) < 0.7
    assert np.median([e[17:].max() for e in errors]) < 2


def test_the_outline_follows_the_yaw() -> None:
    camera = Camera(np.eye(3), np.diag([1.0, -1, -1, 1]), SIZE, SIZE)
    for degrees, row in ((0, 0), (7, 7), (60, 39), (-1, 40), (-39, 78), (-80, 78)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        assert contour_row(np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), camera) == row


# --- How it is drawn --------------------------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_bytes_in_any_order_and_from_threads() -> None:
    first = filmed("insta").takes
    before = [first[0].shoot(3), first[1].shoot(1)]
    body.cache_clear()
    again = film(24, SIZE, 0, "insta").takes
    with ThreadPoolExecutor(2) as pool:
        late, early = pool.map(lambda k: again[k[0]].shoot(k[1]), ((1, 1), (0, 3)))
    assert same(before[0], early) and same(before[1], late)
    for a, b in zip(first, again, strict=True):
        assert a.labels == b.labels
        for name in ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation", "shape"):
            np.testing.assert_array_equal(getattr(a.sequence, name), getattr(b.sequence, name))


def test_three_people() -> None:
    seen = [shot("imavatar", seed) for seed in (0, 1, 2)]
    skins = []
    for seed, each in enumerate(seen):
        assert filmed("imavatar", seed).name == f"standin{seed}"
        skin = each.labels == LABELS.index("skin")
        skins.append(each.rgb[skin].mean(axis=0))
        assert np.abs(each.head_rgba[..., 3].astype(int) - seen[seed - 1].head_rgba[..., 3]).mean() > 1
    assert np.abs(skins[0] - skins[1]).max() > 40
    shapes = [filmed("imavatar", seed).takes[0].sequence.shape for seed in (0, 1, 2)]
    assert all(np.linalg.norm(a - b) > 2 for a, b in zip(shapes, shapes[1:], strict=False))  # type: ignore[operator]
    other = film(24, SIZE, -7, "imavatar").takes[0].shoot(5)
    assert other.matte.any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_clothing_is_in_the_picture_and_not_on_the_head(layout: str) -> None:
    made = shot(layout)
    assert made.rgb.shape == (SIZE, SIZE, 3) and made.rgb.dtype == np.uint8
    alpha = made.head_rgba[..., 3].astype(int)
    assert alpha.max() >= 253 and alpha[:2].max() == 0 and made.matte.min() == 0
    cloth = made.labels == LABELS.index("cloth")
    assert cloth[-4:].mean() > 0.5 and not cloth[:SIZE // 2].any()
    # The shoulders beside the neck are there with clothing only; the bare neck runs on under it.
    beside = cloth.copy()
    beside[:, SIZE // 5:-SIZE // 5] = False
    assert beside.any() and alpha[beside].max() < 60 and made.matte[beside].min() > 100
    assert (alpha[cloth] > 200).any()
    assert (alpha <= made.matte.astype(int) + 40).all()


def test_hair_stands_off_the_head() -> None:
    made = shot("imavatar")
    hair = made.labels == LABELS.index("hair")
    beyond = hair & (made.depth == 0)
    assert beyond.sum() > 0.15 * hair.sum()
    top = made.head_rgba[:SIZE // 6, :, 3] > 250
    assert hair[:SIZE // 6][top].all()


def test_labels_depth_and_irises_lie_where_the_face_is() -> None:
    open_eyes = int(np.argmin(filmed("insta", 1).takes[0].sequence.eyelids.max(axis=1)))
    made = shot("insta", 1, 0, open_eyes)
    found = set(np.unique(made.labels))
    assert {LABELS.index(name) for name in ("skin", "left_brow", "right_brow", "nose", "upper_lip", "lower_lip", "neck",
                                            "cloth", "hair", "background")} <= found
    for k, name in enumerate(("left_eye", "right_eye")):
        x, y = made.irises[k]
        around = made.labels[int(y) - 2:int(y) + 3, int(x) - 2:int(x) + 3]
        assert (around == LABELS.index(name)).any(), name
    assert made.irises[0, 0] > made.irises[1, 0]  # the subject's left is the picture's right
    inside = made.depth[made.labels == LABELS.index("nose")]
    assert (inside > 0.5).all() and (inside < 1.0).all()
    # The lips' own landmarks surround sealed depth.
    x, y = made.landmarks[60:].mean(axis=0)
    assert made.depth[int(y), int(x)] > 0


def test_the_mouth_is_sealed_in_depth_even_when_it_is_open() -> None:
    take = filmed("imavatar").takes[0]
    t = int(np.argmax(take.sequence.jaw[:, 0]))
    made = take.shoot(t)
    x, y = np.round(made.landmarks[60:].mean(axis=0) - 0.5).astype(int)
    lips = np.round(made.landmarks[[62, 66]] - 0.5).astype(int)
    near = made.depth[lips[:, 1], lips[:, 0]]
    assert np.abs(made.depth[y, x] - near).max() < 0.02


def test_the_picture_is_what_render_defines() -> None:
    made, take = shot("imavatar"), filmed("imavatar").takes[0]
    who = subject(0, 100)
    # The tracked moment is nearly the true one: a picture of it is nearly the same.
    frame = take.sequence.take([5])
    posed = deform_head(who.avatar.head, frame)
    splats = deform_splats(who.avatar.layers[0], who.avatar, posed, frame)  # type: ignore[arg-type]
    turned = posed.joint_transforms[who.avatar.head.joint_roles["neck"]][:3, :3]
    picture = render_layers([PosedSplats("splats", splats.cloud, turned)], camera_of(take.sequence, 5),
                            RenderOptions((0.0, 0.0, 0.0)))
    straight = made.head_rgba.astype(float) / 255
    here = straight[..., :3] * straight[..., 3:]
    error = np.mean((here - picture.rgb) ** 2)
    assert -10 * np.log10(error) > 26


def test_skin_shines_differently_from_another_side() -> None:
    who = subject(1, 100)
    sh = who.avatar.layers[0].cloud.sh  # type: ignore[union-attr]
    assert sh.shape[1:] == (9, 3)
    assert np.abs(sh[:, 1:]).max() > 0.02
    lips = np.abs(sh[:, 1:]).sum(axis=(1, 2))
    assert (lips > 0.01).mean() > 0.3


# --- Rigs of cameras --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", RIGS)
def test_every_camera_of_a_rig_sees_every_moment(layout: str) -> None:
    made = filmed(layout)
    for take in made.takes:
        moments, views = len(take.moments), len(take.cameras)
        assert len(take.sequence) == len(take.labels) == moments * views and take.views == views
        for name in ("expr", "jaw", "eyes", "rotation", "neck", "translation"):
            rows = getattr(take.sequence, name).reshape(moments, views, -1)
            assert (rows == rows[:, :1]).all() and np.ptp(rows[:, 0], axis=0).any() == (name != "neck" or layout != RIGID)
        cameras = take.sequence.cameras["world_to_camera"].reshape(moments, views, 4, 4)
        assert (cameras == cameras[:1]).all()
        assert list(take.cameras) == sorted(take.cameras) and not take.sequence.eyelids.any()
    assert len(made.takes[0].moments) == (17 if layout == "vhap" else 21) and len(made.takes[1].moments) == 24 - len(
        made.takes[0].moments)
    assert set(made.held_out_cameras) < set(made.takes[1].cameras) and "angle" not in made.takes[1].labels


def test_only_the_front_camera_films_the_benchmarks_training() -> None:
    train, test = filmed("nersemble-benchmark").takes
    assert train.cameras == ("222200037",) and len(test.cameras) == 4
    assert len({float(k) for k in test.sequence.cameras["K"][:4, 0, 0]}) == 4
    assert not np.allclose(train.sequence.cameras["world_to_camera"][0], test.sequence.cameras["world_to_camera"][0])


def test_a_rigs_mean_orientation_is_the_worlds() -> None:
    cameras = filmed("vhap").takes[0].sequence.cameras["world_to_camera"][:4].astype(np.float64)
    outward = np.linalg.inv(cameras)[:, :3, :3] @ np.diag([1.0, -1, -1])
    u, _, v = np.linalg.svd(outward.mean(axis=0))
    assert np.abs(u @ v - np.eye(3)).max() < 1e-6
    angles = np.degrees(np.arccos(np.clip([np.trace(m) / 2 - 0.5 for m in outward], -1, 1)))
    assert angles.max() > 25 and angles.min() > 1e-3


@pytest.mark.parametrize("layout", RIGS)
def test_a_rigs_pictures_show_the_tracked_head(layout: str) -> None:
    take = filmed(layout, 1).takes[1]
    head = settled(filmed(layout, 1).head.personalise(take.sequence.shape))
    shots = [take.shoot(row) for row in range(4)]
    for row, moment in enumerate(shots):
        camera, frame = camera_of(take.sequence, row), take.sequence.take([row])
        posed = deform_head(head, frame)
        np.testing.assert_allclose(posed.vertices, moment.vertices, atol=1e-7)
        turn = posed.joint_transforms[head.joint_roles["neck"]][:3, :3]
        off = np.abs(landmarks(head, posed.vertices, turn, camera) - moment.landmarks)
        assert np.delete(off, EYES, axis=0).mean() < 0.12 and ((moment.landmarks > 2) & (moment.landmarks < SIZE - 2)).all()
        assert 0.15 < (moment.matte > 127).mean() < 0.8
        # Everything that a landmark marks is covered.
        x, y = moment.landmarks[17:].astype(int).T
        assert (moment.matte[y, x] > 127).mean() > 0.95
    assert all(np.array_equal(shots[0].vertices, other.vertices) for other in shots[1:])
    assert not np.array_equal(shots[0].rgb, shots[1].rgb)


def test_a_head_of_one_piece_turns_about_the_nape() -> None:
    sequence = filmed(RIGID).takes[0].moments
    head = settled(filmed(RIGID).head.personalise(sequence.shape))
    assert not sequence.neck.any() and np.abs(sequence.rotation).max() > 0.3
    for t in range(0, len(sequence), 4):
        frame = sequence.take([t])
        posed, rest = deform_head(head, frame).vertices, deform_head(head, still(frame)).vertices
        u, _, v = np.linalg.svd((posed - posed.mean(axis=0)).T @ (rest - rest.mean(axis=0)))
        place = posed.mean(axis=0) - u @ v @ rest.mean(axis=0)
        assert np.abs(rest @ (u @ v).T + place - posed).max() < 1e-6
        # It wanders, by a centimetre at most; so it does nowhere else.
        assert np.linalg.norm(u @ v @ PIVOT + place - PIVOT) < 0.0125


def still(frame: Sequence) -> Sequence:
    """Return a frame with its head where it rests."""
    return dataclasses.replace(frame, rotation=np.zeros((1, 3)), translation=np.zeros((1, 3)))


# --- What it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "says"), [
    ((19, 64, 0, "insta"), "19 frames"), ((24, 31, 0, "insta"), "31 pixels"), ((24, 5000, 0, "insta"), "5000 pixels"),
    ((24, 64, 0, "flashavatar"), "unknown layout 'flashavatar'")])
def test_what_cannot_be_filmed(arguments: tuple[int, int, int, str], says: str) -> None:
    with pytest.raises(UnsupportedFeature, match=says):
        film(*arguments)
