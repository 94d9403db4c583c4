"""Fitting a motion to a head."""

import dataclasses
import logging

import numpy as np
import pytest

from formats.conventions import ARKIT_52
from formats.deform import deform_head
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.retarget import join, retarget, with_head_motion
from formats.sequence import Sequence
from tests.builders import assert_same, tiny_head, tiny_sequence


def arkit(frames: int = 3, names: tuple[str, ...] = ARKIT_52) -> Sequence:
    weights = np.random.default_rng(8).uniform(0, 1, (frames, len(names)))
    return Sequence("arkit-52", 30, weights, expr_names=names)


def test_its_own_motion_is_left_alone():
    head = tiny_head()
    sequence = tiny_sequence(head, edition=True)
    assert_same(sequence, retarget(sequence, head))


def test_another_edition_is_refused():
    with pytest.raises(CheckpointMismatch, match="flame2023"):
        retarget(tiny_sequence(tiny_head("flame2023")), tiny_head())
    with pytest.raises(CheckpointMismatch, match="same edition name, different tables"):
        retarget(dataclasses.replace(tiny_sequence(), edition="f" * 64), tiny_head())


def test_trailing_coefficients_are_cut_aloud(caplog):
    sequence = Sequence("standin", 25, np.arange(20).reshape(2, 10))
    with caplog.at_level(logging.WARNING):
        assert retarget(sequence, tiny_head()).expr.tolist() == [list(range(6)), list(range(10, 16))]
    assert "cut 10 expressions to the head's 6" in caplog.text and "19" in caplog.text


def test_joints_the_head_lacks_are_left_out(caplog):
    sequence = dataclasses.replace(tiny_sequence(), joints={"tail": np.ones((5, 3))})
    with caplog.at_level(logging.WARNING):
        assert not retarget(sequence, tiny_head()).joints
    assert "tail" in caplog.text


def test_arkit_names_are_reordered_and_cut(caplog):
    head, track = tiny_head("arkit-51"), arkit(names=tuple(reversed(ARKIT_52)))
    with caplog.at_level(logging.WARNING):
        fitted = retarget(track, head)
    assert fitted.basis == "arkit-51" and fitted.expr_names == head.expr_names
    for name in head.expr_names:
        assert (fitted.expr[:, head.expr_names.index(name)] == track.expr[:, track.expr_names.index(name)]).all()
    assert "tongueOut" in caplog.text
    some = retarget(arkit(names=("jawOpen", "eyeBlinkLeft")), head)
    assert some.expr.any(axis=0).sum() == 2


def test_a_still_tongue_is_no_loss(caplog):
    track = arkit()
    still = dataclasses.replace(track, expr=track.expr * [name != "tongueOut" for name in ARKIT_52])
    with caplog.at_level(logging.WARNING):
        retarget(still, tiny_head("arkit-51"))
    assert not caplog.text


def test_arkit_through_the_map():
    head, track = tiny_head(), arkit()
    fitted = retarget(dataclasses.replace(track, jaw=np.ones((3, 3))), head)
    driven = track.expr.astype(float) @ head.arkit_map
    assert fitted.basis == "standin" and fitted.edition == head.content_hash
    # float32 against float64 sums of 52 numbers near 1.
    for name, value in {"expr": driven[:, :6], "jaw": 1 + driven[:, 6:9], "neck": driven[:, 9:12],
                        "eyes": driven[:, 12:18], "eyelids": driven[:, 18:]}.items():
        np.testing.assert_allclose(getattr(fitted, name), value, atol=1e-6)


def test_order_of_names_does_not_matter_to_the_map():
    track = arkit()
    turned = dataclasses.replace(track, expr=track.expr[:, ::-1], expr_names=tuple(reversed(ARKIT_52)))
    bare = dataclasses.replace(track, expr_names=())
    for other in (turned, bare):
        np.testing.assert_allclose(retarget(other, tiny_head()).expr, retarget(track, tiny_head()).expr, atol=1e-6)


def test_no_map_no_arkit():
    with pytest.raises(MissingAsset, match="arkit-map"):
        retarget(arkit(), dataclasses.replace(tiny_head(), arkit_map=None))


def test_neutral_faces():
    head, sequence = tiny_head(), tiny_sequence()
    np.testing.assert_allclose(retarget(sequence, head, "mean").expr.mean(axis=0), 0, atol=1e-7)
    assert not retarget(sequence, head, "first").expr[0].any()
    np.testing.assert_allclose(np.diff(retarget(sequence, head, "first").expr, axis=0),
                               np.diff(sequence.expr, axis=0), atol=2e-7)
    first = retarget(arkit(), head, "first")
    assert not first.expr[0].any() and not first.jaw[0].any() and first.jaw[1].any()
    with pytest.raises(UnsupportedFeature, match="median"):
        retarget(sequence, head, "median")


