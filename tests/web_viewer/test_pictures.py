"""The player's pictures in a real browser, on two independent drivers, against `formats.render` on the same frames."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exporter.targets import glb
from formats.codecs import bundle, camera_json, sequence_json
from formats.importers import lam
from formats.picture import psnr
from formats.render import default_camera, render_avatar
from formats.sequence import Sequence
from formats.standin.avatar import standin_avatar
from formats.standin.clip import standin_clip
from tests.builders import tiny_avatar, tiny_camera
from tests.web_viewer.browser import DRIVERS, run
from tests.web_viewer.pictures import CANVAS_DB, HALF_DB, SMALL_DB, Show

pytestmark = pytest.mark.browser

GOLDEN = Path(__file__).parents[1] / "golden" / "posing"


def _synthetic() -> Show:
    avatar = tiny_avatar("edge-height", n=2000, degree=3)
    assert avatar.sequence is not None
    return Show(avatar, avatar.sequence, tiny_camera(0.3, 192), tuple(np.linspace(0, 3, 10).tolist()))


def _standin(gaussians: int = 15_000, size: int = 256) -> Show:
    avatar = standin_avatar(gaussians)
    assert avatar.sequence is not None
    moments = (0, 20.5, 45, 60.25, 80, 118, 140, 170, 185.75, 230)
    return Show(avatar, avatar.sequence, default_camera(avatar, size, size), moments)


def _lam(path: Path) -> Show:
    avatar = lam.read(path)
    rng = np.random.default_rng(0)
    names = avatar.head.expr_names
    expr = np.clip(rng.normal(0, 0.4, (10, len(names))), 0, 1)
    turn = rng.normal(0, 0.15, (10, 3))
    sequence = Sequence(avatar.head.edition, 25, expr, rotation=turn, expr_names=names)
    return Show(avatar, sequence, default_camera(avatar, 256, 256), tuple(np.linspace(0, 9, 10).tolist()))


@pytest.fixture(scope="module")
def shows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[], Show]], tuple[Path, Show, list[np.ndarray]]]:
    """Return a function that writes a show's files and draws the reference pictures, once for all drivers."""
    made: dict[str, tuple[Path, Show, list[np.ndarray]]] = {}

    def get(name: str, make: Callable[[], Show]) -> tuple[Path, Show, list[np.ndarray]]:
        if name not in made:
            show, files = make(), tmp_path_factory.mktemp(name)
            glb.write(dataclasses.replace(show.avatar, sequence=None), files / "avatar.glb", glb.Options(grade="full"))
            sequence_json.write(show.sequence, files / "clip.json")
            camera_json.write(show.camera, files / "camera.json")
            pictures = [render_avatar(show.avatar, show.sequence, t, show.camera).rgb for t in show.moments]
            made[name] = files, show, pictures
        return made[name]

    return get


def _compare(driver: str, name: str, kit: tuple[Path, Show, list[np.ndarray]], out: Path,
             bounds: tuple[float, float] = (HALF_DB, CANVAS_DB), avatar: str = "avatar.glb") -> None:
    files, show, pictures = kit
    task = {"kind": "pictures", "name": name, "avatar": avatar, "clip": "clip.json", "camera": "camera.json",
            "moments": list(show.moments), "near": 0.2, "exact": False}
    report = run(driver, [task], files, out)
    assert not [line for line in report["errors"] if "Performance" not in line]
    shape = (show.camera.height, show.camera.width, 4)
    worst = {"half float": np.inf, "canvas": np.inf}
    for i, wanted in enumerate(pictures):
        half = np.fromfile(out / f"{name}.{i}.half.f32", "<f4").reshape(shape)[..., :3].clip(0, 1)
        canvas = np.fromfile(out / f"{name}.{i}.canvas.u8", "u1").reshape(shape)[..., :3].astype(np.float32) / 255
        assert wanted.std() > 0.02, "the reference picture is empty"
        found = {"half float": psnr(half, wanted), "canvas": psnr(canvas, wanted)}
        worst = {target: min(worst[target], found[target]) for target in worst}
        assert found["half float"] > bounds[0], f"frame {show.moments[i]} into half floats"
        assert found["canvas"] > bounds[1], f"frame {show.moments[i]} on the canvas"
    if "FLAMEPORT_PICTURES" in os.environ:  # set by scripts/benchmark
        with Path(os.environ["FLAMEPORT_PICTURES"]).open("a") as file:
            for target, value in worst.items():
                file.write(json.dumps({"what": f"{driver} {name}, {target}", "value": round(value, 1)}) + "\n")


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ["synthetic", "standin", pytest.param("standin_full", marks=pytest.mark.long)])
def test_pictures_match_the_reference(driver, name, shows, tmp_path):
    make = {"synthetic": _synthetic, "standin": _standin, "standin_full": lambda: _standin(65_000, 512)}[name]
    _compare(driver, name, shows(name, make), tmp_path)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ["synthetic", "standin", pytest.param("lam", marks=pytest.mark.lam)])
