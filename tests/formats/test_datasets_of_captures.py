"""Readers against the folders that `flameport capture` writes: two people wrote them from one sheet, apart."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

from formats.captures import capture
from formats.captures.scene import film
from formats.captures.shots import Film
from formats.codecs import read_sequence
from formats.datasets import DATASETS, PLACED, read
from formats.datasets.check import check
from formats.datasets.motion import sniff_layout
from formats.datasets.reprojection import check_reprojection, reprojection
from formats.deform import deform_head
from formats.errors import CheckpointMismatch, FormatError
from formats.head_model import HeadModel
from formats.sequence import Sequence

FRAMES, SIZE = 20, 64
SPLIT_ALIKE = ("imavatar", "insta")
"""Layouts whose files say which frames are held out, with one camera: frame by frame as they were filmed."""
WITHOUT_POINTS = ("vhap", "nersemble-benchmark")
"""Layouts that hold nothing a detector saw."""

pytestmark = pytest.mark.slow  # about ten seconds a layout, for drawing


@pytest.fixture(scope="module", params=DATASETS)
def captured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Film]:
    """A layout, a folder in it, and what was filmed."""
    out = tmp_path_factory.mktemp("captured") / "anna"
    capture(out, request.param, FRAMES, SIZE)
    return request.param, out, film(FRAMES, SIZE, 0, request.param)


def seen(head: HeadModel, sequence: Sequence) -> np.ndarray:
    """Return where every frame's 68 landmarks are seen, pixels [T, 68, 2]."""
    person = head.personalise(sequence.shape)
    faces, weights = head.faces[head.landmarks["full_lmk_faces_idx"][0]], head.landmarks["full_lmk_bary_coords"][0]
    rows, known = [], {}
    for i in range(len(sequence)):
        frame = sequence.take([i])
        key = b"".join(getattr(frame, name).tobytes() for name in ("expr", "rotation", "neck", "jaw", "eyes", "translation"))
        if key not in known:  # several cameras see one moment
            known[key] = (weights[:, :, None] * deform_head(person, frame).vertices[faces]).sum(axis=1)
        view = np.c_[known[key], np.ones(68)] @ frame.cameras["world_to_camera"][0, :3].T @ frame.cameras["K"][0].T
        rows.append(view[:, :2] / view[:, 2:])
    return np.stack(rows)


