"""The mistakes that spoil cameras, each made on purpose: the error must pass good data, and name what is wrong in bad.

The good data comes from folders written by hand; see `tests/formats/tracked_folders.py`.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.conventions import CV_FROM_GL
from formats.datasets import read
from formats.datasets.check import check
from formats.datasets.frames import Frames
from formats.datasets.reprojection import LIMIT, check_reprojection, reprojection
from formats.datasets.witness import SAMPLE, gather, project
from formats.errors import CheckpointMismatch, FormatError
from tests.builders import tiny_head, tiny_sequence
from tests.formats import tracked_folders as folders
from tests.formats.tracked_folders import SIZE, head


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Frames]:
    """Frames of both layouts, read from folders."""
    root = tmp_path_factory.mktemp("good")
    return {"imavatar": read("imavatar", folders.write_imavatar(root / "a")),
            "insta": read("insta", folders.write_insta(root / "b"))}


def change(frames: Frames, **values: Any) -> Frames:
    """Return frames with fields of their sequence, or of its cameras, replaced."""
    own = frames.sequence
    cameras = {name: values.pop(name, value) for name, value in own.cameras.items()}
    return dataclasses.replace(frames, sequence=dataclasses.replace(own, cameras=cameras, **values))


def noisy(frames: Frames, pixels: float, seed: int = 0) -> Frames:
    """Return frames whose points were seen with errors of `pixels` on average."""
    rng = np.random.default_rng(seed)
    sigma = pixels / np.sqrt(np.pi / 2)
    return dataclasses.replace(frames, points2d={k: v + rng.normal(0, sigma, v.shape) for k, v in frames.points2d.items()})


def test_good_data_passes_and_is_measured(good):
    report = check_reprojection(good["imavatar"], head())
    marks, irises = report.errors
    assert (marks.kind, marks.frames, irises.kind, report.fits, report.cause) == ("landmarks", 10, "irises", True, "")
    assert marks.mean < 1e-3 and marks.worst < 1e-3 and marks.share < 1e-5 and irises.worst < 0.2
    assert str(report).startswith("landmarks 0.0 px (0.00 % of the width; mean 0.0, worst 0.0 in frame ")
    eyes, = check_reprojection(good["insta"], head()).errors
    assert (eyes.kind, eyes.frames) == ("eyes", 7) and eyes.worst < 0.4


def test_numbers_are_pixels_of_the_picture(good):
    frames = good["imavatar"]
    points = frames.points2d["landmarks"].copy()
    points[:, :, 0] += 0.6
    points[:, :, 1] += 0.8
    points[6, :, 0] += 3
    points[:, :17] += 500  # the jaw's outline does not count
    points[3, 20:] = np.nan
    points[5] = np.nan
    marks, = reprojection(dataclasses.replace(frames, points2d={"landmarks": points}), head()).errors
    assert marks.median == pytest.approx(1, abs=1e-3) and marks.share == pytest.approx(1 / SIZE, abs=1e-5)
    far = np.hypot(3.6, 0.8)
    assert marks.worst == pytest.approx(far, abs=1e-3) and marks.worst_frame == "7" and marks.frames == 9
    assert marks.mean == pytest.approx((8 + far) / 9, abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["imavatar", "insta"])
def test_a_trackers_noise_passes(name, seed, good):
    """Trackers leave 1 to 3 pixels of 512."""
    report = check_reprojection(noisy(good[name], 3 / 512 * SIZE, seed), head())
    assert 0.003 < report.errors[0].share < 0.009


def flipped(frames: Frames) -> np.ndarray:
    """Return K with cy from the bottom."""
    k = frames.sequence.cameras["K"].copy()
    k[:, 1, 2] = SIZE - k[:, 1, 2]
    return k


def moved(frames: Frames, factor: float) -> np.ndarray:
    """Return cameras whose translations are `factor` times as long."""
    matrix = frames.sequence.cameras["world_to_camera"].copy()
    matrix[:, :3, 3] *= factor
    return matrix


def transposed(frames: Frames) -> np.ndarray:
    """Return cameras with their rotation transposed."""
    matrix = frames.sequence.cameras["world_to_camera"].copy()
    matrix[:, :3, :3] = matrix[:, :3, :3].swapaxes(1, 2)
    return matrix


def views(frames: Frames) -> np.ndarray:
    """Return the cameras."""
    return frames.sequence.cameras["world_to_camera"]


@pytest.mark.parametrize("name", ["imavatar", "insta"])
@pytest.mark.parametrize("make, cause", [
    (lambda f: change(f, world_to_camera=CV_FROM_GL @ views(f)), "behind the camera.*mixes OpenGL's and OpenCV's cameras"),
    (lambda f: change(f, world_to_camera=views(f) @ CV_FROM_GL), "mixes OpenGL's and OpenCV's axes"),
    (lambda f: change(f, world_to_camera=np.linalg.inv(views(f))), "camera-to-world and world-to-camera are mixed up"),
    (lambda f: change(f, world_to_camera=moved(f, 4)), "in units of a quarter of a metre"),
    (lambda f: change(f, world_to_camera=moved(f, 0.25)), "divided by 4 twice"),
    (lambda f: change(f, K=flipped(f)), "the principal point is flipped"),
], ids=["opengl", "world", "inverse", "four", "quarter", "cy"])
def test_wrong_cameras_are_named(name, make, cause, good):
    with pytest.raises(FormatError, match=f"(?s)'{good[name].name}' train: .*{cause}") as caught:
        check(make(noisy(good[name], 0.15)), head())
    assert "\n" not in str(caught.value)


def test_a_transposed_rotation_is_named_though_its_error_is_small(good):
    frames = change(good["insta"], world_to_camera=transposed(good["insta"]))
    report = reprojection(frames, head())
    # Seen from in front, a transposed rotation only mirrors the pitch.
    assert report.errors[0].share < LIMIT and not report.fits
    with pytest.raises(FormatError, match="with the camera's rotation transposed"):
        check_reprojection(frames, head())
    # IMavatar's rotation is the identity before the axes are turned: nothing to see.
    assert reprojection(change(good["imavatar"], world_to_camera=transposed(good["imavatar"])), head()).fits


def test_eyes_in_each_others_place(good):
    for name, kind in (("imavatar", "irises"), ("insta", "eyes")):
        frames = good[name]
        points = dict(frames.points2d) | {kind: frames.points2d[kind][:, ::-1]}
        with pytest.raises(FormatError, match=f"{kind} land .* the points of left and right eye exchanged"):
            check_reprojection(dataclasses.replace(frames, points2d=points), head())
    frames = good["imavatar"]
    with pytest.raises(FormatError, match="irises land .* with the rotations of left and right eye exchanged"):
        check_reprojection(change(frames, eyes=frames.sequence.eyes[:, [3, 4, 5, 0, 1, 2]]), head())


@pytest.mark.parametrize("seed", range(3))
def test_another_persons_shape(seed, good):
    frames = noisy(good["imavatar"], 0.15)
    other = np.random.default_rng(90 + seed).normal(0, 0.8, 100)
    with pytest.raises(FormatError, match="the mean head fits better .* than the data's shape: it is another person's"):
        check_reprojection(change(frames, shape=other), head())
    with pytest.raises(FormatError, match=r"land \d\.\d px .*more than 1\.5 %.* another person's"):
        check_reprojection(change(frames, shape=4 * other), head())


@pytest.mark.parametrize("step", [-1, 1])
@pytest.mark.parametrize("name", ["imavatar", "insta"])
def test_frames_paired_one_off(name, step, good):
    frames = noisy(good[name], 0.1)
    points = {}
    for kind, seen in frames.points2d.items():
        points[kind] = np.roll(seen, step, axis=0)
        points[kind][0 if step > 0 else -1] = np.nan
    shifted = dataclasses.replace(frames, points2d=points)
    assert {error.shift for error in reprojection(shifted, head()).errors} == {-step}
    with pytest.raises(FormatError, match="paired one frame off"):
        check_reprojection(shifted, head())


def test_what_nothing_explains_still_fails(good):
    frames = good["insta"]
    points = {"eyes": frames.points2d["eyes"] + [9.0, -7.0]}
    with pytest.raises(FormatError, match=r"land 11\.\d px .*more than 1\.5 %.*likely causes: another layout.*cropped"):
        check_reprojection(dataclasses.replace(frames, points2d=points), head())
    loose = check_reprojection(dataclasses.replace(frames, points2d=points), head(), limit=0.5)
    assert loose.fits and loose.limit == 0.5


def test_nothing_to_compare_is_said_and_passes(good):
    frames = good["imavatar"]
    blind = dataclasses.replace(frames, points2d={"landmarks": np.full((10, 68, 2), np.nan)})
    for data in (blind, dataclasses.replace(frames, points2d={})):
        report = check_reprojection(data, head())
        assert report.fits and str(report) == ("reprojection not checked: the data holds no landmarks, irises or eyes to "
                                               "compare with")
    bare = dataclasses.replace(head(), landmarks={})
    assert [error.kind for error in reprojection(frames, bare).errors] == ["irises"]
    only = dataclasses.replace(frames, points2d={"landmarks": frames.points2d["landmarks"]})
    assert "the head has no landmark embedding" in str(check_reprojection(only, bare))
    # Without landmarks the eyes' middles are where they look straight ahead: still within the limit.
    assert check_reprojection(good["insta"], bare).errors[0].kind == "eyes"
    with pytest.raises(CheckpointMismatch):
        reprojection(change(frames, basis="flame2020"), head())


def test_a_long_video_is_sampled(monkeypatch):
    import formats.datasets.witness as witness

    sequence, posed = tiny_sequence(tiny_head(identity=True), 200, cameras=True), []
    sequence = dataclasses.replace(sequence, ranges={})
    real = witness.deform_head
    monkeypatch.setattr(witness, "deform_head", lambda *a: posed.append(1) or real(*a))
    seen = np.full((200, 2, 2), 30.0)
    seen[50:] = np.nan
    frames = Frames("t", "train", sequence, tuple(Path(f"{i}.png") for i in range(200)), points2d={"irises": seen})
    report = reprojection(frames, tiny_head(identity=True))
    assert len(posed) == SAMPLE == report.errors[0].frames and int(report.errors[0].worst_frame) < 50


def test_landmarks_are_those_of_the_whole_head(good):
    """The reduced head that is posed must say what the whole one says; lids, correctives and joints included."""
    frames = good["insta"]
    evidence, note = gather(dataclasses.replace(frames, points2d={"landmarks": np.zeros((7, 51, 2))}), head())
    marks, _ = folders.posed(100, 300, False)
    np.testing.assert_allclose(evidence[0].world, marks[:7, 17:], atol=1e-7)
    assert note == ""


def test_projection_by_hand():
    k = np.array([[[100.0, 0, 40], [0, 50, 30], [0, 0, 1]]])
    view = np.eye(4)[None].copy()
    view[0, 2, 3] = 2
    points = np.array([[[0.2, -0.4, 0], [0.2, -0.4, 2], [0, 0, -3]]])
    pixels = project(points, k, view)
    assert pixels[0].tolist() == [[50, 20], [45, 25], [np.inf, np.inf]]
