"""The golden files are what the code gives today, and the GLBs among them read back to the same motion."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


# --- Mesh layers, strands, networks -----------------------------------------------------------------------------------

LAYERS = make_golden.golden_layers
CASES = [(name, grade) for name in LAYERS.CASES for grade in LAYERS.GRADES]
OTHER_ROUNDING = {"plain": ROUNDING, "small": 2e-5}
"""Pictures and steps of a small file may be coded otherwise by another version of a library."""


def largest_gap(a: object, b: object) -> float:
    """Return the largest difference of numbers in two JSON values of the same form."""
    if isinstance(a, dict) and isinstance(b, dict):
        assert list(a) == list(b)
        return max((largest_gap(a[key], b[key]) for key in a), default=0.0)
    if isinstance(a, list) and isinstance(b, list):
        assert len(a) == len(b)
        return max((largest_gap(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    if isinstance(a, str) or isinstance(b, str):
        assert a == b
        return 0.0
    return abs(float(a) - float(b))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "grade"), CASES)
def test_regenerating_layers_gives_the_stored_frames(name: str, grade: str) -> None:
    stored = json.loads((LAYERS.FOLDER / f"{name}.{grade}.json").read_text())
    found = LAYERS.golden_frames(LAYERS.read(LAYERS.made(name, grade)))
    assert largest_gap(stored, found) < OTHER_ROUNDING[grade]


@pytest.mark.parametrize(("name", "grade"), CASES)
def test_the_stored_layers_move_and_look_as_their_frames_say(name: str, grade: str) -> None:
    avatar = LAYERS.read((LAYERS.FOLDER / f"{name}.{grade}.glb").read_bytes())
    stored = json.loads((LAYERS.FOLDER / f"{name}.{grade}.json").read_text())
    assert largest_gap(stored, LAYERS.golden_frames(avatar)) < ROUNDING
    for t in stored["pictures"]:
        kept = np.asarray(Image.open(LAYERS.FOLDER / f"{name}.{grade}.{t:g}.png"), np.int16)
        # A colour half-way between two levels may round either way.
        assert np.abs(LAYERS.picture(avatar, t) - kept).max() <= 1


def test_no_layer_is_left_over() -> None:
    assert {path.name.split(".")[0] for path in LAYERS.FOLDER.iterdir()} == set(LAYERS.CASES)
    assert sum(path.stat().st_size for path in LAYERS.FOLDER.iterdir()) < 1.5e6
