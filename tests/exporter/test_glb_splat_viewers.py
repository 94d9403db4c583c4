"""Our splat scene in the loaders of three.js, Babylon.js and PlayCanvas: pictures from one camera, against `formats.render`."""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exporter import khronos
from exporter.demo import around
from exporter.targets import glb
from formats.avatar import Avatar, SplatLayer
from formats.codecs import camera_json
from formats.deform import rest_sequence
from formats.picture import psnr
from formats.render import default_camera, render_avatar
from tests.web_viewer.browser import run, unavailable

BOUNDS = {"three": 26.0, "babylon": 34.0, "playcanvas": 31.0}
"""dB. Measured on the demo's avatar, which is the worst: 27.4, 38.3 and 33.5; they cut, order and round otherwise than
`formats.render`. three cuts at 2 sigma, and shows it as rims. What must not pass, on these avatars: another gamma 17 dB, a mirror
image 14, scales off by the square root of two 24, inverse rotations 27, no harmonics or a wrong sign of degree 1 26 and 27, each
without what the engine adds to that."""
SIZE = 512
GRADES = ("plain", "small")
VIEWERS = khronos.FOLDER / "bundle_viewers.mjs"


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages, bundled once."""
    if shutil.which("node") is None or not (khronos.FOLDER / "node_modules" / "playcanvas").is_dir():
        unavailable("needs Node and its packages: scripts/build --tests")
    out = tmp_path_factory.mktemp("viewers")
    subprocess.run(["node", str(VIEWERS), str(out)], check=True, timeout=120)
    return out


@pytest.mark.browser
@pytest.mark.parametrize("name", ["gaussian-avatars", pytest.param("demo", marks=pytest.mark.demo)])
def test_engines_draw_our_splats(name: str, pages: Path, engine_avatar: Callable[[str], Avatar], tmp_path: Path) -> None:
    """Harmonics of degree 3, and a trained avatar; seen from the side, so that a mirror image would not go unseen."""
    avatar = dataclasses.replace(engine_avatar(name), sequence=None)
    [layer] = avatar.layers
    assert isinstance(layer, SplatLayer)
    camera = around(default_camera(avatar, SIZE, SIZE), avatar, 0.5)
    wanted = render_avatar(avatar, rest_sequence(avatar.head), 0, camera).rgb
    assert wanted.std() > 0.1 and psnr(wanted[:, ::-1], wanted) < 20
    camera_json.write(camera, tmp_path / "camera.json")
    for grade in GRADES:
        glb.write(avatar, tmp_path / f"{grade}.glb", glb.Options(grade=grade, shows="splats"))  # type: ignore[arg-type]
    tasks = [{"kind": "page", "name": f"{viewer}_{grade}", "width": SIZE, "height": SIZE, "wait": "window.shown",
              "query": f"?viewer={viewer}&file=files/{grade}.glb&camera=files/camera.json", "tell": "window.shown"}
             for viewer in BOUNDS for grade in GRADES]
    report = run("swiftshader", tasks, tmp_path, tmp_path / "out", pages)
    assert not [line for line in report["errors"] if "Performance" not in line]
    _keep(Image.fromarray(np.round(wanted * 255).astype(np.uint8)), f"{name}_reference")
    for viewer in BOUNDS:
        for grade in GRADES:
            told, image = report["tasks"][f"{viewer}_{grade}"], Image.open(tmp_path / "out" / f"{viewer}_{grade}.png")
            _keep(image.convert("RGB"), f"{name}_{viewer}_{grade}")
            assert 0 <= told["splats"] - len(layer.cloud) < 16, (viewer, told)  # Babylon fills up to sixteens
            assert image.size == (SIZE, SIZE)
            found = psnr(np.asarray(image.convert("RGB"), np.float32) / 255, wanted)
            assert found > BOUNDS[viewer], (viewer, grade, found)


def _keep(image: Image.Image, name: str) -> None:
    """Save a picture where FLAMEPORT_SHOTS says, for looking at."""
    folder = os.environ.get("FLAMEPORT_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        image.save(Path(folder) / f"{name}.png")
