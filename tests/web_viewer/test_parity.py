"""Pictures of every binding, dynamics and layer kind, ten frames each, on two drivers, against `formats.render`: on small
analytic avatars, and on what other systems' files are imported as."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from exporter.targets import glb
from formats.codecs import camera_json, sequence_json
from formats.picture import psnr
from formats.render import render_avatar
from tests.web_viewer import parity
from tests.web_viewer.browser import DRIVERS, run
from tests.web_viewer.pictures import CANVAS_DB, EDGE_DB, HALF_DB, SMALL_DB, Grade, Show

pytestmark = pytest.mark.browser

PLAY = """(async () => {
  const { loadAvatar, Player } = flameport;
  const json = async (name) => (await fetch(`files/${name}`)).json();
  const canvas = document.createElement("canvas");
  const told = { errors: [] };
  // One player shows all of them, one after another.
  const player = new Player(canvas, { onError: (error) => told.errors.push(error.message) });
  for (const [c, name] of window.job.names.entries()) {
    try {
      const [avatar, clip, camera] = await Promise.all([
        loadAvatar(`files/${c}.glb`), json(`${c}.clip.json`), json(`${c}.camera.json`)]);
      Object.assign(canvas, { width: camera.width, height: camera.height });
      player.setAvatar(avatar);
      player.setSequence(clip);
      player.setCamera(camera);
      player.pause();
      const pictures = [[], []];
      for (const moment of window.job.moments[c]) {
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


@dataclass(frozen=True)
class Case:
    """One file, and its reference pictures."""

    name: str
    show: Show
    wanted: np.ndarray
    small: bool


def _write(name: str, show: Show, files: Path, cases: list[Case], grades: tuple[Grade, ...] = ("full",)) -> None:
    """Write what the page reads of a show, and add it to `cases`."""
    wanted = np.stack([render_avatar(show.avatar, show.sequence, t, show.camera).rgb for t in show.moments])
    for grade in grades:
        stem = f"{len(cases)}"
        # Grade small needs a clip, to know how far coefficients go.
        avatar = dataclasses.replace(show.avatar, sequence=show.sequence if grade == "small" else None)
        glb.write(avatar, files / f"{stem}.glb", glb.Options(grade=grade))
        sequence_json.write(show.sequence, files / f"{stem}.clip.json")
        camera_json.write(show.camera, files / f"{stem}.camera.json")
        cases.append(Case(f"{name}, {grade}", show, wanted, grade == "small"))


def _compare(driver: str, files: Path, cases: list[Case], out: Path) -> None:
    job = {"names": [case.name for case in cases], "moments": [case.show.moments for case in cases]}
    task = {"kind": "page", "name": "parity", "width": 200, "height": 100, "ready": "window.flameport", "wait": "window.told",
            "steps": [f"window.job = {json.dumps(job)}", PLAY], "tell": "window.told"}
    report = run(driver, [task], files, out)
    told = report["tasks"]["parity"]["errors"]
    assert not told, "\n".join(told)
    assert not [line for line in report["errors"] if "Performance" not in line]
    short = {}
    for c, case in enumerate(cases):
        shape = (*case.wanted.shape[:3], 4)
        half = np.fromfile(out / f"{c}.half.f32", "<f4").reshape(shape)[..., :3].clip(0, 1)
        canvas = np.fromfile(out / f"{c}.canvas.u8", "u1").reshape(shape)[..., :3] / np.float32(255)
        assert (case.wanted.std(axis=(1, 2, 3)) > 0.01).all(), f"{case.name}: a reference picture is empty"
        found = [min(psnr(a, b) for a, b in zip(pictures, case.wanted, strict=True)) for pictures in (half, canvas)]
        edges = driver == "swiftshader" and parity.has_edges(case.show.avatar)
        bounds = (SMALL_DB, SMALL_DB) if case.small else (EDGE_DB if edges else HALF_DB, CANVAS_DB)
        if found[0] < bounds[0] or found[1] < bounds[1]:
            short[case.name] = [round(float(value), 1) for value in found]
        print(f"{driver}, {case.name}: {found[0]:.1f} dB into half floats, {found[1]:.1f} dB on the canvas")
    assert short == {}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Case]]:
    """Return a folder with every case's files, and the cases, once for all drivers."""
    files, cases = tmp_path_factory.mktemp("parity"), list[Case]()
    for name, show in parity.shows():
        _write(name, show, files, cases)
    return files, cases


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[Path, list[Case]]:
    """The same of imported avatars; mesh layers and strands in grade small, too."""
    pytest.importorskip("torch")
    files, cases = tmp_path_factory.mktemp("imported"), list[Case]()
    for system in parity.IMPORTED:
        if (system in parity.SLOW) == request.param:
            grades: tuple[Grade, ...] = ("full", "small") if system in ("baked_avatar", "gaussian_hair") else ("full",)
            show = parity.imported(system, tmp_path_factory.mktemp("theirs"))
            _write(system, show, files, cases, grades)
            if system in parity.MOVED:
                _write(f"{system}, linearised", parity.linearised(show), files, cases)
    return files, cases


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_binding_dynamics_and_layer_looks_as_the_reference(driver, made, tmp_path):
    files, cases = made
    _compare(driver, files, cases, tmp_path)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("imported", [False, pytest.param(True, marks=pytest.mark.long)], indirect=True, ids=["quick", "slow"])
def test_imported_avatars_look_as_the_reference(driver, imported, tmp_path):
    files, cases = imported
    _compare(driver, files, cases, tmp_path)
