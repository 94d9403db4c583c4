"""What ARKit's weights mean for a head: fitted to landmarks and masks, read from a file, kept in a file."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from formats import importers
from formats.arkit_fit import BY_JOINT, fit_arkit_map
from formats.codecs import arkit_map
from formats.conventions import ARKIT_52
from formats.deform import deform_head, rest_sequence
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.head_model import ARKIT_TAIL, HeadModel
from formats.retarget import retarget
from formats.sequence import Sequence
from formats.standin.head import standin_head


@pytest.fixture(scope="module")
def known() -> HeadModel:
    return standin_head("open-mouth")


@pytest.fixture(scope="module")
def nameless(known: HeadModel) -> HeadModel:
    """The stand-in as FLAME is: components without names, each a mixture, 6 % larger, without lid shapes or a map."""
    mix, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(100, 100)))
    return dataclasses.replace(
        known, edition="flame2020", v_template=known.v_template * 1.06, exprdirs=(known.exprdirs @ mix) * 1.06,
        posedirs=known.posedirs * 1.06, eyeliddirs=None, expr_names=(), arkit_map=None, content_hash="")


def moved(head: HeadModel, driven: np.ndarray) -> np.ndarray:
    expr, tail = driven[:-ARKIT_TAIL], driven[-ARKIT_TAIL:]
    parts = dict(zip(("jaw", "neck", "eyes", "eyelids"), np.split(tail[None], [3, 6, 12], axis=1), strict=True))
    frame = dataclasses.replace(rest_sequence(head), expr=expr[None].astype(np.float32), **parts)
    return deform_head(head, frame).vertices - head.v_template


def test_a_fit_moves_the_whole_face_as_the_known_head_does(known: HeadModel, nameless: HeadModel) -> None:
    fit = fit_arkit_map(nameless)
    for name in ARKIT_52:
        row = ARKIT_52.index(name)
        if name in ("tongueOut", *BY_JOINT):
            continue
        there, here = moved(known, known.arkit_map[row]) * 1.06, moved(nameless, fit.table[row])
        # Blinks have no shape of their own in this head's expressions.
        limit = 1.0 if name.startswith("eyeBlink") else 0.35
        assert np.linalg.norm(here - there) < limit * np.linalg.norm(there), name


def test_jaw_and_eyes_turn_their_joints(known: HeadModel, nameless: HeadModel) -> None:
    table = fit_arkit_map(nameless).table
    for name in BY_JOINT:
        row = ARKIT_52.index(name)
        assert not table[row, :100].any()
        np.testing.assert_allclose(table[row, 100:], known.arkit_map[row, 100:], rtol=0.05, atol=1e-6)


def test_lids_close_by_the_head_s_own_shapes(known: HeadModel) -> None:
    table = fit_arkit_map(known).table
    np.testing.assert_array_equal(table[ARKIT_52.index("eyeBlinkLeft"), -2:], [1, 0])


def test_the_summary_says_how_much_is_left(nameless: HeadModel) -> None:
    fit = fit_arkit_map(nameless)
    assert "tongueOut" not in fit.residuals and 0 <= min(fit.residuals.values())
    assert "fitted from landmarks and masks" in fit.summary()


def test_a_head_without_landmarks_is_refused_by_what_to_do(nameless: HeadModel) -> None:
    with pytest.raises(MissingAsset, match="--landmarks"):
        fit_arkit_map(dataclasses.replace(nameless, landmarks={}))


def test_retargeting_says_which_map_was_used(known: HeadModel, nameless: HeadModel, caplog: pytest.LogCaptureFixture) -> None:
    track = Sequence("arkit-52", 30, np.full((2, 1), 0.5), expr_names=("jawOpen",))
    caplog.set_level(logging.INFO)
    given = np.zeros((52, 114), np.float32)
    given[ARKIT_52.index("jawOpen"), 3] = 2
    assert retarget(track, nameless, arkit_map=given).expr[0, 3] == 1
    retarget(track, known)
    retarget(track, nameless)
    assert [word in record.message for record, word in zip(
        caplog.records, ("the map that was given", "the head's own map", "fitted from landmarks"), strict=True)]


def test_a_map_comes_back_from_its_file(nameless: HeadModel, tmp_path: Path) -> None:
    table = fit_arkit_map(nameless).table
    arkit_map.write(table, nameless, tmp_path / "map.json")
    np.testing.assert_allclose(arkit_map.read(tmp_path / "map.json", nameless), table, atol=1e-6)


@pytest.mark.parametrize(("change", "error", "match"), [
    ({"edition": "flame2023"}, CheckpointMismatch, "flame2023"),
    ({"shapes": {"jawopen": {}}}, FormatError, "jawopen"),
    ({"shapes": {"jawOpen": {"jaw": [1, 2]}}}, FormatError, "expected 3 numbers"),
    ({"shapes": {"jawOpen": {"expr": [0] * 101}}}, FormatError, "up to 100"),
    ({"format": "other"}, UnsupportedFeature, "format"),
])
def test_a_wrong_file_is_told(nameless: HeadModel, tmp_path: Path, change: dict, error: type, match: str) -> None:
    value = {"format": arkit_map.FORMAT, "edition": "flame2020", "expressions": 100, "shapes": {}} | change
    (tmp_path / "map.json").write_text(json.dumps(value))
    with pytest.raises(error, match=match):
        arkit_map.read(tmp_path / "map.json", nameless)


def test_another_person_s_neutral_face_is_exchanged_for_the_avatar_s_own(nameless: HeadModel) -> None:
    rng = np.random.default_rng(1)
    driver = Sequence("flame2020", 25, rng.normal(size=(5, 50)))
    own = rng.normal(size=100).astype(np.float32)
    played = retarget(driver, nameless, "mean", own=own)
    np.testing.assert_allclose(played.expr.mean(axis=0), own[:50], atol=1e-5)
    np.testing.assert_allclose(np.diff(played.expr, axis=0), np.diff(driver.expr, axis=0), atol=1e-5)


def test_a_reader_s_options_come_from_text() -> None:
    assert importers.options("lam", {"as_original": "true", "edition": "flame2020"}) == {
        "as_original": True, "edition": "flame2020"}
    with pytest.raises(UnsupportedFeature, match="it has as_original, edition"):
        importers.options("lam", {"colour": "red"})
    with pytest.raises(FormatError, match="true or false"):
        importers.options("lam", {"as_original": "maybe"})
    with pytest.raises(UnsupportedFeature, match="no system 'nobody'"):
        importers.options("nobody", {})
