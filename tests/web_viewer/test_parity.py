"""Pictures of every binding, dynamics and layer kind, ten frames each, on two drivers, against `formats.render`."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from exporter.targets import glb
from formats.codecs import camera_json, sequence_json
from formats.picture import psnr
from formats.render import render_avatar
from tests.web_viewer import parity
from tests.web_viewer.browser import DRIVERS, run
from tests.web_viewer.pictures import CANVAS_DB, HALF_DB, Show

pytestmark = pytest.mark.browser

EDGE_DB = 42.0
"""dB of hard silhouettes on SwiftShader; see `test_layer_pictures.py`."""

PLAY = """(async () => {
  const { loadAvatar, Player } = flameport;
  const json = async (name) => (await fetch(`files/${name}`)).json();
  const canvas = document.createElement("canvas");
  const told = { errors: [] };
  // One player shows all of them, one after another.
  const player = new Player(canvas, { onError: (error) => told.errors.push(error.message) });
  for (const [c, name] of window.job.cases.entries()) {
    try {
      const [avatar, clip, camera] = await Promise.all([
        loadAvatar(`files/${c}.glb`), json(`${c}.clip.json`), json(`${c}.camera.json`)]);
      Object.assign(canvas, { width: camera.width, height: camera.height });
      player.setAvatar(avatar);
      player.setSequence(clip);
      player.setCamera(camera);
      player.pause();
      const pictures = [[], []];
      for (const moment of window.job.moments) {
        player.seek({ frame: moment });
        pictures[0].push(await player.readPixels({ half: true }));
        pictures[1].push(await player.readPixels());
      }
      await fetch(`out/${c}.half.f32`, { method: "PUT", body: new Blob(pictures[0]) });
      await fetch(`out/${c}.canvas.u8`, { method: "PUT", body: new Blob(pictures[1]) });
    } catch (error) {
      told.errors.push(`${name}: ${error.message}`);
    }
  }
  player.dispose();
  window.told = told;
})()"""


def test_every_choice_that_a_picture_can_be_made_of_is_compared():
    assert parity.missing() == set()
    assert len(parity.MOMENTS) >= 10


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[Show, np.ndarray]]]:
    """Return a folder with every case's file and clip, and every case with its reference pictures, once for all drivers."""
    files, cases = tmp_path_factory.mktemp("parity"), dict[str, tuple[Show, np.ndarray]]()
    for c, (name, show) in enumerate(parity.shows()):
        glb.write(dataclasses.replace(show.avatar, sequence=None), files / f"{c}.glb", glb.Options(grade="full"))
        sequence_json.write(show.sequence, files / f"{c}.clip.json")
        camera_json.write(show.camera, files / f"{c}.camera.json")
        pictures = [render_avatar(show.avatar, show.sequence, t, show.camera).rgb for t in show.moments]
        cases[name] = show, np.stack(pictures)
    return files, cases


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_binding_dynamics_and_layer_looks_as_the_reference(driver, made, tmp_path):
    files, cases = made
    job = json.dumps({"cases": list(cases), "moments": parity.MOMENTS})
    task = {"kind": "page", "name": "parity", "width": 200, "height": 100, "ready": "window.flameport", "wait": "window.told",
            "steps": [f"window.job = {job}", PLAY], "tell": "window.told"}
    report = run(driver, [task], files, tmp_path)
    told = report["tasks"]["parity"]["errors"]
    assert not told, "\n".join(told)
    assert not [line for line in report["errors"] if "Performance" not in line]
    short = {}
    for c, (name, (show, wanted)) in enumerate(cases.items()):
        shape = (*wanted.shape[:3], 4)
        half = np.fromfile(tmp_path / f"{c}.half.f32", "<f4").reshape(shape)[..., :3].clip(0, 1)
        canvas = np.fromfile(tmp_path / f"{c}.canvas.u8", "u1").reshape(shape)[..., :3] / np.float32(255)
        assert (wanted.std(axis=(1, 2, 3)) > 0.01).all(), f"{name}: a reference picture is empty"
        found = [min(psnr(a, b) for a, b in zip(pictures, wanted, strict=True)) for pictures in (half, canvas)]
        bound = EDGE_DB if driver == "swiftshader" and parity.has_edges(show.avatar) else HALF_DB
        if found[0] < bound or found[1] < CANVAS_DB:
            short[name] = [round(float(value), 1) for value in found]
        print(f"{driver}, {name}: {found[0]:.1f} dB into half floats, {found[1]:.1f} dB on the canvas")
    assert short == {}
