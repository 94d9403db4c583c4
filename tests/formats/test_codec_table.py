"""The table of codecs: every row keeps the same contract, and files are told apart by content."""

import dataclasses
import inspect
import json
import zipfile

import numpy as np
import pytest

from formats import codecs
from formats.codecs import (
    arkit_json,
    bundle,
    camera_json,
    flame_npz,
    head_file,
    inria_ply,
    npz_file,
    sequence_binary,
    sequence_json,
    spz,
    unity_avatar,
)
from formats.conventions import ARKIT_52
from formats.errors import FormatError, MissingAsset
from formats.sequence import Sequence
from tests.builders import assert_same, tiny_avatar, tiny_camera, tiny_cloud, tiny_head, tiny_sequence


def still():
    return dataclasses.replace(tiny_sequence(drivers=False, named=False), eyelids=None, ranges={})


def flame_params(path):
    path.write_text(json.dumps({"frames": [{"expression": [0.5], "pose": [0] * 15, "world_mat": [
        [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -4]]}], "intrinsics": [-4, 4, 0.5, 0.5]}))


FILES = {
    "bundle": (".avatar", lambda path: bundle.write(tiny_avatar(), path)),
    "inria_ply": (".ply", lambda path: inria_ply.write(tiny_cloud(), path)),
    "spz": (".spz", lambda path: spz.write(tiny_cloud(), path)),
    "unity_avatar": (".flameavatar", lambda path: path.write_bytes(unity_avatar.to_bytes(
        dataclasses.replace(tiny_avatar("linear"), maps=None)))),
    "sequence_binary": (".fpsq", lambda path: sequence_binary.write(tiny_sequence(), path)),
    "sequence_json": (".json", lambda path: sequence_json.write(tiny_sequence(), path)),
    "camera_json": (".json", lambda path: camera_json.write(tiny_camera(), path)),
    "flame_params": (".json", flame_params),
    "arkit_json": (".json", lambda path: arkit_json.write(Sequence("arkit-52", 30, np.zeros((2, 52)),
                                                                  expr_names=ARKIT_52), path)),
    "head_file": (".safetensors", lambda path: head_file.write(tiny_head(), path)),
    "flame_npz": (".npz", lambda path: flame_npz.write(still(), path)),
    "npz": (".npz", lambda path: npz_file.write({"a": np.zeros(3)}, path)),
}


@pytest.mark.parametrize("name", codecs.CODECS)
def test_every_row_keeps_the_contract(name):
    module = codecs.codec(name)
    reader = getattr(module, "read", None) or module.read_document
    assert list(inspect.signature(module.sniff).parameters) == ["head"]
    assert not module.sniff(b"") and not module.sniff(b"\0" * 64)
    assert inspect.signature(reader).return_annotation is not inspect.Signature.empty
    if hasattr(module, "write"):
        assert "path" in inspect.signature(module.write).parameters


@pytest.mark.parametrize("name", FILES)
def test_files_are_told_apart_by_content_whatever_they_are_called(name, tmp_path):
    extension, make = FILES[name]
    for path in (tmp_path / f"right{extension}", tmp_path / "wrong.txt"):
        make(path)
        assert codecs.sniff(path) == name


def test_a_file_that_says_nothing_goes_by_its_extension(tmp_path):
    for extension, name in codecs.EXTENSIONS.items():
        (tmp_path / f"x{extension}").write_bytes(b"?")
        assert codecs.sniff(tmp_path / f"x{extension}") == name
    (tmp_path / "x.doc").write_bytes(b"?")
    with pytest.raises(FormatError, match="nothing flameport knows; it reads bundle"):
        codecs.sniff(tmp_path / "x.doc")


def test_zips_and_folders(tmp_path):
    bundle.write(tiny_avatar(), tmp_path / "x.zip")
    assert codecs.sniff(tmp_path / "x.zip") == "bundle"
    with zipfile.ZipFile(tmp_path / "lam.zip", "w") as archive:
        for name in ("p/skin.glb", "p/offset.ply"):
            archive.writestr(name, b"")
    with pytest.raises(FormatError, match="import lam"):
        codecs.sniff(tmp_path / "lam.zip")
    with pytest.raises(FormatError, match="are read as motion only"):
        codecs.sniff(tmp_path)
    with pytest.raises(MissingAsset):
        codecs.sniff(tmp_path / "absent")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "x.zip").read_bytes()[:500])
    with pytest.raises(FormatError, match="zip"):
        codecs.sniff(tmp_path / "cut.zip")


def test_read_avatar(tmp_path):
    bundle.write(tiny_avatar(), tmp_path / "x.avatar")
    assert_same(tiny_avatar(), codecs.read_avatar(tmp_path / "x.avatar"))
    camera_json.write(tiny_camera(), tmp_path / "c.json")
    with pytest.raises(FormatError, match="is camera_json, expected an avatar"):
        codecs.read_avatar(tmp_path / "c.json")


@pytest.mark.parametrize("name", codecs.SEQUENCES)
def test_read_sequence(name, tmp_path):
    path = tmp_path / f"s{FILES[name][0]}"
    FILES[name][1](path)
    assert isinstance(codecs.read_sequence(path), Sequence)


def test_read_sequence_passes_what_a_file_does_not_say(tmp_path):
    np.savez(tmp_path / "v.npz", expr=np.zeros((2, 5)), jaw_pose=np.zeros((2, 3)))
    sequence = codecs.read_sequence(tmp_path / "v.npz", edition="flame2023", fps=24)
    assert (sequence.basis, sequence.fps) == ("flame2023", 24)
    with pytest.raises(FormatError, match="expected motion"):
        inria_ply.write(tiny_cloud(), tmp_path / "c.ply")
        codecs.read_sequence(tmp_path / "c.ply")
