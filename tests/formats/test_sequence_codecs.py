"""Sequences as JSON, bytes, ARKit tracks and FLAME parameter files."""

import dataclasses
import json
import logging
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jsonschema import Draft202012Validator

from formats.codecs import (
    arkit_json,
    flame_npz,
    flame_params,
    npz_file,
    sequence_binary,
    sequence_json,
)
from formats.conventions import ARKIT_52
from formats.errors import AvatarError, FormatError, MissingAsset, UnsupportedFeature
from formats.sequence import Sequence
from tests.builders import assert_same, tiny_head, tiny_sequence

SCHEMA = json.loads((Path(sequence_json.__file__).parents[1] / "schemas" / "sequence.schema.json").read_text())
CODECS = {"json": sequence_json, "fpsq": sequence_binary}

CLIPS = {
    "everything": lambda: tiny_sequence(tiny_head("arkit-51", extra_joints=2), cameras=True, edition=True),
    "plain": lambda: tiny_sequence(frames=1, drivers=False, named=False),
    "still": lambda: Sequence("standin", 29.97, np.zeros((3, 6)), drivers={"a b\"c": np.zeros((3, 2))},
                              joints={"spine": np.zeros((3, 3))}),
    "no expressions": lambda: Sequence("flame2023", 24, np.zeros((2, 0)), rotation=[[0, 0, 1e-30], [-0.0, 0, 0]]),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("clip", CLIPS)
def test_round_trip_to_the_bit(codec, clip, tmp_path):
    sequence = CLIPS[clip]()
    CODECS[codec].write(sequence, tmp_path / "s")
    assert_same(sequence, CODECS[codec].read(tmp_path / "s"))
    assert CODECS[codec].sniff((tmp_path / "s").read_bytes()[:8192])
    if codec == "json":
        Draft202012Validator(SCHEMA).validate(json.loads((tmp_path / "s").read_text()))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (2, 5), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_every_float32_survives_json(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "floats.json"
    sequence = Sequence("standin", 25, values)
    sequence_json.write(sequence, path)
    assert_same(sequence, sequence_json.read(path))


def test_json_is_one_frame_per_line_after_its_header(tmp_path):
    sequence_json.write(tiny_sequence(frames=3), tmp_path / "s.json")
    lines = (tmp_path / "s.json").read_text().splitlines()
    start = lines.index('"frames": [')
    assert lines[1] == '"format": "flameport.sequence/1",'
    frames = [json.loads(line.rstrip(",")) for line in lines[start + 1:start + 4]]
    assert all("expr" in frame for frame in frames) and lines[start + 4:] == ["]", "}"]


def test_a_person_may_write_only_what_moves(tmp_path):
    (tmp_path / "s.json").write_text('{"format": "flameport.sequence/1", "basis": "standin", "fps": 25, "frames": ['
                                     '{}, {"jaw": [0.2, 0, 0]}, {"expr": [1, 0], "drivers": {"mood": [3]}}]}')
    sequence = sequence_json.read(tmp_path / "s.json")
    assert sequence.expr.tolist() == [[0, 0], [0, 0], [1, 0]]
    assert sequence.jaw[1, 0] == np.float32(0.2) and sequence.drivers["mood"].tolist() == [[0], [0], [3]]


def test_binary_layout_is_what_the_specification_says(tmp_path):
    data = sequence_binary.pack(Sequence("standin", 25, [[1.5, -2]], jaw=[[0, 0.25, 0]], shape=[7]))
    magic, version, length, reserved = struct.unpack_from("<4sIII", data)
    assert (magic, version, reserved, length % 16) == (b"FPSQ", 1, 0, 0)
    header = json.loads(data[16:16 + length])
    assert header["blocks"] == [{"name": "expr", "shape": [1, 2]}, {"name": "jaw", "shape": [1, 3]},
                                {"name": "shape", "shape": [1]}]
    assert np.frombuffer(data, "<f4", offset=16 + length).tolist() == [1.5, -2, 0, 0.25, 0, 7]


def test_the_example_in_the_specification_is_true():
    text = (Path(sequence_json.__file__).parents[1] / "SPEC.md").read_text()
    header, length, blocks = re.search(r"`(\{\"format\".*?\]\})`\npadded to (\d+) bytes, then 20 bytes `([0-9a-f ]+)`",
                                       text).groups()
    data = sequence_binary.pack(Sequence("standin", 25, [[1.5, -2]], jaw=[[0, 0.25, 0]]))
    assert data[16:16 + int(length)].decode() == header.ljust(int(length))
    assert data[16 + int(length):] == bytes.fromhex(blocks)


def wrong(**changes):
    """Return a sequence text with fields changed, or removed by None."""
    good = {"format": "flameport.sequence/1", "basis": "standin", "fps": 25, "expr_count": 2,
            "frames": [{"expr": [1, 2]}, {"jaw": [0, 0, 0]}]}
    return json.dumps({k: v for k, v in (good | changes).items() if v is not None})


WRONG_JSON = {
    "not json": ("{", FormatError, "not JSON at line 1"),
    "a list": ("[]", FormatError, "expected an object"),
    "NaN": (wrong().replace("[1, 2]", "[1, NaN]"), FormatError, "NaN"),
    "infinite": (wrong().replace("[1, 2]", "[1, 1e999]"), FormatError, "not finite"),
    "beyond float32": (wrong().replace("[1, 2]", "[1, 1e39]"), FormatError, "not finite"),
    "a huge integer": (wrong().replace("[1, 2]", "[1, 1" + "0" * 400 + "]"), FormatError, "out of range"),
    "no format": (wrong(format=None), FormatError, "'format' is missing"),
    "another format": (wrong(format="flameport.camera/1"), FormatError, "expected 'flameport.sequence/1'"),
    "next version": (wrong(format="flameport.sequence/2"), UnsupportedFeature, "this version reads"),
    "no basis": (wrong(basis=None), FormatError, "'basis' is missing"),
    "unknown basis": (wrong(basis="smpl"), FormatError, "smpl"),
    "fps text": (wrong(fps="25"), FormatError, "'fps': expected a number, got text"),
    "fps true": (wrong(fps=True), FormatError, "got true or false"),
    "fps zero": (wrong(fps=0), FormatError, "rate in 0..1000"),
    "no frames": (wrong(frames=[]), FormatError, "is empty"),
    "frames object": (wrong(frames={}), FormatError, "'frames': expected a list"),
    "frame number": (wrong(frames=[3]), FormatError, "frame 0: expected an object"),
    "frame count": (wrong(frame_count=3), FormatError, "says 3, there are 2"),
    "short row": (wrong(frames=[{"expr": [1, 2]}, {"expr": [1]}]), FormatError, "frame 1: 'expr': expected 2 numbers"),
    "text in row": (wrong(frames=[{"expr": [1, "2"]}]), FormatError, "found text"),
    "bool in row": (wrong(frames=[{"expr": [1, True]}]), FormatError, "found true or false"),
    "null in row": (wrong(frames=[{"expr": [1, None]}]), FormatError, "found null"),
    "nested row": (wrong(frames=[{"expr": [[1, 2]]}]), FormatError, "flat list"),
    "ragged row": (wrong(frames=[{"expr": [[1], [1, 2]]}]), FormatError, "differ in length"),
    "some cameras": (wrong(frames=[{"camera": {"K": [], "world_to_camera": [], "size": []}}, {}]), FormatError,
                     "frame 1: 'camera' is missing"),
    "camera shape": (wrong(frames=[{"camera": {"K": [1], "world_to_camera": [], "size": []}}]), FormatError,
                     r"'K': expected shape \[3, 3\]"),
    "range outside": (wrong(ranges={"a": [0, 9]}), FormatError, "not inside"),
    "range text": (wrong(ranges={"a": ["0", 1]}), FormatError, "first frame"),
    "names": (wrong(expr_names=["a"]), FormatError, "expected 2 names"),
    "huge count": (wrong(expr_count=2**31), FormatError, "expr_count"),
    "many claimed": (wrong(expr_count=None, drivers={str(i): 1 << 20 for i in range(99)}), FormatError, "more than"),
    "driver width": (wrong(drivers={"a": -1}), FormatError, "'a'"),
    "joints": (wrong(joints=[1]), FormatError, "list of texts"),
    "shape nested": (wrong(shape=[[1]]), FormatError, "flat list"),
}


@pytest.mark.parametrize("case", WRONG_JSON)
def test_wrong_json_ends_in_one_clear_error(case, tmp_path):
    text, error, message = WRONG_JSON[case]
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(error, match=message) as caught:
        sequence_json.read(tmp_path / "s.json")
    assert str(tmp_path) in str(caught.value) or case == "many claimed"
    assert "\n" not in str(caught.value)


def test_unknown_fields_warn(tmp_path, caplog):
    (tmp_path / "s.json").write_text(wrong(mood="sunny", frames=[{"expr": [1, 2], "smell": 1}]))
    with caplog.at_level(logging.WARNING):
        sequence_json.read(tmp_path / "s.json")
    assert "mood" in caplog.text and "smell" in caplog.text


def binary(header: dict, blocks: bytes = b"") -> bytes:
    text = json.dumps({"format": "flameport.sequence/1", "basis": "standin", "fps": 25, "frame_count": 1,
                       "expr_count": 2, "blocks": []} | header).encode()
    return struct.pack("<4sIII", b"FPSQ", 1, len(text), 0) + text + blocks


WRONG_BYTES = {
    "empty": b"",
    "magic": b"RIFF" + bytes(20),
    "header length": struct.pack("<4sIII", b"FPSQ", 1, 1 << 30, 0),
    "reserved": struct.pack("<4sIII", b"FPSQ", 1, 2, 9) + b"{}",
    "no format": struct.pack("<4sIII", b"FPSQ", 1, 2, 0) + b"{}",
    "cut": binary({"blocks": [{"name": "expr", "shape": [1, 2]}]}, bytes(7)),
    "too long": binary({}, bytes(4)),
    "frames": binary({"frame_count": 0}),
    "many frames": binary({"frame_count": 1 << 40}),
    "empty claims": binary({"frame_count": 1 << 20, "expr_count": 1 << 20}),
    "unknown block": binary({"blocks": [{"name": "smell", "shape": [1, 2]}]}, bytes(8)),
    "block shape": binary({"blocks": [{"name": "expr", "shape": [2, 1]}]}, bytes(8)),
    "shape text": binary({"blocks": [{"name": "expr", "shape": "12"}]}, bytes(8)),
    "shape bool": binary({"blocks": [{"name": "expr", "shape": [True, 2]}]}, bytes(8)),
    "twice": binary({"blocks": [{"name": "expr", "shape": [1, 2]}] * 2}, bytes(16)),
    "shape not flat": binary({"blocks": [{"name": "shape", "shape": [1, 1]}]}, bytes(4)),
    "NaN": binary({"blocks": [{"name": "expr", "shape": [1, 2]}]}, struct.pack("<2f", float("nan"), 0)),
    "one camera array": binary({"blocks": [{"name": "cameras.size", "shape": [1, 2]}]}, bytes(8)),
}


@pytest.mark.parametrize("case", WRONG_BYTES)
def test_wrong_bytes_end_in_one_clear_error(case, tmp_path):
    (tmp_path / "s.fpsq").write_bytes(WRONG_BYTES[case])
    with pytest.raises(FormatError, match="s.fpsq"):
        sequence_binary.read(tmp_path / "s.fpsq")


def test_another_binary_version_is_refused(tmp_path):
    (tmp_path / "s.fpsq").write_bytes(struct.pack("<4sIII", b"FPSQ", 2, 2, 0) + b"{}")
    with pytest.raises(UnsupportedFeature, match="version 2"):
        sequence_binary.read(tmp_path / "s.fpsq")


@pytest.mark.parametrize("module", [sequence_json, sequence_binary, arkit_json, flame_npz, flame_params, npz_file])
def test_absent_files_and_folders(module, tmp_path):
    with pytest.raises(MissingAsset):
        module.read(tmp_path / "absent.json")
    with pytest.raises(AvatarError):
        module.read(tmp_path)


# --- ARKit ------------------------------------------------------------------------------------------------------------


def test_arkit_json_maps_by_name(tmp_path, caplog):
    names = ["jawOpen", "_neutral", "browDownLeft", "wink"]
    (tmp_path / "a.json").write_text(json.dumps({"names": names, "frames": [{"weights": [0.5, 9, 0.25, 1]}] * 2}))
    with caplog.at_level(logging.WARNING):
        sequence = arkit_json.read(tmp_path / "a.json")
    assert sequence.basis == "arkit-52" and sequence.fps == 30
    assert sequence.expr_names == ("browDownLeft", "jawOpen") and sequence.expr[0].tolist() == [0.25, 0.5]
    assert "wink" in caplog.text and "_neutral" not in caplog.text


@pytest.mark.parametrize("where, fps", [({"fps": 24}, 24), ({"metadata": {"fps": 59.94}}, 59.94), ({}, 30)])
def test_arkit_json_frame_rate(where, fps, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"names": ["jawOpen"], "frames": [{"weights": [0]}]} | where))
    assert arkit_json.read(tmp_path / "a.json").fps == fps
    assert arkit_json.read(tmp_path / "a.json", fps=12).fps == 12


