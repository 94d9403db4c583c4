"""Every file that an export writes says whose terms apply, where its format has a place for it; and the command says it."""

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import flameport
import web_viewer
from exporter.export import TARGETS, export
from formats.codecs import bundle, glb_avatar, inria_ply
from formats.codecs.glb import read_document
from formats.terms import table_notice
from tests.builders import tiny_avatar
from tests.exporter.every_target import CASES, avatar_for, stand_in_viewer

OWN = "Made by the tests; free for any use."
"""What `tiny_avatar` brings of its own."""


def _glb(path: Path) -> str:
    document = read_document(path.read_bytes())
    assert glb_avatar.read(path).meta.license_notices == tuple(document.json["extensions"]["FLAMEPORT_avatar"]["meta"][
        "licenseNotices"])
    return document.json["asset"]["copyright"]


def _lam(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        files = {Path(name).name: archive.read(name) for name in archive.namelist()}
    texts = [files["LICENSES.txt"].decode()]
    for name in ("skin.glb", "animation.glb"):
        size = int.from_bytes(files[name][12:16], "little")
        texts.append(json.load(io.BytesIO(files[name][20:20 + size]))["asset"]["copyright"])
    assert all(OWN in text for text in texts) and len({text.count("'flame") for text in texts}) == 1
    return texts[0]


def _onnx(folder: Path) -> str:
    onnx = pytest.importorskip("onnx")
    for path in folder.glob("*.onnx"):
        assert any(OWN in entry.value for entry in onnx.load(path).metadata_props if entry.key == "flameport.license")
    return " ".join(json.loads((folder / "networks.json").read_text())["license_notices"])


def _web(folder: Path) -> str:
    copyright = _glb(folder / "avatar.glb")
    assert " ".join((folder / "LICENSES.txt").read_text().splitlines()) == copyright
    return copyright


def _ply(path: Path) -> str:
    assert len(inria_ply.read(path)) == 24
    return path.read_bytes().split(b"end_header")[0].decode()


SAID: dict[str, Callable[[Path], str]] = {
    "baked-avatar-web": lambda folder: (folder / "LICENSES.txt").read_text(),
    "glb": _glb, "lam": _lam, "onnx": _onnx, "ply": _ply,
    "spz": lambda path: path.with_name(f"{path.name}.license.txt").read_text(),
    "textures": lambda folder: " ".join(json.loads((folder / "textures.json").read_text())["license_notices"]),
    "unity": _glb, "web": _web}
"""Target to what its output says."""

NO_TABLES = {"sequence"}
"""Coefficients and turns alone: none of the head's tables is in it, and the header has no place for sentences."""


def test_all_targets_are_here() -> None:
    assert SAID.keys() | NO_TABLES == set(TARGETS) == CASES.keys()


@pytest.mark.parametrize("edition", ["flame2020", "flame2023-open", "standin"])
@pytest.mark.parametrize("target", SAID)
def test_every_target_carries_the_terms(target: str, edition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = stand_in_viewer(tmp_path / "viewer")
    monkeypatch.setattr(web_viewer, "dist_folder", lambda: viewer)
    out = tmp_path / CASES[target][1]
    export(avatar_for(target, edition), target, out, allow_loss=True)
    said = SAID[target](out)
    assert OWN in said
    assert table_notice(edition) in said and ("FLAME" in said) is (edition != "standin")


@pytest.mark.parametrize("target", ["ply", "spz"])
def test_a_series_keeps_them_beside(target: str, tmp_path: Path) -> None:
    report = flameport.export(avatar_for(target, "flame2020"), target, tmp_path / "series", frames="all")
    assert [path.name for path in report.paths].count("LICENSES.txt") == 1
    assert table_notice("flame2020") in (tmp_path / "series" / "LICENSES.txt").read_text()


def test_an_spz_leaves_no_notice_of_another_avatar_beside(tmp_path: Path) -> None:
    avatar = avatar_for("spz", "flame2020")
    export(avatar, "spz", tmp_path / "a.spz")
    free = tiny_avatar()
    export(dataclasses.replace(free, meta=dataclasses.replace(free.meta, license_notices=())), "spz", tmp_path / "a.spz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.spz"]


@pytest.mark.parametrize(("edition", "words"), [("flame2020", "reported to be for non-commercial use"),
                                                 ("flame2023-open", "reported to be under CC-BY-4.0"), ("standin", OWN)])
def test_the_command_says_the_terms_in_one_line(edition: str, words: str, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    bundle.write(avatar_for("sequence", edition), tmp_path / "x.avatar")
    assert flameport.main(["export", str(tmp_path / "x.avatar"), "sequence", "--out", str(tmp_path / "x.json")]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Terms: ")]
    assert OWN in line and words in line
