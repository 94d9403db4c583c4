"""An avatar says the terms of its head's tables, however it came to be."""

import dataclasses
import json
import logging
from pathlib import Path

import pytest

import flameport
from formats import terms
from formats.avatar import Avatar, Meta
from formats.codecs import bundle, head_file, safetensors_file
from formats.head_model import EDITIONS
from tests.bad_files import READERS
from tests.builders import tiny_avatar, tiny_head

FLAME = [edition for edition in EDITIONS if edition.startswith("flame")]


def test_every_edition_has_an_answer() -> None:
    assert set(terms.TERMS) == set(EDITIONS)
    assert all(terms.table_notice(edition) for edition in FLAME)
    assert not any(terms.table_notice(edition) for edition in EDITIONS if edition not in FLAME)


@pytest.mark.parametrize("edition", FLAME)
def test_only_the_open_edition_is_reported_free(edition: str) -> None:
    notice = terms.table_notice(edition)
    assert f"'{edition}'" in notice and "reported" in notice
    assert ("CC-BY-4.0" in notice and "ACM TOG 2017" in notice) is (edition == "flame2023-open")
    assert ("non-commercial" in notice) is (edition != "flame2023-open")


def test_no_avatar_can_forget_them() -> None:
    head = tiny_head("flame2020")
    assert Avatar(head).meta.license_notices == (terms.table_notice("flame2020"),)
    avatar = Avatar(head, meta=Meta(license_notices=("Theirs.",)))
    assert avatar.meta.license_notices == ("Theirs.", terms.table_notice("flame2020"))
    assert dataclasses.replace(avatar, meta=Meta()).meta.license_notices == (terms.table_notice("flame2020"),)
    assert dataclasses.replace(avatar).meta.license_notices == avatar.meta.license_notices


def test_they_stay_when_the_head_becomes_another() -> None:
    avatar = Avatar(tiny_head("flame2020"))
    assert dataclasses.replace(avatar, head=tiny_head("standin")).meta.license_notices == avatar.meta.license_notices


def test_the_stand_in_has_none() -> None:
    assert Avatar(tiny_head()).meta.license_notices == ()


def test_earlier_wording_gives_way() -> None:
    old = ("The head holds tables of the FLAME model, edition 'flame2023-open' (Max Planck Institute for Intelligent Systems), "
           "for non-commercial use; its licence applies to them and to what is made with them.")
    assert terms.with_tables((old, "Theirs."), "flame2023-open") == ("Theirs.", terms.table_notice("flame2023-open"))
    # The tables of 'flame2023' are others than those of 'flame2023-open'.
    assert terms.with_tables((old,), "flame2023") == (old, terms.table_notice("flame2023"))
    assert terms.with_tables((old, old), "standin") == (old,)


def test_one_line() -> None:
    assert terms.in_one_line(()) == "Terms: none come with it."
    assert terms.in_one_line(("A.", "B.")) == "Terms: A. B."


def test_files_say_them(tmp_path: Path) -> None:
    head = tiny_head("flame2023")
    stored = safetensors_file.metadata(head_file.write(head, tmp_path / "head.safetensors").read_bytes())
    assert terms.table_notice("flame2023") in stored[head_file.METADATA_KEY]
    assert head_file.read(tmp_path / "head.safetensors").edition == "flame2023"
    assert "license" not in head_file.to_tensors(tiny_head())[1][head_file.METADATA_KEY]
    avatar = tiny_avatar(head=head)
    bundle.write(avatar, tmp_path / "a.avatar")
    assert bundle.read(tmp_path / "a.avatar").meta == avatar.meta
    assert avatar.meta.license_notices[-1] == terms.table_notice("flame2023")


@pytest.mark.parametrize(("edition", "words"), [("flame2020", "non-commercial"), ("flame2023-open", "CC-BY-4.0")])
def test_the_commands_say_the_terms_of_a_head(edition: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    pickled, out = tmp_path / "flame.pkl", tmp_path / "head.safetensors"
    pickled.write_bytes(READERS["flame pickle"].files()["x.pkl"])
    with caplog.at_level(logging.INFO):
        assert flameport.main(["head", str(pickled), "--edition", edition, "--out", str(out)]) == 0
    [line] = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Terms: ")]
    assert line == f"Terms: {terms.table_notice(edition)}" and words in line
    capsys.readouterr()
    assert flameport.main(["inspect", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["license_notices"] == [terms.table_notice(edition)]