# --- Head motion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("joints", [0, 2])
def test_the_first_camera_sees_the_moved_head_as_the_moving_camera_did(named, joints):
    head = tiny_head(extra_joints=joints)
    before = tiny_sequence(head, 6, cameras=True, named=named, drivers=False)
    after = with_head_motion(before, head)
    worlds = before.cameras["world_to_camera"].astype(float)
    assert np.abs(worlds - worlds[0]).max() > 0.05
    assert (after.cameras["world_to_camera"] == before.cameras["world_to_camera"][0]).all()
    for t in range(len(before)):
        old = deform_head(head, before.take([t])).vertices @ worlds[t, :3, :3].T + worlds[t, :3, 3]
        new = deform_head(head, after.take([t])).vertices @ worlds[0, :3, :3].T + worlds[0, :3, 3]
        # Metres at half a metre: rotations and translations are stored as float32.
        np.testing.assert_allclose(new, old, atol=1e-6)
        k = before.cameras["K"][t].astype(float)
        pixels = [(v @ k.T)[:, :2] / v[:, 2:] for v in (old, new)]
        np.testing.assert_allclose(pixels[0], pixels[1], atol=1e-3)
    first = [deform_head(head, s.take([0])).vertices for s in (before, after)]
    np.testing.assert_allclose(first[0], first[1], atol=1e-6)


def test_intrinsics_and_the_rest_stay():
    head = tiny_head()
    before = tiny_sequence(head, cameras=True)
    after = with_head_motion(before, head)
    for name in ("expr", "neck", "jaw", "eyes", "eyelids", "drivers", "ranges"):
        assert_same(getattr(before, name), getattr(after, name))
    assert_same(before.cameras["K"], after.cameras["K"])


def test_nothing_to_do():
    head = tiny_head()
    for sequence, mode in ((tiny_sequence(head), "head"), (tiny_sequence(head, cameras=True), "camera")):
        assert with_head_motion(sequence, head, mode) is sequence
    with pytest.raises(UnsupportedFeature, match="both"):
        with_head_motion(tiny_sequence(head), head, "both")
    with pytest.raises(CheckpointMismatch):
        with_head_motion(tiny_sequence(head, cameras=True), tiny_head("flame2020"))
    rootless = dataclasses.replace(head, joint_roles={"jaw": 2})
    with pytest.raises(UnsupportedFeature, match="no root joint"):
        with_head_motion(tiny_sequence(rootless, cameras=True), rootless)


# --- Joining ----------------------------------------------------------------------------------------------------------


def test_join_names_its_parts():
    a, b = tiny_sequence(frames=3), tiny_sequence(frames=2, seed=9, drivers=False)
    both = join([a, b, a], ["talk", "turn", "talk"])
    assert len(both) == 8
    assert both.ranges == {"talk": (0, 3), "talk/start": (0, 1), "talk/all": (0, 3), "turn": (3, 5),
                           "turn/start": (3, 4), "turn/all": (3, 5), "talk-2": (5, 8), "talk/start-2": (5, 6),
                           "talk/all-2": (5, 8)}
    assert_same(b.jaw, np.ascontiguousarray(both.jaw[3:5]))
    assert not both.drivers["pose6"][3:5].any() and (both.drivers["pose6"][5:] == a.drivers["pose6"]).all()
    assert_same(a, join([a], ["talk"]))


def test_join_keeps_cameras_when_all_have_them(caplog):
    with_, without = tiny_sequence(cameras=True), tiny_sequence()
    assert len(join([with_, with_], ["a", "b"]).cameras["K"]) == 10
    with caplog.at_level(logging.WARNING):
        assert not join([with_, without], ["a", "b"]).cameras
    assert "cameras" in caplog.text


@pytest.mark.parametrize("other, error, text", [
    (lambda: tiny_sequence(tiny_head("flame2023")), CheckpointMismatch, "flame2023"),
    (lambda: tiny_sequence(fps=30), FormatError, "30 frames per second"),
    (lambda: tiny_sequence(named=False), CheckpointMismatch, "other names"),
    (lambda: dataclasses.replace(tiny_sequence(), drivers={"mood": np.zeros((5, 2))}), FormatError, "width"),
])
def test_join_refuses_what_does_not_fit(other, error, text):
    with pytest.raises(error, match=text):
        join([tiny_sequence(), other()], ["a", "b"])
    with pytest.raises(FormatError, match="at least one"):
        join([], [])
