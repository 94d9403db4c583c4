"""Pictures on disk."""

import sys

import numpy as np
import pytest
from PIL import Image

from formats import video
from formats.errors import FormatError, MissingAsset
from formats.picture import Picture


def clip(count=5, height=48, width=64):
    y, x = np.mgrid[:height, :width]
    for i in range(count):
        yield np.stack([x * 3, y * 4, np.full_like(x, 40 * i)], axis=-1).astype(np.uint8)


def test_png_is_exact_and_takes_pictures(tmp_path):
    pixels = next(clip())
    path = video.write_png(pixels, tmp_path / "deep" / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels)
    picture = Picture(np.full((3, 4, 3), 0.5, np.float32), np.ones((3, 4), np.float32))
    assert (np.asarray(Image.open(video.write(iter([picture]), tmp_path / "b.png", 25))) == 128).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.png", "deep"]


def test_a_folder_holds_numbered_frames_and_replaces_only_its_own_kind(tmp_path):
    for count in (3, 2):
        video.write(clip(count), tmp_path / "frames", 25)
        assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == [f"{i:05d}.png" for i in range(count)]
    (tmp_path / "frames" / "thesis.txt").write_text("mine")
    with pytest.raises(FormatError, match=r"thesis\.txt"):
        video.write(clip(), tmp_path / "frames", 25)
    assert (tmp_path / "frames" / "thesis.txt").read_text() == "mine"


def test_a_clip_plays_back_with_its_colors_rate_and_tags(tmp_path):
    av = pytest.importorskip("av")
    path = video.write(clip(6, 47, 63), tmp_path / "clip.mp4", 29.97)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == pytest.approx(29.97, abs=1e-3)
        assert (stream.codec_context.width, stream.codec_context.height) == (64, 48)
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
        frames = [f.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray() for f in container.decode(video=0)]
    assert len(frames) == 6
    for found, wanted in zip(frames, clip(6, 47, 63), strict=True):
        # Limited range, 4:2:0 colour and crf 16: a few levels.
        assert np.abs(found[:47, :63].astype(int) - wanted).mean() < 3


def test_a_failing_clip_leaves_nothing_behind_and_keeps_the_old_one(tmp_path):
    pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    video.write(clip(2), path, 25)
    before = path.read_bytes()

    def breaks():
        yield from clip(2)
        raise FormatError("the third frame is broken")

    with pytest.raises(FormatError, match="third frame"):
        video.write(breaks(), path, 25)
    with pytest.raises(FormatError, match="share a size"):
        video.write([*clip(1), *clip(1, 32, 32)], path, 25)
    with pytest.raises(FormatError, match="no pictures"):
        video.write([], path, 25)
    with pytest.raises(FormatError, match="no pictures"):
        video.write([], tmp_path / "frames", 25)
    with pytest.raises(FormatError, match="one picture"):
        video.write(clip(2), tmp_path / "x.png", 25)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_without_av_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingAsset, match=r"flameport\[export\]"):
        video.write(clip(), tmp_path / "clip.mp4", 25)
    assert list(tmp_path.iterdir()) == []
