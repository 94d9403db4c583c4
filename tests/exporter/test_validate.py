"""Validation finds what is wrong, and says in numbers what is right."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import web_viewer
from exporter import khronos
from exporter.export import export
from exporter.targets import glb, ply
from exporter.validate import validate
from exporter.validation_report import ValidationReport
from formats.avatar import Avatar
from formats.codecs.glb import read_document
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from tests.builders import tiny_avatar, tiny_head, tiny_sequence
from tests.exporter.every_target import stand_in_viewer


@pytest.fixture(autouse=True)
def without_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(khronos, "available", lambda: False)


def value(report: ValidationReport, what: str) -> float:
    return next(m.value for m in report.measures if m.what.startswith(what))


def exported(avatar: Avatar, path: Path, target: str = "glb", **options: object) -> Path:
    kinds = {"glb": glb.Options, "ply": ply.Options}
    export(avatar, target, path, kinds[target](**options) if target in kinds else None, allow_loss=True)
    return path


@pytest.mark.parametrize("grade", ["plain", "full"])
@pytest.mark.parametrize("kind", ["linear", "vertex-index"])
def test_a_good_glb_passes(kind: str, grade: str, tmp_path: Path) -> None:
    avatar = tiny_avatar(kind)
    report = validate(exported(avatar, tmp_path / "a.glb", grade=grade), avatar)
    assert report.ok and not report.failure and report.kind == f"glb {grade}"
    assert value(report, "plain glTF player at keys") < 1e-3
    assert value(report, "picture") > 100
    json.dumps(report.as_dict(), allow_nan=False)
    assert all(len(row) == 3 for row in report.rows())


def test_a_single_wrong_number_fails(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    path = exported(avatar, tmp_path / "a.glb")
    document = read_document(path)
    position = document.json["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
    view = document.json["bufferViews"][document.json["accessors"][position]["bufferView"]]
    data = bytearray(path.read_bytes())
    start = len(data) - len(document.binary) + view["byteOffset"]
    number = np.frombuffer(data, "<f4", 1, start)[0] + np.float32(2e-5)
    data[start:start + 4] = np.float32(number).tobytes()
    path.write_bytes(data)
    report = validate(path, avatar)
    assert not report.ok and "head vertices" in report.failure and "at most 0.01" in report.failure


def test_another_bundle_fails(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    path = exported(avatar, tmp_path / "a.glb")
    cloud = avatar.layers[0].cloud
    moved = dataclasses.replace(avatar.layers[0], cloud=dataclasses.replace(cloud, sh=cloud.sh + 0.2))
    report = validate(path, dataclasses.replace(avatar, layers=(moved,)))
    assert not report.ok and "picture" in report.failure and "colours" in report.failure
    with pytest.raises(CheckpointMismatch):
        validate(path, tiny_avatar("edge-height", head=tiny_head(extra_joints=1)))
    with pytest.raises(CheckpointMismatch, match="layers"):
        validate(path, dataclasses.replace(avatar, layers=()))


def test_a_network_that_was_left_out_is_found(tmp_path: Path) -> None:
    avatar = tiny_avatar("world")
    still = dataclasses.replace(avatar, layers=(dataclasses.replace(avatar.layers[0], dynamics=None),), networks={})
    assert validate(exported(avatar, tmp_path / "a.glb"), avatar).ok
    report = validate(exported(still, tmp_path / "b.glb"), avatar)
    assert not report.ok and "Gaussian means" in report.failure and "picture" in report.failure


def test_lids_after_skinning_are_told_in_millimetres(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", head=dataclasses.replace(tiny_head(), eyelid_space="posed"))
    report = validate(exported(avatar, tmp_path / "a.glb"), avatar)
    note = next(loss for loss in report.losses if "eyelids before skinning" in loss.what)
    assert report.ok and not note.blocking and "mm" in note.amount


def test_another_clip_is_a_note(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", sequence=False)
    with_clip = dataclasses.replace(avatar, sequence=tiny_sequence(avatar.head, 6))
    report = validate(exported(with_clip, tmp_path / "a.glb"), avatar)
    assert report.ok and any("another clip" in note for note in report.notes)


def test_cameras_become_head_motion(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", sequence=False)
    avatar = dataclasses.replace(avatar, sequence=tiny_sequence(avatar.head, 6, cameras=True))
    for mode in ("head", "camera"):
        report = validate(exported(avatar, tmp_path / f"{mode}.glb", head_motion=mode), avatar)
        assert report.ok and value(report, "the clip's keys") < 1e-3
    head, camera = (read_document(tmp_path / f"{mode}.glb").binary for mode in ("head", "camera"))
    assert head != camera


@pytest.mark.parametrize(("options", "kind"), [({}, "ply, at rest"), ({"local": True}, "ply, as stored"),
                                               ({"frame": 2.0}, "ply, frame 2")])
def test_a_ply_is_recognised_by_its_still(options: dict, kind: str, tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    report = validate(exported(avatar, tmp_path / "a.ply", "ply", **options), avatar)
    assert report.ok and report.kind == kind
    cloud = avatar.layers[0].cloud
    other = dataclasses.replace(avatar.layers[0], cloud=dataclasses.replace(cloud, scales=cloud.scales * 1.01))
    assert not validate(tmp_path / "a.ply", dataclasses.replace(avatar, layers=(other,))).ok


@pytest.mark.parametrize("name", ["a.json", "a.fpsq"])
def test_sequences(name: str, tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    path = exported(avatar, tmp_path / name, "sequence")
    assert validate(path, avatar).ok
    assert avatar.sequence is not None
    other = dataclasses.replace(avatar.sequence, jaw=avatar.sequence.jaw + 1e-3)
    assert not validate(path, dataclasses.replace(avatar, sequence=other)).ok
    with pytest.raises(MissingAsset, match="no clip"):
        validate(path, dataclasses.replace(avatar, sequence=None))


def test_a_web_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = stand_in_viewer(tmp_path / "viewer")
    monkeypatch.setattr(web_viewer, "dist_folder", lambda: viewer)
    avatar = tiny_avatar("edge-height")
    export(avatar, "web", tmp_path / "page")
    assert validate(tmp_path / "page", avatar, 2).ok
    (tmp_path / "page" / "camera.json").unlink()
    assert "files missing" in validate(tmp_path / "page", avatar, 2).failure


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(FormatError):
        validate(tmp_path / "a.txt", tiny_avatar("edge-height"))
