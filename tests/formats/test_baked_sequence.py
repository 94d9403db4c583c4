"""BakedAvatar's `sequence_data` folder: its bytes, its ranges, and what it has no place for."""

import dataclasses
import json

import numpy as np
import pytest

from formats.codecs import baked_sequence, npy_file
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.sequence import Sequence


def clip(frames=7, expressions=50, **fields) -> Sequence:
    rng = np.random.default_rng(4)
    return Sequence("flame2020", 25, rng.normal(0, 1, (frames, expressions)), rotation=rng.normal(0, 0.3, (frames, 3)),
                    neck=rng.normal(0, 0.1, (frames, 3)), jaw=rng.normal(0, 0.1, (frames, 3)),
                    eyes=rng.normal(0, 0.1, (frames, 6)), **fields)


def test_the_files_are_what_the_demo_reads(tmp_path):
    """Version 1, a short header, C order, little-endian float32; columns in the order of its own exporter."""
    given = clip(ranges={"subject_b": (3, 7), "subject_a": (0, 3)})
    folder = baked_sequence.write(given, tmp_path / "sequence_data")
    data = (folder / "flame_sequences.npy").read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00" and data[9] == 0 and b"'<f4'" in data[:128] and b"False" in data[:128]
    rows = np.frombuffer(data, "<f4", offset=10 + data[8]).reshape(7, 65)
    np.testing.assert_array_equal(rows, np.concatenate(
        [given.expr, given.rotation, given.neck, given.jaw, given.eyes[:, :3], given.eyes[:, 3:]], axis=1))
    table = json.loads((folder / "flame_sequences.json").read_text())
    assert list(table.items()) == [("subject_b", {"start": 3, "end": 7}), ("subject_a", {"start": 0, "end": 3})]
    assert {file.name for file in folder.iterdir()} == {"flame_sequences.npy", "flame_sequences.json"}


def test_what_is_written_reads_back_and_replaces_what_was_there(tmp_path):
    folder = tmp_path / "sequence_data"
    baked_sequence.write(clip(3), folder)
    assert dict(baked_sequence.read(folder).ranges) == {baked_sequence.DEFAULT_RANGE: (0, 3)}
    given = clip(ranges={"one": (0, 2), "two": (1, 7)})
    baked_sequence.write(given, folder)
    for back in (baked_sequence.read(folder), baked_sequence.read(folder / "flame_sequences.npy")):
        assert back.basis == "flame2020" and back.fps == 25 and dict(back.ranges) == dict(given.ranges)
        for name in ("expr", "rotation", "neck", "jaw", "eyes"):
            np.testing.assert_array_equal(getattr(back, name), getattr(given, name))
        assert not back.translation.any() and not back.eyelids.any()


def test_a_clip_without_its_json_has_no_ranges(tmp_path):
    np.save(tmp_path / "flame_sequences.npy", np.zeros((2, 65), np.float64))
    assert len(baked_sequence.read(tmp_path)) == 2 and not baked_sequence.read(tmp_path).ranges


def test_few_expressions_and_named_ones_find_their_columns(tmp_path):
    folder = baked_sequence.write(clip(2, 3), tmp_path / "a")
    assert not baked_sequence.read(folder).expr[:, 3:].any()
    named = dataclasses.replace(clip(2, 2), expr_names=("expr049", "expr001"))
    back = baked_sequence.read(baked_sequence.write(named, tmp_path / "b")).expr
    np.testing.assert_array_equal(back[:, [49, 1]], named.expr)
    assert np.count_nonzero(back.any(axis=0)) == 2
    silent = dataclasses.replace(clip(2, 60), expr=np.pad(clip(2).expr, ((0, 0), (0, 10))))
    np.testing.assert_array_equal(baked_sequence.read(baked_sequence.write(silent, tmp_path / "c")).expr, clip(2).expr)


@pytest.mark.parametrize("change, error, message", [
    ({"basis": "flame2023"}, CheckpointMismatch, "flame2023"),
    ({"translation": np.full((7, 3), 0.25)}, UnsupportedFeature, r"translation \(up to 0.25\)"),
    ({"eyelids": np.full((7, 2), 0.5)}, UnsupportedFeature, r"eyelids \(up to 0.5\)"),
    ({"joints": {"spine": np.ones((7, 3))}}, UnsupportedFeature, "joint 'spine'"),
    ({"fps": 30}, UnsupportedFeature, "30 frames a second"),
    ({"expr": np.ones((7, 51))}, UnsupportedFeature, r"'expr050' \(up to 1\)"),
])
def test_what_has_no_place_is_named_with_a_number(change, error, message, tmp_path):
    with pytest.raises(error, match=message):
        baked_sequence.write(dataclasses.replace(clip(), **change), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_strangers_folder_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FormatError, match="thesis.tex"):
        baked_sequence.write(clip(), tmp_path)
    assert (tmp_path / "thesis.tex").exists()


DAMAGE = {
    "narrow": (lambda f: np.save(f / "flame_sequences.npy", np.zeros((4, 64), "f4")), r"\[frames, 65\]"),
    "whole numbers": (lambda f: np.save(f / "flame_sequences.npy", np.zeros((4, 65), int)), r"\[frames, 65\]"),
    "no frames": (lambda f: np.save(f / "flame_sequences.npy", np.zeros((0, 65), "f4")), r"\[frames, 65\]"),
    "not finite": (lambda f: np.save(f / "flame_sequences.npy", np.full((7, 65), np.nan, "f4")), "not finite"),
    "cut": (lambda f: (f / "flame_sequences.npy").write_bytes((f / "flame_sequences.npy").read_bytes()[:-4]), "bytes"),
    "beyond": (lambda f: (f / "flame_sequences.json").write_text('{"a": {"start": 2, "end": 9}}'), "'a': frames 2 to 9"),
    "backwards": (lambda f: (f / "flame_sequences.json").write_text('{"a": {"start": 2, "end": 2}}'), "'a'"),
    "no end": (lambda f: (f / "flame_sequences.json").write_text('{"a": {"start": 2}}'), "'end'"),
    "no object": (lambda f: (f / "flame_sequences.json").write_text("[]"), "expected an object"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_files_are_named(kind, tmp_path):
    folder = baked_sequence.write(clip(), tmp_path / "s")
    damage, message = DAMAGE[kind]
    damage(folder)
    with pytest.raises(FormatError, match=message) as caught:
        baked_sequence.read(folder)
    assert "flame_sequences" in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_there_and_pickled_objects(tmp_path):
    with pytest.raises(MissingAsset, match="no such file"):
        baked_sequence.read(tmp_path)
    np.save(tmp_path / "flame_sequences.npy", np.array([{"a": 1}], object))
    with pytest.raises(AvatarError, match="pickled Python objects"):
        baked_sequence.read(tmp_path)
    assert npy_file.sniff((tmp_path / "flame_sequences.npy").read_bytes()) and not npy_file.sniff(b"PK\x03\x04")
