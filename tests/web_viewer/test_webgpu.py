"""Drawing with WebGPU, offscreen and read back, against `formats.render` on the same frames. Software adapter; see README."""

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.targets import glb
from formats.codecs import camera_json, glb_avatar, sequence_json
from formats.picture import psnr
from formats.render import render_avatar
from tests.web_viewer import test_pictures
from tests.web_viewer.browser import run, unavailable
from tests.web_viewer.test_pictures import CANVAS_DB, GOLDEN, HALF_DB, Show

pytestmark = pytest.mark.browser

FLAGS = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
VIEWER = Path(__file__).parents[2] / "web_viewer"
LAYERS = GOLDEN.with_name("layers")
HAIR = ("hair.plain", "hair.small")
"""Two layers, one of them strands."""
CASES = sorted(path.stem for path in GOLDEN.glob("*.glb"))

SORTED = ((1, 1), (2, 1), (255, 3), (1000, 50), (2049, 2049), (60_000, 60_000), (60_000, 7), (150_000, 100_000))
"""How many keys, of how many different values."""

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def webgpu(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs functions of the test page in one browser, each with its job, and gives what they told."""
    page, vite = tmp_path_factory.mktemp("page"), VIEWER / "node_modules" / ".bin" / "vite"
    if not vite.exists():
        unavailable("web_viewer/node_modules is missing; run scripts/build --tests")
    done = subprocess.run([str(vite), "build", "test/webgpu_page", "--outDir", str(page), "--emptyOutDir", "--base", "./",
                           "--logLevel", "error"], cwd=VIEWER, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]

    def tell(calls: dict[str, dict[str, Any]], files: Path, out: Path) -> dict[str, Any]:
        tasks = [{"kind": "page", "name": name, "width": 200, "height": 100, "ready": "window.flameport",
                  "tell": f"window.flameport.{name}({json.dumps(job)})"} for name, job in calls.items()]
        report = run("swiftshader", tasks, files, out, page, FLAGS)
        assert not [line for line in report["errors"] if "Performance" not in line]
        return report["tasks"]

    if tell({"adapter": {}}, page, page)["adapter"] is None:
        unavailable("the browser has no WebGPU adapter")
    return tell


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with every golden avatar, its clip and its camera."""
    files = tmp_path_factory.mktemp("golden")
    for name in (*CASES, *HAIR, "shells.plain"):
        (files / f"{name}.glb").write_bytes(_source(name).with_name(f"{name}.glb").read_bytes())
        clip = f"{name.split('.')[0]}.clip.json"
        (files / f"{name}.clip.json").write_bytes(_source(name).with_name(clip).read_bytes())
        camera = {"format": "flameport.camera/1"} | _golden(name)["camera"]
        (files / f"{name}.camera.json").write_text(json.dumps(camera))
    return files


@pytest.fixture(scope="module")
def told(webgpu: Run, golden: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the page's smaller functions told, from one browser."""
    cases = [{"count": count, "distinct": distinct} for count, distinct in SORTED]
    calls = {"sort": {"cases": cases}, "lose": _show("vertex", []) | {"moment": 1.5}, "again": {"avatar": "vertex.glb"},
             "repaint": {"avatar": "edge-height.glb"}, "choose": {"avatar": "corner.glb"},
             "relay": {"avatar": "corner.glb", "other": "shells.plain.glb"}}
    return webgpu(calls, golden, tmp_path_factory.mktemp("told"))


def _source(name: str) -> Path:
    return (GOLDEN if name in CASES else LAYERS) / f"{name}.json"


def _golden(name: str) -> dict[str, Any]:
    return json.loads(_source(name).read_text())


def _show(name: str, moments: list[float]) -> dict[str, Any]:
    return {"name": name, "avatar": f"{name}.glb", "clip": f"{name}.clip.json", "camera": f"{name}.camera.json",
            "moments": moments}


def _references(files: Path, name: str, moments: list[float]) -> list[np.ndarray]:
    avatar, sequence = glb_avatar.read(files / f"{name}.glb"), sequence_json.read(files / f"{name}.clip.json")
    camera = camera_json.read(files / f"{name}.camera.json")
    return [render_avatar(avatar, sequence, t, camera).rgb for t in moments]


def _compare(out: Path, name: str, wanted: list[np.ndarray]) -> tuple[float, float]:
    """Return the worst PSNR into half floats and into the canvas's bytes."""
    assert wanted
    worst = [np.inf, np.inf]
    for i, picture in enumerate(wanted):
        shape = (*picture.shape[:2], 4)
        half = np.fromfile(out / f"{name}.{i}.half.f32", "<f4").reshape(shape)[..., :3].clip(0, 1)
        canvas = np.fromfile(out / f"{name}.{i}.canvas.u8", "u1").reshape(shape)[..., :3].astype(np.float32) / 255
        assert picture.std() > 0.005, f"{name}: the reference picture {i} is empty"
        worst = [min(worst[0], psnr(half, picture)), min(worst[1], psnr(canvas, picture))]
    print(f"{name}: {worst[0]:.1f} dB into half floats, {worst[1]:.1f} dB on the canvas")
    return worst[0], worst[1]


def test_every_golden_avatar_is_posed_and_drawn_as_the_reference(webgpu, golden, tmp_path):
    """Every binding, frame and dynamics, ten frames each: Gaussians in the world, and pictures."""
    shows = [_show(name, [frame["t"] for frame in _golden(name)["frames"]]) for name in CASES]
    job = {"shows": shows, "near": 0.2, "exact": True, "world": True, "pictures": True}
    told = webgpu({"play": job}, golden, tmp_path)["play"]
    for name in CASES:
        frames = _golden(name)["frames"]
        assert len(frames) >= 10
        for i, frame in enumerate(frames):
            n = len(frame["opacities"])
            got = np.fromfile(tmp_path / f"{name}.{i}.f32", "<f4")
            means, covariances, opacities, rgb = np.split(got, [3 * n, 9 * n, 10 * n])
            wanted = np.array(frame["covariances"]).reshape(n, 6)
            difference = np.abs(covariances.reshape(n, 6) - wanted).max(axis=1)
            where = f"{name} at {frame['t']}"
            np.testing.assert_allclose(means, np.ravel(frame["means"]), atol=1e-6, err_msg=where)  # float32 on a head
            # 1e-4 is the bound for rotations, scales, opacity and colour; shaders are float32.
            assert (difference < 1e-4 * np.abs(wanted).max(axis=1)).all(), where
            np.testing.assert_allclose(opacities, frame["opacities"], atol=1e-4, err_msg=where)
            np.testing.assert_allclose(rgb, np.ravel(frame["rgb"]), atol=1e-4, err_msg=where)
        half, canvas = _compare(tmp_path, name, _references(golden, name, [frame["t"] for frame in frames]))
        assert half > HALF_DB and canvas > CANVAS_DB, f"{name}: {half:.1f} dB into half floats, {canvas:.1f} dB on the canvas"
        assert told["told"][name]["shown"] == told["told"][name]["count"]
    assert told["left"] == 0


def test_several_layers_share_one_order(webgpu, golden, tmp_path):
    """Skin and strands, in two grades."""
    moments = [0, 0.5, 1.25]
    job = {"shows": [_show(name, moments) for name in HAIR], "near": 0.2, "exact": False, "pictures": True}
    webgpu({"play": job}, golden, tmp_path)
    for name in HAIR:
        half, canvas = _compare(tmp_path, name, _references(golden, name, moments))
        assert half > HALF_DB and canvas > CANVAS_DB, f"{name}: {half:.1f} dB into half floats, {canvas:.1f} dB on the canvas"


@pytest.mark.parametrize("name", ["synthetic", "standin", pytest.param("lam", marks=pytest.mark.lam)])
def test_pictures_match_the_reference(name, webgpu, tmp_path, request):
    makers: dict[str, Callable[[], Show]] = {
        "synthetic": test_pictures._synthetic, "standin": test_pictures._standin,
        "lam": lambda: test_pictures._lam(request.getfixturevalue("lam_zip"))}
    show = makers[name]()
    glb.write(dataclasses.replace(show.avatar, sequence=None), tmp_path / f"{name}.glb", glb.Options(grade="full"))
    sequence_json.write(show.sequence, tmp_path / f"{name}.clip.json")
    camera_json.write(show.camera, tmp_path / f"{name}.camera.json")
    job = {"shows": [_show(name, list(show.moments))], "near": 0.2, "exact": False, "pictures": True}
    told = webgpu({"play": job}, tmp_path, tmp_path)["play"]
    wanted = [render_avatar(show.avatar, show.sequence, t, show.camera).rgb for t in show.moments]
    half, canvas = _compare(tmp_path, name, wanted)
    assert half > HALF_DB and canvas > CANVAS_DB, f"{half:.1f} dB into half floats, {canvas:.1f} dB on the canvas"
    assert told["told"][name]["bytes"] < 20e6
    assert told["left"] == 0


def test_the_card_sorts_exactly(told):
    """Up to 150 000 keys, all different, nearly so, or full of ties: no place differs from a stable sort; twice over."""
    assert told["sort"] == [0] * (2 * len(SORTED))


def test_a_lost_card_comes_back_with_the_same_picture(told):
    lost = told["lose"]
    assert lost["said"] == ["The graphics device was lost. Waiting for it to come back…"]
    assert lost["refused"] == "The graphics device was lost."
    assert lost["another"] and lost["same"] and lost["drawn"]
    assert lost["buffers"] == 0


def test_disposing_frees_every_buffer(told):
    alive = np.array(told["again"]).reshape(3, 4)
    assert (alive[:, :2] > 0).all() and (alive == alive[0]).all()
    assert (alive[:, 2:] == 0).all()


def test_a_layer_painted_anew_is_as_if_loaded_anew(told):
    painted = told["repaint"]
    assert painted["wrong"] == painted["moved"] == 0
    assert painted["changed"] > 0.05 and painted["opacity"] == 0.25


def test_the_device_is_chosen_by_card_and_avatar(told):
    # The adapter here draws on the processor, where WebGL2 is as good.
    assert told["choose"]["kinds"] == {"auto": "webgl2", "webgl2": "webgl2", "webgpu": "webgpu"}
    assert told["choose"]["refused"] == "The avatar has mesh layers, which only WebGL2 draws here."
    assert told["choose"]["real"] == ["webgpu", "webgl2", "webgl2"]


def test_an_avatar_that_only_webgl2_draws_is_shown_where_webgpu_has_the_canvas(told):
    """To the bit, by a canvas beside it; and the next one that WebGPU draws is WebGPU's again."""
    relayed = told["relay"]
    assert relayed["kinds"] == ["webgpu", "webgl2", "webgpu"] and relayed["colors"] > 50
    assert relayed["beside"] == relayed["copied"] == 0, relayed
