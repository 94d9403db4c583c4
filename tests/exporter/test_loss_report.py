"""The report of an export: everything in it, readable by machines and by people, without paths of somebody's machine."""

import dataclasses
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from exporter import loss_report, stills
from exporter.capabilities import Capabilities, Loss, fit
from exporter.export import ExportReport, export, options_type
from exporter.targets import glb
from formats.avatar import Avatar, Meta, SplatLayer
from formats.deform import triangle_frames
from formats.uv_maps import UVMaps
from tests.builders import tiny_avatar, tiny_head

SCHEMA = Path(loss_report.__file__).parent / "schemas" / "export_report.schema.json"


@pytest.mark.parametrize("kind, target, name", [("world", "glb", "a.glb"), ("everything", "ply", "a.ply"),
                                                ("everything", "textures", "maps")])
def test_everything_is_in_both_files(kind: str, target: str, name: str, tmp_path: Path) -> None:
    avatar = tiny_avatar(kind)
    out = tmp_path / "out" / name
    report = export(avatar, target, out, allow_loss=True)
    written = loss_report.write(report, tmp_path / "report.json", target, out, avatar.meta)
    assert [p.name for p in written] == ["report.json", "report.txt"]
    values = json.loads(written[0].read_text())
    jsonschema.validate(values, json.loads(SCHEMA.read_text()))
    assert values["format"] == "flameport.export-report/1" and values["target"] == target
    assert values["bytes"] == report.bytes == sum(each["bytes"] for each in values["files"])
    assert {each["path"].split("/")[0] for each in values["files"]} == {name}
    assert [(v["what"], v["amount"], v["blocking"]) for v in values["losses"]] == [
        (loss.what, loss.amount, loss.blocking) for loss in report.losses]
    assert values["license_notices"] == list(avatar.meta.license_notices)
    assert values["looks_and_moves_the_same"] == (not any(v["blocking"] for v in values["losses"]))
    text = written[1].read_text()
    squeezed = " ".join(text.split())
    for loss in report.losses:
        assert loss.amount.split()[0] in squeezed and loss.what.split()[0] in squeezed
    assert "free for any use" in squeezed and str(tmp_path) not in text + written[0].read_text()
    assert max(map(len, text.splitlines())) <= 110


def test_a_report_without_losses(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"12345")
    values = loss_report.as_dict(ExportReport((path,), 5, ()), "glb", path, Meta())
    assert values["lossless"] and values["files"] == [{"path": "a.bin", "bytes": 5}]
    assert "Nothing is lost." in loss_report.table(values) and "Terms" not in loss_report.table(values)


def test_long_texts_are_wrapped_in_their_column(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"1")
    avatar = tiny_avatar("edge-height")
    report = dataclasses.replace(export(avatar, "glb", tmp_path / "a.glb"), losses=())
    long = dataclasses.replace(report, losses=(Loss("w" * 30 + " " + "x " * 60, "1 mm of something " * 5),))
    lines = loss_report.table(loss_report.as_dict(long, "glb", tmp_path / "a.glb", avatar.meta)).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("www"))
    assert lines[start][66:].startswith("1 mm") and lines[start + 1][:66].strip().startswith("x")


def test_a_report_named_txt_is_not_overwritten_by_its_table(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"1")
    names = [p.name for p in loss_report.write(ExportReport((path,), 1, ()), tmp_path / "r.txt", "glb", path, Meta())]
    assert names == ["r.txt", "r.txt.txt"]


# --- Every kind of loss, with its number ------------------------------------------------------------------------------


def told(avatar: Avatar, target: str, folder: Path, **options: object) -> dict[str, str]:
    """Return what an export loses, and how much."""
    report = export(avatar, target, folder / "out", options_type(target)(**options), allow_loss=True)
    return {loss.what: loss.amount for loss in report.losses}


def one(losses: dict[str, str], what: str) -> str:
    """Return the amount of the only loss of which `what` is a part."""
    [amount] = [amount for name, amount in losses.items() if re.search(what, name)]
    return amount


def test_spherical_harmonics_that_are_dropped(tmp_path: Path) -> None:
    assert re.fullmatch(r"coefficients up to [\d.]+", one(told(tiny_avatar(degree=2), "lam", tmp_path), "harmonics of degree 2"))


