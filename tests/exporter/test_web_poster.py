"""The still of an exported page: what it shows, what it weighs, and what the page says before any script runs."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from exporter import poster
from exporter.targets import web
from formats.avatar import Network
from formats.errors import FormatError, MissingAsset
from formats.picture import psnr
from formats.render import default_camera, render_avatar
from tests.builders import tiny_avatar

PAGE = """<!doctype html>
<html lang="en">
  <head>
    <title>flameport viewer</title>
  </head>
  <body>
    <main><img id="poster" alt="" hidden /></main>
  </body>
</html>
"""


def test_it_is_the_first_moment_on_any_background(tmp_path):
    avatar = tiny_avatar("edge-height", n=300)
    assert avatar.sequence is not None
    drawn = poster.draw(avatar)
    assert drawn is not None and drawn.size == (512, 512) and drawn.mode == "RGBA"
    camera = default_camera(avatar, 512, 512)
    wanted = render_avatar(avatar, avatar.sequence, 0.0, camera)
    over_white = Image.new("RGBA", drawn.size, "white")
    over_white.alpha_composite(drawn)
    assert psnr(np.asarray(over_white.convert("RGB")), wanted.to_uint8()) > 45
    assert drawn.getchannel("A").getextrema()[0] == 0
    for path in poster.write(drawn, tmp_path):
        assert 500 < path.stat().st_size <= poster.MOST_BYTES
        with Image.open(path) as opened:
            assert opened.size == (512, 512)
    with Image.open(tmp_path / poster.PICTURE) as opened:
        light = Image.new("RGBA", opened.size, "white")
        light.alpha_composite(opened.convert("RGBA"))
    assert psnr(np.asarray(light.convert("RGB")), wanted.to_uint8()) > 30


def test_noise_is_made_small_enough(tmp_path):
    noise = np.random.default_rng(3).integers(0, 256, (512, 512, 4), np.uint8)
    files = poster.write(Image.fromarray(noise), tmp_path)
    assert all(path.stat().st_size < 400_000 for path in files), "the worst there is stays bounded"
    smooth = Image.fromarray(noise[:8, :8]).resize((512, 512), Image.Resampling.BICUBIC)
    assert all(path.stat().st_size <= poster.MOST_BYTES for path in poster.write(smooth, tmp_path))


def test_without_a_clip_it_is_the_neutral_pose_and_some_avatars_have_none():
    avatar = tiny_avatar("edge-height", n=60)
    assert poster.draw(dataclasses.replace(avatar, sequence=None)) is not None
    network = Network(b"not run here", ("features",), ("image",))
    assert poster.draw(dataclasses.replace(avatar, decoder="up", networks={"up": network})) is None


def test_the_page_says_whose_it_is_and_nothing_breaks_out_of_it():
    head = poster.Head('"><script>x</script>', "a & b", "https://example.org/anna", True, "clip")
    page = poster.with_head(PAGE, head)
    assert "<script>" not in page and "&lt;script&gt;" in page and "a &amp; b" in page
    assert 'property="og:image" content="https://example.org/anna/preview.jpg"' in page
    assert '<body data-expects="clip">' in page and f'<img id="poster" src="{poster.PICTURE}" alt="" />' in page
    plain = poster.with_head(PAGE, poster.Head("Anna", "about", "", False, ""))
    assert "og:image" not in plain and '<img id="poster" alt="" hidden />' in plain and "<title>Anna · flameport</title>" in plain
    with pytest.raises(MissingAsset, match="scripts/build"):
        poster.with_head("<html></html>", head)


def test_an_exported_page_has_it(tmp_path):
    try:
        web.write(tiny_avatar("edge-height", n=60), tmp_path / "page", web.Options(url="https://example.org/p/"))
    except MissingAsset as error:
        pytest.skip(str(error))
    manifest = json.loads((tmp_path / "page" / "manifest.json").read_text())
    page = (tmp_path / "page" / "index.html").read_text()
    assert manifest["poster"] == poster.PICTURE and (tmp_path / "page" / poster.PICTURE).is_file()
    assert re.search(r'og:image" content="https://example.org/p/preview.jpg"', page)
    with Image.open(io.BytesIO((tmp_path / "page" / poster.PREVIEW).read_bytes())) as opened:
        assert opened.format == "JPEG"
    web.write(tiny_avatar("edge-height", n=60), tmp_path / "bare", web.Options(poster=False))
    assert "poster" not in json.loads((tmp_path / "bare" / "manifest.json").read_text())
    assert not (tmp_path / "bare" / poster.PICTURE).exists()
    with pytest.raises(FormatError, match="whole address"):
        web.write(tiny_avatar("edge-height", n=60), tmp_path / "page", web.Options(url="example.org"))
