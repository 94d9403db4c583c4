"""The report of an export: everything in it, readable by machines and by people, without paths of somebody's machine."""

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest

from exporter import loss_report
from exporter.capabilities import Loss
from exporter.export import ExportReport, export
from formats.avatar import Meta
from tests.builders import tiny_avatar

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
