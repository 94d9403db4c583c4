"""Both scenes of our GLB in three.js, Babylon.js and PlayCanvas, by their own loaders: pictures from one camera, against
`formats.render`."""

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
from formats.camera import Camera
from formats.codecs import camera_json
from formats.deform import rest_sequence
from formats.picture import psnr
from formats.render import default_camera, render_avatar
from tests.exporter.test_glb_blender import head_alone
from tests.web_viewer.browser import run, unavailable

BOUNDS = {"three": 26.0, "babylon": 34.0, "playcanvas": 31.0}
"""dB. Measured on the demo's avatar, which is the worst: 27.4, 38.3 and 33.5; they cut, order and round otherwise than
`formats.render`. three cuts at 2 sigma, and shows it as rims. What must not pass, on these avatars: another gamma 17 dB, a mirror
image 14, scales off by the square root of two 24, inverse rotations 27, no harmonics or a wrong sign of degree 1 26 and 27, each
without what the engine adds to that."""
HEAD_DB = 37.0
"""dB. Measured 40.7 to 43.0: edges, and textures that engines filter in mipmaps. The key after shows as 22 dB."""
SIZE = 512
TELL = """({ ...window.shown, foreign: performance.getEntriesByType("resource").map((each) => each.name)
  .filter((name) => !/^(blob|data):/.test(name) && !name.startsWith(location.origin)) })"""
"""What the page says it shows, and what it fetched from elsewhere."""
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
@pytest.mark.parametrize(("name", "grades"), [("gaussian-avatars", ("plain",)),
                                              pytest.param("demo", ("plain", "small"), marks=pytest.mark.demo)])
def test_engines_draw_our_splats(name: str, grades: tuple[str, ...], pages: Path, engine_avatar: Callable[[str], Avatar],
                                 tmp_path: Path) -> None:
    """Harmonics of degree 3, and a trained avatar; seen from the side, so that a mirror image would not go unseen."""
    avatar = dataclasses.replace(engine_avatar(name), sequence=None)
    [layer] = avatar.layers
    assert isinstance(layer, SplatLayer)
    camera = around(default_camera(avatar, SIZE, SIZE), avatar, 0.5)
    wanted = render_avatar(avatar, rest_sequence(avatar.head), 0, camera).rgb
    assert wanted.std() > 0.1 and psnr(wanted[:, ::-1], wanted) < 20
    told = _draw(avatar, camera, wanted, BOUNDS, grades, pages, tmp_path, f"{name}_splats", shows="splats")
    assert all(0 <= n - len(layer.cloud) < 16 for n in told), told  # Babylon fills up to sixteens


@pytest.mark.browser
@pytest.mark.demo
def test_engines_draw_the_head_at_a_key(pages: Path, engine_avatar: Callable[[str], Avatar], tmp_path: Path) -> None:
    """Morph targets, skin and texture as graphics cards have them, while the clip plays."""
    avatar = engine_avatar("demo")
    assert avatar.sequence is not None
    camera, key = around(default_camera(avatar, SIZE, SIZE), avatar, 0.5), 4
    head = head_alone(avatar)
    wanted, next_one = (render_avatar(head, avatar.sequence, float(t), camera).rgb for t in (key, key + 1))
    assert psnr(wanted, next_one) < 30  # so it has to be this key
    _draw(avatar, camera, wanted, dict.fromkeys(BOUNDS, HEAD_DB), ("plain", "small"), pages, tmp_path, "demo_head",
          query=f"&seconds={key / avatar.sequence.fps}")


def _draw(avatar: Avatar, camera: Camera, wanted: np.ndarray, bounds: dict[str, float], grades: tuple[str, ...], pages: Path,
          folder: Path, name: str, shows: str = "mesh", query: str = "") -> list[int]:
    """Let every engine draw every grade, compare with `wanted`, and return how many splats each says it has."""
    camera_json.write(camera, folder / "camera.json")
    for grade in grades:
        glb.write(avatar, folder / f"{grade}.glb", glb.Options(grade=grade, shows=shows))  # type: ignore[arg-type]
    tasks = [{"kind": "page", "name": f"{viewer}_{grade}", "width": SIZE, "height": SIZE, "wait": "window.shown",
              "query": f"?viewer={viewer}&file=files/{grade}.glb&camera=files/camera.json{query}", "tell": TELL}
             for viewer in bounds for grade in grades]
    report = run("swiftshader", tasks, folder, folder / "out", pages)
    shown = [report["tasks"][task["name"]] for task in tasks]
    assert not any(each["foreign"] for each in shown), shown  # nothing came from any network
    assert not [line for line in report["errors"] if "Performance" not in line]
    _keep(Image.fromarray(np.round(wanted * 255).astype(np.uint8)), f"{name}_reference")
    for viewer, bound in bounds.items():
        for grade in grades:
            image = Image.open(folder / "out" / f"{viewer}_{grade}.png").convert("RGB")
            _keep(image, f"{name}_{viewer}_{grade}")
            assert image.size == (SIZE, SIZE)
            found = psnr(np.asarray(image, np.float32) / 255, wanted)
            assert found > bound, (viewer, grade, found)
    return [each["splats"] for each in shown]


def _keep(image: Image.Image, name: str) -> None:
    """Save a picture where FLAMEPORT_SHOTS says, for looking at."""
    folder = os.environ.get("FLAMEPORT_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        image.save(Path(folder) / f"{name}.png")