def test_every_picture_shows_the_head_as_it_was_filmed(captured):
    layout, out, filmed = captured
    assert layout == sniff_layout(out)
    truth = np.concatenate([seen(filmed.head, take.sequence) for take in filmed.takes])
    shots = [functools.partial(take.shoot, i) for take in filmed.takes for i in range(len(take.sequence))]
    for split in ("train", "test"):
        for head in (None, filmed.head) if layout in PLACED else (None,):
            frames = read(layout, out, split, head=head)
            check(frames, filmed.head)
            off = np.linalg.norm(seen(filmed.head, frames.sequence)[:, None] - truth[None], axis=3).mean(axis=2)
            fitting = off.argmin(axis=1)
            assert off.min(axis=1).max() < 0.01, f"{layout} {split}: {off.min(axis=1)} px"
            assert len(set(fitting)) == len(frames)
        for i in (0, len(frames) // 2, len(frames) - 1):
            # Pictures are paired with their own moments; videos and JPEGs lose a little.
            shown, shot = frames.picture(i).astype(float), shots[fitting[i]]()
            both = (shown[..., 3] > 250) & (shot.head_rgba[..., 3] > 250)
            assert both.sum() > 0.8 * (shot.head_rgba[..., 3] > 250).sum()
            # Layouts show the whole person, or what is left without clothes.
            off = min(np.abs(shown[..., :3] - drawn.astype(float))[both].mean() for drawn in (shot.rgb, shot.head_rgba[..., :3]))
            assert off < 6, f"{layout} {split} {frames.labels[i]}"


def test_nothing_that_was_held_out_is_learned_from(captured):
    layout, out, filmed = captured
    held = seen(filmed.head, next(take.sequence for take in filmed.takes if take.split == "test"))
    if layout in ("vhap", "nersemble-benchmark"):
        pytest.skip("its own rule holds other frames out")
    for head in (None, filmed.head) if layout in PLACED else (None,):
        learned = seen(filmed.head, read(layout, out, "train", head=head).sequence)
        assert np.linalg.norm(learned[:, None] - held[None], axis=3).mean(axis=2).min() > 0.01, layout


def test_what_was_tracked_is_what_is_read(captured):
    layout, out, filmed = captured
    if layout not in SPLIT_ALIKE:
        pytest.skip("its files hold no split, or another one")
    for take in filmed.takes:
        frames = read(layout, out, take.split)
        held, truth = frames.sequence, take.sequence
        assert (frames.name, frames.split, len(frames), held.basis, held.fps) == (
            "anna", take.split, len(truth), "standin", filmed.fps)
        for name in ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation"):
            np.testing.assert_allclose(getattr(held, name), getattr(truth, name), atol=2e-6, err_msg=name)
        assert held.shape is not None and truth.shape is not None
        np.testing.assert_allclose(held.shape, truth.shape, atol=1e-6)
        for name, tolerance in (("K", 1e-4), ("world_to_camera", 1e-6), ("size", 0)):
            np.testing.assert_allclose(held.cameras[name], truth.cameras[name], atol=tolerance, err_msg=name)
    shot = filmed.takes[0].shoot(3)
    np.testing.assert_array_equal(read(layout, out).picture(3), shot.head_rgba)


def test_the_motion_alone_is_the_same(captured):
    layout, out, filmed = captured
    sequence = read_sequence(out)
    assert sequence.basis == "standin" and {"train", "test"} <= set(sequence.ranges)
    truth = np.concatenate([take.sequence.expr[:, :sequence.expr.shape[1]] for take in filmed.takes])
    off = np.abs(sequence.expr[:, None] - truth[None]).max(axis=2)
    assert off.min(axis=1).max() < 2e-6
    assert len(set(off.argmin(axis=0))) == len(sequence)  # every moment that was filmed, once


def test_the_head_lands_where_it_was_seen(captured):
    layout, out, filmed = captured
    for split in ("train", "test"):
        report = check_reprojection(read(layout, out, split), filmed.head)
        # The tracker's own points to float precision, or to the noise of what was detected; irises within the synthetic
        # tracker's errors; the middle of what segmentation shows of an eye within its half-closed moments.
        limits = {"landmarks": 1e-5 if layout in ("imavatar", "point-avatar") else 0.004, "irises": 0.003, "eyes": 0.012}
        assert bool(report.errors) == (layout not in WITHOUT_POINTS)
        assert all(error.share < limits[error.kind] and error.mean < 1 for error in report.errors), str(report)


def test_somebody_elses_shape_and_head_are_noticed(captured):
    layout, out, filmed = captured
    frames = read(layout, out)
    if layout not in WITHOUT_POINTS:
        other = film(FRAMES, SIZE, 1, layout).takes[0].sequence.shape
        assert other is not None and frames.sequence.shape is not None
        wrong = dataclasses.replace(frames, sequence=dataclasses.replace(frames.sequence,
                                                                         shape=other[:len(frames.sequence.shape)]))
        report = reprojection(wrong, filmed.head)
        own = reprojection(frames, filmed.head)
        assert report.errors[0].share > 1.3 * own.errors[0].share
        if layout == "imavatar":  # two eyes' middles are too few points to tell a person by
            with pytest.raises(FormatError, match="the data's shape: it is another person's"):
                check(wrong, filmed.head)
    with pytest.raises(CheckpointMismatch, match="'flame2020'"):
        check(read(layout, out, edition="flame2020"), filmed.head)