def test_influences_and_joints(tmp_path: Path) -> None:
    head = tiny_head(extra_joints=3)
    weights = head.lbs_weights.copy()
    weights[:, 7] = 0
    weights[:60, 5:] = 0
    weights[:40, 4] = 0
    head = dataclasses.replace(head, lbs_weights=weights / weights.sum(axis=1, keepdims=True))
    losses = told(tiny_avatar(head=head), "glb", tmp_path, unweighted_joints=False)
    assert one(losses, "four joints a vertex, 70 of 110 vertices have up to 7").endswith("mm off there")
    assert one(losses, "joint spine2, which moves nothing") == "0 mm"


@pytest.mark.parametrize(("kind", "what"), [("linear", "linear dynamics of rank 10$"), ("world", "deformation network"),
                                            ("linear-network", "linear dynamics of rank 4, whose coefficients a network")])
def test_dynamics_say_their_rank(kind: str, what: str, tmp_path: Path) -> None:
    fitted = fit(tiny_avatar(kind), Capabilities(dynamics=frozenset()))
    [loss] = [loss for loss in fitted.losses if re.search(what, loss.what)]
    assert loss.blocking and re.fullmatch(r"24 Gaussians stay still, up to [\d.e-]+ mm off", loss.amount)


def test_dynamics_that_become_straight_targets_say_their_rank(tmp_path: Path) -> None:
    avatar = tiny_avatar("linear-network")
    assert one(told(avatar, "lam", tmp_path), "dynamics of rank 4").startswith("becomes part of 5")


def test_rounding_is_told_in_millimetres_and_decibels(tmp_path: Path) -> None:
    avatar = tiny_avatar("plain-face")
    losses = told(avatar, "spz", tmp_path)
    assert one(losses, "positions").endswith("mm") and one(losses, "picture").endswith("dB")
    report = export(avatar, "glb", tmp_path / "small.glb", glb.Options(grade="small"))
    amounts = [loss.amount for loss in report.losses if loss.what == "grade small rounds"]
    assert amounts[0].endswith("mm off") and amounts[1].endswith("dB")


def test_maps_are_told_in_millimetres_and_decibels(tmp_path: Path) -> None:
    avatar = tiny_avatar("everything")
    rng = np.random.default_rng(1)
    maps = UVMaps({"local_position_uv": rng.normal(0, 5, (16, 32, 3)), "albedo": rng.uniform(0, 1, (16, 32, 3))})
    losses = told(dataclasses.replace(avatar, maps=maps), "textures", tmp_path)
    offset = re.fullmatch(r"up to ([\d.e-]+) \(([\d.e-]+) mm\), rms [\d.e-]+, (\d+\.\d) dB", one(losses, "local_position_uv"))
    assert offset is not None and 90 < float(offset[3]) < 130
    # As far off in each channel, on the largest triangle, whose size is the unit of this avatar's offsets.
    size = triangle_frames(avatar.head.v_template, avatar.head.faces)[1].max()
    assert float(offset[2]) == pytest.approx(float(offset[1]) * np.sqrt(3) * size * 1e3, rel=0.1)
    assert re.fullmatch(r"up to [\d.e-]+, rms [\d.e-]+, \d+\.\d dB", one(losses, "albedo"))


def thin_avatar() -> Avatar:
    avatar = tiny_avatar("plain-face")
    layer = avatar.layers[0]
    assert isinstance(layer, SplatLayer)
    scales = layer.cloud.scales.copy()
    scales[:2, 0], scales[2, 1] = 5e-7, 0
    cloud = dataclasses.replace(layer.cloud, scales=scales)
    return dataclasses.replace(avatar, layers=(dataclasses.replace(layer, cloud=cloud),))


def test_scales_below_a_micrometre(tmp_path: Path) -> None:
    thin = thin_avatar()
    assert one(told(thin, "spz", tmp_path), "below a micrometre") == "3 of 72 half-axes, drawn up to 0.045 mm"
    assert one(told(thin, "ply", tmp_path), "scales of zero") == "1 of 72, as 1e-20 m"
    assert one(told(thin, "lam", tmp_path), "scales of zero") == "1 of 72, as 1e-20 m"
    assert one(told(thin, "glb", tmp_path, grade="small"), "below a micrometre") == "2 of 72 half-axes, drawn up to 0.00048 mm"
    assert not any("micrometre" in what for what in told(thin, "glb", tmp_path))  # floats keep them
    for target in ("spz", "ply"):
        assert not any("micrometre" in what or "zero" in what for what in told(tiny_avatar("plain-face"), target, tmp_path))


def test_scales_that_are_kept_are_no_loss() -> None:
    cloud = thin_avatar().layers[0].cloud
    assert stills.thin_losses([(cloud, cloud)]) == []
