"""The avatar's clip as a file of its own."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from exporter.export import export
from exporter.targets import sequence as target
from formats import codecs
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.sequence import LINEAR_FIELDS, ROTATION_FIELDS
from tests.builders import tiny_avatar, tiny_head, tiny_sequence


@pytest.mark.parametrize("name", ["clip.json", "clip.fpsq", "CLIP.JSON", "clip.flameseq"])
def test_clip_comes_back_to_the_bit(name: str, tmp_path: Path) -> None:
    avatar = tiny_avatar("everything")  # layers a GLB could not carry are no loss here
    report = export(avatar, "sequence", tmp_path / name)
    back = codecs.read_sequence(report.paths[0])
    assert report.losses == () and report.bytes == report.paths[0].stat().st_size
    assert avatar.sequence is not None and back.edition == avatar.sequence.edition
    for field in (*LINEAR_FIELDS, *ROTATION_FIELDS):
        np.testing.assert_array_equal(getattr(back, field), getattr(avatar.sequence, field))


def test_unnamed_coefficients_get_the_names_of_the_head(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    clip = tiny_sequence(avatar.head, 3, named=False)
    report = export(avatar, "sequence", tmp_path / "a.json", sequence=clip)
    assert codecs.read_sequence(report.paths[0]).expr_names == avatar.head.expr_names


def test_another_rate_keeps_duration_and_ranges(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    clip = dataclasses.replace(tiny_sequence(avatar.head, 9, fps=30), ranges={"end": (6, 9)})
    report = export(avatar, "sequence", tmp_path / "a.fpsq", target.Options(fps=60), clip)
    back = codecs.read_sequence(report.paths[0])
    assert len(back) == 17 and back.duration == clip.duration and dict(back.ranges) == {"end": (12, 17)}
    np.testing.assert_allclose(back.expr[::2], clip.expr, atol=1e-6)
    slow = target.resample(clip, 7.5)
    assert len(slow) == 3
    np.testing.assert_allclose(slow.sample(1).jaw, clip.sample(4).jaw, atol=1e-6)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", sequence=False)
    with pytest.raises(MissingAsset, match="--sequence"):
        export(avatar, "sequence", tmp_path / "a.json")
    with pytest.raises(FormatError, match=".fpsq"):
        export(avatar, "sequence", tmp_path / "a.csv", sequence=tiny_sequence(avatar.head))
    with pytest.raises(CheckpointMismatch):
        export(avatar, "sequence", tmp_path / "a.json", sequence=tiny_sequence(tiny_head("flame2020")))
    with pytest.raises(FormatError, match="fps"):
        export(avatar, "sequence", tmp_path / "a.json", target.Options(fps=-1), tiny_sequence(avatar.head))
    assert list(tmp_path.iterdir()) == []
