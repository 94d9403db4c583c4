"""The demo: the whole path on our own data, and the picture in the README."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import web_viewer
from exporter import demo
from exporter.validate import validate
from formats.codecs import bundle
from formats.errors import MissingAsset
from formats.picture import psnr
from formats.standin.avatar import standin_avatar

PICTURE = Path(__file__).parents[1] / "golden" / "demo_picture.png"
SAME_DB = 40.0
"""The stored picture is 8-bit; another NumPy may round a few paint strokes differently. A changed face is below 30."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        web_viewer.dist_folder()
    except MissingAsset as error:
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("demo") / "out"
    demo.run(out, lambda text: None)
    return out


def test_the_readme_shows_what_the_demo_makes(made: Path) -> None:
    ours, shown = (np.asarray(Image.open(p).convert("RGB"), np.float32) / 255 for p in (made / "picture.png", PICTURE))
    assert ours.shape == shown.shape
    assert psnr(ours, shown) > SAME_DB, "the stand-in looks different: look at it, then copy it to tests/golden"


def test_the_demo_leaves_an_avatar_a_glb_a_page_and_its_proof(made: Path) -> None:
    assert sorted(p.name for p in made.iterdir()) == ["picture.png", "standin.avatar", "standin.glb", "validation.json", "web"]
    assert json.loads((made / "validation.json").read_text())["ok"] is True
    manifest = json.loads((made / "web" / "manifest.json").read_text())
    assert (made / "web" / manifest["avatar"]).is_file() and (made / "web" / manifest["camera"]).is_file()
    assert (made / "web" / "index.html").is_file()


def test_the_page_validates_against_the_bundle(made: Path) -> None:
    assert validate(made / "web", bundle.read(made / "standin.avatar"), 2).ok


def test_the_stand_in_has_the_size_that_is_advertised() -> None:
    avatar = standin_avatar()
    assert sum(len(layer.cloud) for layer in avatar.layers) == 65_000  # type: ignore[union-attr]
    assert avatar.head.v_template.shape == (5143, 3) and len(avatar.head.expr_names) == 100