def test_arkit_json_round_trip(tmp_path):
    weights = np.random.default_rng(0).uniform(0, 1, (4, 52)).astype(np.float32)
    sequence = Sequence("arkit-52", 29.97, weights, expr_names=ARKIT_52)
    arkit_json.write(sequence, tmp_path / "a.json")
    assert_same(sequence, arkit_json.read(tmp_path / "a.json"))
    with pytest.raises(FormatError, match="no place for jaw"):
        arkit_json.write(dataclasses.replace(sequence, jaw=np.ones((4, 3))), tmp_path / "b.json")
    with pytest.raises(FormatError, match="standin"):
        arkit_json.write(tiny_sequence(), tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()


def live_link(rows: int) -> str:
    head = "Timecode,BlendShapeCount," + ",".join(n[0].upper() + n[1:] for n in reversed(ARKIT_52)) + ",HeadYaw\n"
    return head + "".join(f"10:00:{i // 50:02d}:{i % 50:02d}.{i:03d},61," + ",".join(str(k / 100) for k in range(52))
                          + ",0.5\r\n" for i in range(rows))


def test_live_link_csv(tmp_path, caplog):
    (tmp_path / "a.csv").write_bytes(live_link(160).encode())
    with caplog.at_level(logging.WARNING):
        sequence = arkit_json.read(tmp_path / "a.csv")
    assert sequence.fps == 50 and len(sequence) == 160 and sequence.expr_names == ARKIT_52
    assert sequence.expr[0, -1] == 0 and sequence.expr[0, 0] == np.float32(0.51)
    assert "headYaw" in caplog.text
    (tmp_path / "short.csv").write_text(live_link(3))
    assert arkit_json.read(tmp_path / "short.csv").fps == 60


WRONG_ARKIT = {
    "no shape": ("a.json", '{"names": ["smile"], "frames": [{"weights": [0]}]}', "ARKit shape"),
    "row": ("a.json", '{"names": ["jawOpen"], "frames": [{"weights": [0, 1]}]}', "2 weights for 1 names"),
    "nested": ("a.json", '{"names": ["jawOpen"], "frames": [{"weights": [[0]]}]}', "flat list"),
    "text": ("a.json", '{"names": ["jawOpen"], "frames": [{"weights": ["0"]}]}', "found text"),
    "empty": ("a.json", '{"names": ["jawOpen"], "frames": []}', "empty"),
    "twice": ("a.json", '{"names": ["jawOpen", "jawOpen"], "frames": [{"weights": [0, 1]}]}', "named twice"),
    "fps": ("a.json", '{"names": ["jawOpen"], "frames": [{"weights": [0]}], "fps": -3}', "rate"),
    "no names": ("a.json", '{"frames": []}', "'names' is missing"),
    "csv head only": ("a.csv", "Timecode,JawOpen\n", "1 lines"),
    "csv cells": ("a.csv", "Timecode,JawOpen\n1,2\n1\n", "line 3 has 1 cells"),
    "csv text": ("a.csv", "Timecode,JawOpen\n1,open\n", "expected numbers"),
    "csv nan": ("a.csv", "Timecode,JawOpen\n1,nan\n", "not finite"),
}


@pytest.mark.parametrize("case", WRONG_ARKIT)
def test_wrong_arkit_tracks(case, tmp_path):
    name, text, message = WRONG_ARKIT[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=message):
        arkit_json.read(tmp_path / name)


@pytest.mark.lam
def test_the_lam_track():
    import os

    data = Path(os.environ.get("FLAMEPORT_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = data / "lam_test_expression_1s.json"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    sequence = arkit_json.read(path)
    assert sequence.expr_names == ARKIT_52 and sequence.fps == 30 and sequence.expr.max() <= 1


# --- FLAME parameters -------------------------------------------------------------------------------------------------


def vhap(frames: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    arrays = {"expr": (frames, 100), "rotation": (frames, 3), "neck_pose": (frames, 3), "jaw_pose": (frames, 3),
              "eyes_pose": (frames, 6), "translation": (frames, 3), "shape": (300,), "static_offset": (1, 9, 3),
              "dynamic_offset": (frames, 9, 3)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in arrays.items()}


def test_vhap_npz(tmp_path):
    arrays = vhap()
    np.savez(tmp_path / "v.npz", **arrays, timestep_id=np.array(["a", "b", "c"]))
    sequence = flame_npz.read(tmp_path / "v.npz", "flame2023", 24)
    assert sequence.fps == 24 and sequence.basis == "flame2023"
    for ours, theirs in {"expr": "expr", "rotation": "rotation", "neck": "neck_pose", "jaw": "jaw_pose",
                         "eyes": "eyes_pose", "translation": "translation", "shape": "shape"}.items():
        assert (getattr(sequence, ours) == arrays[theirs]).all(), ours
    shape, offset = flame_npz.read_identity(tmp_path / "v.npz")
    assert (shape == arrays["shape"]).all() and (offset == arrays["static_offset"][0]).all()
    with pytest.raises(FormatError, match="--edition"):
        flame_npz.read(tmp_path / "v.npz")


def test_our_npz_says_its_basis(tmp_path):
    sequence = dataclasses.replace(tiny_sequence(drivers=False, named=False, edition=True), eyelids=None, ranges={})
    flame_npz.write(sequence, tmp_path / "v.npz")
    assert_same(sequence, flame_npz.read(tmp_path / "v.npz"))
    with pytest.raises(FormatError, match="drivers, eyelids"):
        flame_npz.write(tiny_sequence(), tmp_path / "w.npz")


WRONG_NPZ = {
    "names": ({"expression": np.zeros((2, 5))}, "'expr' missing"),
    "frames": ({"expr": np.zeros((2, 5)), "rotation": np.zeros((3, 3))}, "3 frames"),
    "width": ({"expr": np.zeros((2, 5)), "eyes_pose": np.zeros((2, 3))}, r"\[T, 6\]"),
    "text": ({"expr": np.array([["a"]])}, "expected numbers"),
    "NaN": ({"expr": np.full((2, 5), np.nan)}, "not finite"),
    "fps": ({"expr": np.zeros((2, 5)), "fps": np.zeros(3)}, "one number"),
    "shape": ({"expr": np.zeros((2, 5)), "shape": np.zeros((2, 300))}, "'shape'"),
    "pickle": ({"expr": np.array([{"run": "me"}], object)}, "pickled"),
    "record": ({"expr": np.zeros(2, [("a", "f4")])}, "expected numbers or text"),
}


@pytest.mark.parametrize("case", WRONG_NPZ)
def test_wrong_npz(case, tmp_path):
    arrays, message = WRONG_NPZ[case]
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(FormatError, match=message):
        flame_npz.read(tmp_path / "v.npz", "flame2020")


def test_an_array_that_claims_more_than_it_holds(tmp_path):
    import zipfile

    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 9), }\n"
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("expr.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(36))
    with pytest.raises(FormatError, match="bytes, 36 are there"):
        npz_file.read(tmp_path / "v.npz")


def imavatar() -> dict:
    frame = {"file_path": "./image/1", "world_mat": [[1, 0, 0, 0.4], [0, 1, 0, -0.2], [0, 0, 1, -4.0]],
             "expression": list(range(50)), "pose": [i / 10 for i in range(15)], "bbox": [0, 0, 1, 1]}
    return {"frames": [frame, frame], "intrinsics": [-4.0, 4.0, 0.5, 0.5], "shape_params": [0.5] * 100}


def test_flame_params_come_in_metres_and_opencv_axes(tmp_path):
    from PIL import Image

    (tmp_path / "flame_params.json").write_text(json.dumps(imavatar()))
    sequence = flame_params.read(tmp_path / "flame_params.json")
    assert sequence.basis == "flame2020" and sequence.expr.shape == (2, 50) and sequence.shape.shape == (100,)
    assert sequence.neck[0].tolist() == pytest.approx([0.3, 0.4, 0.5])
    assert sequence.eyes[0].tolist() == pytest.approx([0.9, 1.0, 1.1, 1.2, 1.3, 1.4])
    # The sheet: w2c = diag(1, -1, -1) [R | t / 4]; the head, a metre ahead, is at positive z for OpenCV.
    assert sequence.cameras["world_to_camera"][0].tolist() == [
        pytest.approx(row) for row in ([1, 0, 0, 0.1], [0, -1, 0, 0.05], [0, 0, -1, 1], [0, 0, 0, 1])]
    assert sequence.cameras["K"][0].tolist() == [[2048, 0, 256], [0, 2048, 256], [0, 0, 1]]
    (tmp_path / "image").mkdir()
    Image.new("RGB", (64, 32)).save(tmp_path / "image" / "1.png")
    assert flame_params.read(tmp_path / "flame_params.json").cameras["size"][1].tolist() == [64, 32]


@pytest.mark.parametrize("change, message", [
    ({"frames": []}, "empty"), ({"intrinsics": [1, 2, 3]}, "expected 4 numbers"), ({"intrinsics": None}, "missing"),
    ({"frames": [{"expression": [1], "pose": [0] * 14}]}, "'pose': expected 15"),
    ({"frames": [{"expression": [1], "pose": [0] * 15, "world_mat": [[1]]}]}, "world_mat"),
    ({"frames": [{"expression": [1]}, {"expression": [1, 2]}]}, "differ"),
])
def test_wrong_flame_params(change, message, tmp_path):
    (tmp_path / "flame_params.json").write_text(json.dumps(imavatar() | change))
    with pytest.raises(FormatError, match=message):
        flame_params.read(tmp_path / "flame_params.json")


# --- Fuzz -------------------------------------------------------------------------------------------------------------


def _samples(folder: Path) -> dict[str, bytes]:
    still = dataclasses.replace(tiny_sequence(drivers=False, frames=2), eyelids=None)
    sequence_json.write(tiny_sequence(cameras=True, frames=2), folder / "s.json")
    sequence_binary.write(tiny_sequence(cameras=True, frames=2), folder / "s.fpsq")
    flame_npz.write(still, folder / "s.npz")
    (folder / "flame_params.json").write_text(json.dumps(imavatar()))
    (folder / "a.csv").write_text(live_link(2))
    (folder / "a.json").write_text(json.dumps({"names": ["jawOpen"], "frames": [{"weights": [0.5]}]}))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


READERS = {"s.json": sequence_json, "s.fpsq": sequence_binary, "s.npz": flame_npz, "a.csv": arkit_json,
           "a.json": arkit_json, "flame_params.json": flame_params}


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_flipped_bytes_never_raise_anything_else(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    if not folder.exists():
        folder.mkdir()
        _samples(folder)
        (folder / "samples").mkdir()
        for path in list(folder.iterdir()):
            if path.is_file():
                path.rename(folder / "samples" / path.name)
    name = data.draw(st.sampled_from(sorted(READERS)))
    damaged = bytearray((folder / "samples" / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    (folder / name).write_bytes(damaged[:cut])
    try:
        READERS[name].read(folder / name)
    except AvatarError as error:
        assert "\n" not in str(error)