def test_small_files_look_as_they_should(driver, name, shows, tmp_path, request):
    make = {"synthetic": _synthetic, "standin": _standin, "lam": lambda: _lam(request.getfixturevalue("lam_zip"))}[name]
    kit = files, show, _ = shows(name, make)
    if not (files / "small.glb").exists():
        glb.write(dataclasses.replace(show.avatar, sequence=None), files / "small.glb", glb.Options(grade="small"))
    _compare(driver, f"{name} small", kit, tmp_path, (SMALL_DB, SMALL_DB), "small.glb")


@pytest.mark.demo
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_trained_and_baked_avatar_matches_the_reference(driver, shows, demo, tmp_path):
    def make() -> Show:
        avatar = bundle.read(demo / "avatar.avatar")
        moments = (0, 20.5, 45, 60.25, 80, 118, 140, 170, 185.75, 230)
        return Show(avatar, standin_clip(avatar.head), default_camera(avatar, 256, 256), moments)

    _compare(driver, "trained", shows("trained", make), tmp_path)


@pytest.mark.lam
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_real_avatar_matches_the_reference(driver, shows, lam_zip, tmp_path):
    _compare(driver, "lam", shows("lam", lambda: _lam(lam_zip)), tmp_path)


@pytest.mark.parametrize("driver", DRIVERS)
def test_splats_on_the_card_match_the_golden_frames(driver, tmp_path):
    """Shaders give the reference's covariances, colours and opacities for every way of riding a head."""
    cases = sorted(path.stem for path in GOLDEN.glob("*.glb"))
    golden = {name: json.loads((GOLDEN / f"{name}.json").read_text()) for name in cases}
    files = tmp_path / "files"
    files.mkdir()
    for name in cases:
        for part in (f"{name}.glb", f"{name}.clip.json"):
            (files / part).write_bytes((GOLDEN / part).read_bytes())
        (files / f"{name}.camera.json").write_text(json.dumps(golden[name]["camera"]))
    tasks = [{"kind": "world", "name": name, "avatar": f"{name}.glb", "clip": f"{name}.clip.json",
              "camera": f"{name}.camera.json", "moments": [f["t"] for f in golden[name]["frames"]], "near": 0.2,
              "exact": True} for name in cases]
    run(driver, tasks, files, tmp_path)
    for name in cases:
        for i, frame in enumerate(golden[name]["frames"]):
            n = len(frame["opacities"])
            got = np.fromfile(tmp_path / f"{name}.{i}.f32", "<f4")
            means, covariances, opacities, rgb = np.split(got, [3 * n, 9 * n, 10 * n])
            wanted = np.array(frame["covariances"]).reshape(n, 6)
            difference = np.abs(covariances.reshape(n, 6) - wanted).max(axis=1)
            where = f"{name} at {frame['t']}"
            np.testing.assert_allclose(means, frame["means"], atol=1e-6, err_msg=where)  # float32 on a head
            # 1e-4 is the bound for rotations, scales, opacity and colour; shaders are float32.
            assert (difference < 1e-4 * np.abs(wanted).max(axis=1)).all(), where
            np.testing.assert_allclose(opacities, frame["opacities"], atol=1e-4, err_msg=where)
            np.testing.assert_allclose(rgb, frame["rgb"], atol=1e-4, err_msg=where)
