"""The golden files are what the code gives today, and the GLBs among them read back to the same motion."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from formats.codecs import glb_avatar, sequence_json
from formats.deform import deform

_SCRIPT = Path(__file__).parents[1] / "scripts" / "make_golden.py"
_SPEC = importlib.util.spec_from_file_location("make_golden", _SCRIPT)
assert _SPEC is not None and _SPEC.loader is not None
make_golden = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(make_golden)

ROUNDING = 2e-6
"""Seven stored digits of numbers up to 1, and another machine's linear algebra."""


@pytest.mark.parametrize("name", make_golden.CASES)
def test_regenerating_gives_the_stored_frames(name):
    stored = json.loads((make_golden.FOLDER / f"{name}.json").read_text())
    made = make_golden.golden_frames(make_golden.CASES[name]())
    assert stored["camera"] == made["camera"]
    assert [f["t"] for f in stored["frames"]] == [f["t"] for f in made["frames"]]
    for a, b in zip(stored["frames"], made["frames"], strict=True):
        for key in ("vertices", "means", "covariances", "opacities", "rgb"):
            np.testing.assert_allclose(a[key], b[key], atol=ROUNDING, err_msg=f"{key} at {a['t']}")


@pytest.mark.parametrize("name", make_golden.CASES)
def test_the_stored_glb_moves_as_its_frames_say(name):
    stored = json.loads((make_golden.FOLDER / f"{name}.json").read_text())
    avatar = glb_avatar.read(make_golden.FOLDER / f"{name}.glb")
    sequence = sequence_json.read(make_golden.FOLDER / f"{name}.clip.json")
    for frame in stored["frames"]:
        posed = deform(avatar, sequence, frame["t"])
        np.testing.assert_allclose(posed.head.vertices.ravel(), frame["vertices"], atol=ROUNDING)
        np.testing.assert_allclose(posed.layers[0].cloud.means.ravel(), frame["means"], atol=ROUNDING)


def test_nothing_is_left_over():
    names = {path.name.split(".")[0] for path in make_golden.FOLDER.iterdir()}
    assert names == set(make_golden.CASES)
    assert sum(path.stat().st_size for path in make_golden.FOLDER.iterdir()) < 2.5e6
